"""The loader: all HTTP to Pipedrive, the central quota, claims and outcomes."""
