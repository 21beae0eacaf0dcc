"""What can keep the embedded stack from running."""


class StackError(Exception):
    """The stack cannot start; the message says why and where to look."""
