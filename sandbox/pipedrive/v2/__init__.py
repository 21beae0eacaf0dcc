"""Version 2 of the API: strict bodies and queries, cursors, custom fields in one object."""
