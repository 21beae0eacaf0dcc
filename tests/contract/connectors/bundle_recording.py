"""The recording of a source that is read from bundles: made of its layout."""

from __future__ import annotations

from pathlib import Path

from services.extractor.connectors.bundle.connector import BundleConnector
from services.extractor.connectors.bundle.layout import FINDINGS, CellType, EntityLayout, build_layout
from services.extractor.registry import CONNECTORS
from tests.contract.connectors.bundles import ROWS, ids_of, write_bundle
from tests.contract.connectors.recording import HOSTILE_NAMES, Recording

PAGE_ROWS = 3
GONE = 2
"""The row that a later bundle has no more."""


def bundle_recording(name: str, folder: Path) -> Recording:
    """Make the recording of the bundle source `name` in an empty folder."""
    kind = CONNECTORS[name]
    assert issubclass(kind, BundleConnector)
    place = folder / "bundle"
    write_bundle(place, kind.default, HOSTILE_NAMES)
    layout = build_layout([("default", kind.default)])
    expected = ids_of(kind.default)
    paged = next(entity for entity, one in layout.entities.items() if _is_named(one))

    def disturb() -> set[str]:
        write_bundle(place, kind.default, HOSTILE_NAMES, rows=2)
        return set()

    def delete() -> str:
        write_bundle(place, kind.default, HOSTILE_NAMES, rows=ROWS + 1, without=GONE)
        return str(GONE + 1)

    def clear() -> None:
        write_bundle(place, kind.default, HOSTILE_NAMES, rows=0)

    return Recording(
        connector=name,
        expected_ids={entity: found for entity, found in expected.items() if isinstance(found, set)},
        base_url=str(place),
        options={"page_rows": PAGE_ROWS},
        paged_entity=paged,
        uncertain=frozenset({FINDINGS, *(entity for entity, found in expected.items() if not isinstance(found, set))}),
        always=frozenset({FINDINGS}),
        disturb=disturb,
        is_stopped_by_changes=True,
        delete=delete,
        clear=clear,
    )


def _is_named(one: EntityLayout) -> bool:
    """Say whether rows have an id of their own and a text beside it."""
    return len(one.id) == 1 and any(column.type is CellType.TEXT and name not in one.id for name, column in one.columns.items())
