"""Which sources can be read. One of our own is a folder in `connectors`; one of another package is an entry point (`services.common.sources`)."""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint
from pkgutil import iter_modules
from typing import Final, cast

from services.common.errors import ConfigurationError, InvalidRequestError
from services.common.sources import installed_sources
from services.extractor import connectors
from services.extractor.connector import ConnectorType


def own_connectors() -> dict[str, type[ConnectorType]]:
    """Answer our own connectors by name: each is the class with the name of its folder, in that folder's `connector.py`."""
    found: dict[str, type[ConnectorType]] = {}
    for folder in iter_modules(connectors.__path__):
        module = import_module(f"{connectors.__name__}.{folder.name}.connector")
        for one in vars(module).values():
            if isinstance(one, type) and one.__module__ == module.__name__ and getattr(one, "name", "") == folder.name:
                found[folder.name] = cast("type[ConnectorType]", one)
    return found


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


CONNECTORS: Final = with_installed(own_connectors(), installed_sources())
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
