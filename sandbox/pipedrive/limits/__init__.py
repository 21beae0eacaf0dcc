"""Budget and windows: what a caller may still do."""
