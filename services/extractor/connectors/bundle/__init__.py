"""Sources that are read from an export bundle: a folder or ZIP of tables and files, described by a layout."""
