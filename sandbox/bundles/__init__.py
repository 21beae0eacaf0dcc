"""Writing export bundles: what the generators of all bundle sources share. Knows no source."""
