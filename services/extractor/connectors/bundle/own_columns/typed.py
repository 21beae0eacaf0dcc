"""Columns of the tenant's own fields that the bundle itself gives a type: they are checked and read like the columns of the layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.extractor.connectors.bundle.layout import PROPERTIES, CellType, Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.extractor.connectors.bundle.heads import Heads
    from services.extractor.connectors.bundle.layout import EntityLayout

SEPARATORS: Final = (";", "|", ",")
"""What stands between the elements of a list in a tenant's own column."""


def column_name(label: str) -> str:
    """Answer the name under which a typed column of the tenant is checked, as options name it."""
    return f"{PROPERTIES}.{label}"


def own_label(name: str) -> str:
    """Answer the label of a tenant's typed column; empty for a column of the layout, whose names have no dots."""
    return name.partition(".")[2]


def columns_of(types: Mapping[str, CellType]) -> dict[str, Column]:
    """Answer the columns for labels with a type."""
    return {column_name(label): Column(heads=(label,), type=kind, separator=SEPARATORS) for label, kind in types.items()}


def extended(layout: EntityLayout, types: Mapping[str, CellType]) -> EntityLayout:
    """Answer a table's layout with the tenant's typed columns."""
    return layout if not types else layout.model_copy(update={"columns": {**layout.columns, **columns_of(types)}})


def with_own(heads: Heads, types: Mapping[str, CellType]) -> Heads:
    """Answer the heads of a file with the tenant's typed columns among the known ones."""
    return heads.with_own({label: column_name(label) for label in types}) if types else heads
