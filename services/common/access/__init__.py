"""Who may call what: callers by token or certificate, their roles, and the guard before every handler."""
