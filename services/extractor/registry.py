"""Which sources can be read. A new source is one line here and a folder of its own."""

from collections.abc import Mapping

from services.common.errors import InvalidRequestError
from services.extractor.connector import ConnectorType
from services.extractor.connectors.novo_work_order.connector import NovoWorkOrder
from services.extractor.connectors.octopuspro.connector import OctopusPro
from services.extractor.connectors.results.connector import Results
from services.extractor.connectors.servicetracker.connector import ServiceTracker
from services.extractor.connectors.stel_order.connector import StelOrder

CONNECTORS: Mapping[str, type[ConnectorType]] = {
    NovoWorkOrder.name: NovoWorkOrder,
    OctopusPro.name: OctopusPro,
    Results.name: Results,
    ServiceTracker.name: ServiceTracker,
    StelOrder.name: StelOrder,
}


def connector_type(name: str) -> type[ConnectorType]:
    """Answer the connector of this name.

    Raises:
        InvalidRequestError: There is none.
    """
    try:
        return CONNECTORS[name]
    except KeyError:
        raise InvalidRequestError(f"there is no connector {name!r}; known are {', '.join(sorted(CONNECTORS))}") from None
