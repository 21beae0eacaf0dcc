"""Results: an export bundle, see `layout.yaml`."""

from typing import ClassVar

from services.extractor.connectors.bundle.connector import BundleConnector


class Results(BundleConnector):
    """Companies, persons, opportunities, activities, documents and the files of office and field service."""

    name: ClassVar[str] = "results"
