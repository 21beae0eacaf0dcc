"""Sources that other installed packages bring along, known by the entry points they declare.

    [project.entry-points."transload.sources"]
    brook = "brook.connector:Brook"

The name is the connector's, the value its class. The mapping is `mapping.yaml` in the same package.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "transload.sources"
MAPPING_FILE: Final = "mapping.yaml"


def installed_sources() -> dict[str, EntryPoint]:
    """Answer the sources of other packages by name; nothing of them is loaded yet."""
    return {one.name: one for one in entry_points(group=GROUP)}


def installed_mapping(name: str) -> str | None:
    """Answer the text of the mapping that comes with a source of another package; None where there is none."""
    entry = installed_sources().get(name)
    if entry is None:
        return None
    place = files(entry.module.rpartition(".")[0] or entry.module).joinpath(MAPPING_FILE)
    return place.read_text(encoding="utf-8") if place.is_file() else None
