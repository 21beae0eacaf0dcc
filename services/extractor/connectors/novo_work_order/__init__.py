"""Novo Work Order: read from export bundles, as `layout.yaml` describes them."""
