"""One folder for each source. Connectors know nothing of each other."""
