"""Novo Work Order: read from export bundles."""

from services.extractor.connectors.bundle.connector import BundleConnector


class NovoWorkOrder(BundleConnector):
    """Reads a Novo Work Order export."""

    name = "novo_work_order"
