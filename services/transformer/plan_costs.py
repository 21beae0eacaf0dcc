"""What the loader's calls cost, for the plan of a load: tokens by operation, and how many calls a list of records takes.

The figures are the loader's own (`services/loader/pipedrive/token_costs.csv`) and so are the rules; services do not import each other, so a test
holds both against each other.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TOKENS: Final[Mapping[str, int]] = {
    "users.me": 2,
    "users.list": 20,
    "deals.list": 10,
    "deals.list_archived": 20,
    "deals.summary": 40,
    "deals.get": 1,
    "deals.create": 5,
    "deals.update": 5,
    "deals.delete": 3,
    "persons.list": 10,
    "persons.get": 1,
    "persons.create": 5,
    "persons.delete": 3,
    "organizations.list": 10,
    "organizations.get": 1,
    "organizations.create": 5,
    "organizations.delete": 3,
    "products.list": 10,
    "products.get": 1,
    "products.create": 5,
    "products.delete": 3,
    "activities.list": 10,
    "activities.get": 1,
    "activities.create": 5,
    "activities.delete": 3,
    "line_items.list": 10,
    "line_items.create": 5,
    "line_items.create_bulk": 25,
    "notes.list": 20,
    "notes.get": 2,
    "notes.create": 10,
    "notes.delete": 6,
    "files.list": 20,
    "files.get": 2,
    "files.download": 20,
    "files.create": 10,
    "files.delete": 6,
    "organization_relations.list": 20,
    "organization_relations.get": 2,
    "organization_relations.create": 10,
    "organization_relations.delete": 6,
    "activity_fields.list": 10,
    "pipelines.list": 5,
    "pipelines.create": 5,
    "pipelines.delete": 3,
    "stages.list": 5,
    "stages.create": 5,
    "stages.delete": 3,
    "activity_types.list": 20,
    "activity_types.create": 10,
    "activity_types.delete": 6,
    **{
        f"{entity}_fields.{verb}": tokens
        for entity in ("deal", "person", "organization", "product")
        for verb, tokens in (("list", 10), ("create", 5), ("delete", 3), ("add_options", 5), ("delete_options", 3))
    },
}
"""Tokens of one call, by operation."""

OPERATIONS: Final[Mapping[str, str]] = {
    "product": "products",
    "organization": "organizations",
    "organization_relation": "organization_relations",
    "person": "persons",
    "deal": "deals",
    "activity": "activities",
    "note": "notes",
    "file": "files",
    "pipeline": "pipelines",
    "stage": "stages",
    "activity_type": "activity_types",
}
"""First part of the operations of a target entity."""

LIST_PAGE: Final = 500
FILES_PAGE: Final = 100
IDS_MAX: Final = 100
LIST_FROM: Final = 10
"""From so many records on a list by ids is not dearer than one call for each."""
BULK_FROM: Final = 5
BULK_MAX: Final = 100
LINES_PER_READ: Final = 1_000
"""Lines the ledger compares at a time at most."""
CHUNK: Final = 400
"""Records the ledger compares at a time."""
UNDO_ROUND: Final = 500
"""Notes or files that a rollback reads at a time."""
SCHEMA_BATCH: Final = 50
"""Schema records in one batch."""

Calls = Counter[str]
"""Number of calls by operation."""


def tokens_of(calls: Mapping[str, int]) -> int:
    """Answer what calls cost together. Raises KeyError for an operation without a price."""
    return sum(TOKENS[name] * count for name, count in calls.items())


def lines_created(line_counts: Iterable[int]) -> Calls:
    """Answer the calls that put lines on deals: one deal's lines together, in bulk where that is not dearer."""
    calls: Calls = Counter()
    for lines in line_counts:
        full, rest = divmod(lines, BULK_MAX)
        calls["line_items.create_bulk"] += full + (rest >= BULK_FROM)
        calls["line_items.create"] += rest if rest < BULK_FROM else 0
    return +calls


def read_by_ids(entity: str, count: int) -> Calls:
    """Answer the calls that read so many records of one batch by their ids."""
    name = OPERATIONS[entity]
    if entity in {"note", "file"} or count < LIST_FROM:
        return +Counter({f"{name}.get": count})
    return Counter({f"{name}.list": -(-count // IDS_MAX)})


def read_back(entity: str, count: int, highest_id: int) -> Calls:
    """Answer the calls of a reading back of `count` records: by ids, or a scan up to the highest id where that is cheaper.

    Args:
        entity: target entity, not line items or relations.
        count: records wanted.
        highest_id: of the wanted ones.
    """
    if not count:
        return Counter()
    name = OPERATIONS[entity]
    one_by_one = _chunked_by_ids(entity, count)
    scan: Calls = Counter({f"{name}.list": -(-highest_id // (FILES_PAGE if entity == "file" else LIST_PAGE))})
    return scan if tokens_of(scan) < tokens_of(one_by_one) else one_by_one


def read_all(entity: str, count: int) -> Calls:
    """Answer the calls of a reconciliation that compares every record of an entity: its list, once.

    Few records of an entity without external id are read one by one.
    """
    name = OPERATIONS[entity]
    if not count:
        return Counter()
    if count < LIST_FROM and entity in {"activity", "note", "file"}:
        return Counter({f"{name}.get": count})
    return Counter({f"{name}.list": -(-count // (FILES_PAGE if entity == "file" else LIST_PAGE))})


def lines_read(parts: Iterable[tuple[int, int]]) -> Calls:
    """Answer the calls that read the lines of deals: a hundred deals a call, 500 lines a page.

    Args:
        parts: lines and the deals they hang on, in the order in which they are read; within a part all deals count as equally long.
    """
    pages, lines, deals = 0, 0.0, 0
    for line_count, deal_count in parts:
        for _ in range(deal_count):
            if deals == IDS_MAX or lines + line_count / deal_count > LINES_PER_READ:
                pages += max(1, -(-round(lines) // LIST_PAGE))
                lines, deals = 0.0, 0
            lines, deals = lines + line_count / deal_count, deals + 1
    return +Counter({"line_items.list": pages + (max(1, -(-round(lines) // LIST_PAGE)) if deals else 0)})


def _chunked_by_ids(entity: str, count: int) -> Calls:
    full, rest = divmod(count, IDS_MAX)
    calls: Calls = Counter()
    for _ in range(full):
        calls += read_by_ids(entity, IDS_MAX)
    return calls + read_by_ids(entity, rest)
