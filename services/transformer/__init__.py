"""The transformer: maps frozen pages to records as Pipedrive shall hold them."""
