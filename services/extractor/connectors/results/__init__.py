"""Results, read from an export bundle."""
