"""Which sources can be read. One of our own is one line here and a folder; one of another package is an entry point (`services.common.sources`)."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Final

from services.common.errors import ConfigurationError, InvalidRequestError
from services.common.sources import installed_sources
from services.extractor.connector import ConnectorType
from services.extractor.connectors.novo_work_order.connector import NovoWorkOrder
from services.extractor.connectors.octopuspro.connector import OctopusPro
from services.extractor.connectors.results.connector import Results
from services.extractor.connectors.servicetracker.connector import ServiceTracker
from services.extractor.connectors.stel_order.connector import StelOrder

_OWN: Final[Mapping[str, type[ConnectorType]]] = {
    NovoWorkOrder.name: NovoWorkOrder,
    OctopusPro.name: OctopusPro,
    Results.name: Results,
    ServiceTracker.name: ServiceTracker,
    StelOrder.name: StelOrder,
}


def with_installed(own: Mapping[str, type[ConnectorType]], installed: Mapping[str, EntryPoint]) -> Mapping[str, type[ConnectorType]]:
    """Put the connectors of other packages beside our own.

    Raises:
        ConfigurationError: One cannot be loaded, or has a name that is taken or not its own; the message names its package.
    """
    found = dict(own)
    for name, entry in installed.items():
        place = f"the source {name} ({entry.value}" + (f" of {entry.dist.name})" if entry.dist else ")")
        if name in own:
            raise ConfigurationError(f"{place} has the name of one that is there already: give it another, or uninstall it")
        try:
            found[name] = entry.load()
        except Exception as error:
            raise ConfigurationError(f"{place} cannot be loaded: {error}") from error
        if getattr(found[name], "name", None) != name:
            raise ConfigurationError(f"{place} is declared as {name}, but its class has another name")
    return found


CONNECTORS: Final = with_installed(_OWN, installed_sources())
"""All connectors by name: our own, and those of other packages that are installed."""


def connector_type(name: str) -> type[ConnectorType]:
    """Answer the connector of this name.

    Raises:
        InvalidRequestError: There is none.
    """
    try:
        return CONNECTORS[name]
    except KeyError:
        raise InvalidRequestError(f"there is no connector {name!r}; known are {', '.join(sorted(CONNECTORS))}") from None
