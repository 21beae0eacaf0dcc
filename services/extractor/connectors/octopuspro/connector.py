"""OctopusPro: what its exports hold is said in `layout.yaml`."""

from services.extractor.connectors.bundle.connector import BundleConnector


class OctopusPro(BundleConnector):
    """Field-service bookings. A REST interface may exist, but is documented nowhere in public: it could stand behind this class later."""

    name = "octopuspro"
