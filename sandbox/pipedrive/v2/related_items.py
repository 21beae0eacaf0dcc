"""What `search_for_related_items` adds to a search: the newest leads, deals and persons of the persons and organizations found."""

from collections.abc import Iterable, Iterator
from typing import Any

from sandbox.pipedrive.store.store import Record, Store

RELATED_MAX = 100
"""Related items of one kind for one that was found."""
_RELATED = {
    "person": (("lead", "person_id"), ("deal", "person_id")),
    "organization": (("lead", "organization_id"), ("deal", "org_id"), ("person", "org_id")),
}


def related(store: Store, items: Iterable[dict[str, Any]]) -> list[tuple[str, Record]]:
    """Return the records related to items found, each once; those that were found themselves are left out (assumed)."""
    found = {(item["type"], item["id"]) for item in items}
    chosen: dict[tuple[str, Any], Record] = {}
    for kind, record in _linked(store, sorted((one for one in found if one[0] in _RELATED), key=str)):
        key = (kind, record.get("uuid", record["id"]))
        if key not in found:
            chosen[key] = record
    return [(kind, record) for (kind, _), record in chosen.items()]


def _linked(store: Store, found: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Record]]:
    for kind, record_id in found:
        for other, column in _RELATED[kind]:
            live = [record for record in store[other].find(column, record_id) if not record["is_deleted"]]
            for record in live[: -RELATED_MAX - 1 : -1]:
                yield other, record
