"""Works on states of Pipedrive on paper: without some records, with links made anew, in the order things were deleted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.simulation.people import PLURALS

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from sandbox.pipedrive.control.journal import Entry
    from tests.simulation.people import Deed, Place


OK: Final = 200
DELETED_IN_ORDER: Final = (
    *("/files/", "/notes/", "/activities/", "/deals/", "/persons/", "/organizations/", "/products/"),
    *("/activityTypes/", "/stages/", "/pipelines/", "Fields/"),
)
"""Parts of paths, in the order in which a rollback may delete."""
LINES: Final = "deal_products"
TABLES: Final = {
    **PLURALS,
    "line_item": LINES,
    "deal_value": "deals",
    "organization_relation": "organization_relations",
    "custom_field": "fields",
}
"""Where the account holds what a target entity stands for."""


def apart(state: dict[str, Any], places: Container[Place]) -> dict[str, Any]:
    """Answer a state without some records."""
    return {
        plural: [record for record in table if (plural, record.get("id")) not in places] if isinstance(table, list) else table
        for plural, table in state.items()
    }


def out_of_order(entries: Iterable[Entry]) -> Iterable[str]:
    """Yield what was deleted after something that hangs on it."""
    latest = 0
    for entry in entries:
        rank = next((rank for rank, part in enumerate(DELETED_IN_ORDER) if part in entry.path), -1)
        if entry.method == "DELETE" and entry.status == OK and rank >= 0:
            if rank < latest:
                yield f"rollback: {entry.path} was deleted after {DELETED_IN_ORDER[latest]}"
            latest = max(latest, rank)


def link_anew(deeds: Sequence[Deed], state: dict[str, Any]) -> None:
    """Let what people removed or moved refer to what was made again in place of what a person had removed, as it would by now.

    Records a person removed refer to organizations made again; what a merge moved, and a rollback left because a person had edited it, to deals.
    """
    removed = {place: record for deed in deeds for place, record in deed.removed.items()}
    moved = {place for deed in deeds if deed.kind == "merge" for place in deed.changed}
    for plural, places, link, linked in (
        ("deals", removed, "org_id", "organizations"),
        ("persons", removed, "org_id", "organizations"),
        ("activities", moved, "deal_id", "deals"),
    ):
        again = _made_again(linked, removed, state)
        for record in state[plural]:
            if (plural, record["id"]) in places and record.get(link) in again:
                record[link] = again[record[link]]


def _made_again(plural: str, removed: Mapping[Place, dict[str, Any]], state: dict[str, Any]) -> dict[int, int]:
    """Answer the old and the new id of what was removed and has been made again."""
    standing = {origin: record["id"] for record in state[plural] for origin in origins_of(record)}
    return {
        number: standing[origin]
        for (kind, number), record in removed.items()
        if kind == plural
        for origin in origins_of(record)
        if standing.get(origin, number) != number
    }


def origins_of(record: dict[str, Any]) -> set[str]:
    """Answer from which source records a record of Pipedrive says it came: `source/{entity}/{id}`."""
    return {value for value in record.get("custom_fields", {}).values() if isinstance(value, str) and value.startswith("source/")}


def subject_of(problem: str) -> tuple[str, int]:
    """Answer the source record a problem of the checker is about."""
    match = re.match(r"([A-Za-z]+)/(-?\d+)\b", problem)
    return (match[1], int(match[2])) if match else ("", 0)


def as_export(state: dict[str, Any]) -> bytes:
    """Write a state the way the simulator's control interface answers it."""
    return orjson.dumps({"state": state})
