"""OctopusPro, read from the bundle its support hands out."""
