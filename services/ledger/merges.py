"""People merge records in Pipedrive: what a loader found out about it is taken over into the identity map.

The records that stood under the old id stand under that of the survivor from now on, and what was loaded with a link to the old one is known to be
linked to the new one. A survivor that holds what is not ours is never deleted by a rollback.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.canonical import canonical_json
from services.ledger.domain import EventDraft, RecordFilter, ReviewItem, review_item_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence
    from datetime import datetime

    from services.ledger.domain import Migration, Record
    from services.ledger.repository import Reader, Transaction

MERGED: Final = "TARGET_MERGED"
MERGEABLE: Final = frozenset({"organization", "person", "deal"})
LINKS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "organization": {
        "person": ("org_id",),
        "deal": ("org_id",),
        "activity": ("org_id",),
        "note": ("org_id",),
        "file": ("org_id",),
        "organization_relation": ("rel_owner_org_id", "rel_linked_org_id"),
    },
    "person": {"deal": ("person_id",), "note": ("person_id",), "file": ("person_id",), "activity": ("participants",)},
    "deal": {"activity": ("deal_id",), "note": ("deal_id",), "file": ("deal_id",), "line_item": ("deal_id",), "deal_value": ("deal_id",)},
    "product": {"line_item": ("product_id",), "file": ("product_id",)},
}
"""Target entity → what we link to it, and by which fields of the image."""
READ_ALONE: Final = frozenset({"person", "deal", "activity", "note", "file"})
"""Entities that Pipedrive answers by id alone."""
LINKS_MAX: Final = 3
RECORDS_PER_READ: Final = 1000


@dataclass(frozen=True, slots=True)
class Move:
    """A record that was merged into another."""

    target_entity: str
    from_target_id: str
    to_target_id: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Link:
    """A record that was loaded with a link."""

    target_id: str
    record: Record
    field: str


async def take_over(tx: Transaction, migration: Migration, moves: Sequence[Move], *, run_id: str, actor: str, now: datetime) -> dict[str, int]:
    """Let records stand under the id they were merged into; answers how many did, by target entity. What is known changes nothing."""
    counts: dict[str, int] = {}
    for entity in dict.fromkeys(move.target_entity for move in moves if move.target_entity in MERGEABLE):
        ways = {move.from_target_id: move for move in moves if move.target_entity == entity and move.from_target_id != move.to_target_id}
        moved = [record for record in await tx.list_records_by_target(migration.migration_id, entity, ways) if record.has_target]
        if not moved:
            continue
        counts[entity] = len(moved)
        await _move(tx, migration, moved, ways, run_id=run_id, actor=actor, now=now)
        await _relink(tx, migration.migration_id, entity, {old: way.to_target_id for old, way in ways.items()})
    return counts


async def links_to(
    reader: Reader,
    migration_id: str,
    target_entity: str,
    target_ids: Collection[str],
    *,
    entities: Collection[str] = (),
    is_wanted: bool = False,
    most: int = LINKS_MAX,
) -> list[Link]:
    """Answer records that stand in Pipedrive and were loaded with a link to one of the ids.

    Args:
        reader: The ledger.
        migration_id: Whose records.
        target_entity: What the ids are of.
        target_ids: Ids in Pipedrive.
        entities: Only records of these target entities, linked by a field that holds one id; empty: all.
        is_wanted: Only records that the source still has.
        most: Records for each id.
    """
    wanted = set(target_ids)
    counts = dict.fromkeys(wanted, 0)
    found: list[Link] = []
    async for record, name, ids in _linked(reader, migration_id, target_entity):
        if (entities and (record.target_entity not in entities or name == "participants")) or (is_wanted and record.gone):
            continue
        for target_id in ids & wanted:
            if counts[target_id] < most:
                counts[target_id] += 1
                found.append(Link(target_id, record, name))
        if wanted and min(counts.values()) >= most:
            break
    return found


async def _move(
    tx: Transaction, migration: Migration, moved: Sequence[Record], ways: Mapping[str, Move], *, run_id: str, actor: str, now: datetime
) -> None:
    entity, ends = moved[0].target_entity, {ways[record.target_id].to_target_id for record in moved}
    survivors = [record for record in await tx.list_records_by_target(migration.migration_id, entity, ends) if record.has_target]
    ours: dict[str, Record] = {record.target_id: record for record in survivors}
    after: list[Record] = []
    events: list[EventDraft] = []
    items: list[ReviewItem] = []
    for record in moved:
        way = ways[record.target_id]
        survivor = ours.get(way.to_target_id)
        is_foreign = survivor is None or survivor.is_preexisting or record.is_preexisting
        after.append(replace(record, target_id=way.to_target_id, is_preexisting=is_foreign, update_time=now))
        if survivor is not None and is_foreign and not survivor.is_preexisting:
            after.append(replace(survivor, is_preexisting=True, update_time=now))
        whose = f"{survivor.key}, a record of this migration" if survivor else "which was not loaded by this migration"
        stays = "; a rollback leaves it there" if is_foreign else ""
        message = f"{entity} {way.from_target_id} was merged in Pipedrive into {way.to_target_id}, {whose}: updates go there{stays}"
        payload = {
            "run_id": run_id,
            "from_target_id": way.from_target_id,
            "to_target_id": way.to_target_id,
            "evidence": way.evidence,
            "survivor_key": survivor.key if survivor else "",
        }
        events.append(EventDraft("record.merged", actor, record.key, record.source_key, way.to_target_id, way.evidence, payload))
        items.append(review_item_of(record, MERGED, message, now, is_blocking=False))
    await tx.save_records(list({record.key: record for record in after}.values()))
    await tx.open_review_items(items)
    await tx.append_events(migration.migration_id, events)


async def _relink(tx: Transaction, migration_id: str, target_entity: str, ways: Mapping[str, str]) -> None:
    """What was linked to the old record is linked to the new one in Pipedrive: know it so, or it would look like a person's edit."""
    changed: dict[str, Record] = {}
    async for record, name, ids in _linked(tx, migration_id, target_entity):
        if ids & ways.keys():
            known = changed.get(record.key, record)
            image = orjson.loads(known.image or "{}")
            if name in image:
                image[name] = _relinked(image[name], ways)
            parent = ways.get(known.parent_target_id, known.parent_target_id) if _hangs_on(record, target_entity, name) else known.parent_target_id
            target_id = ways.get(known.target_id, known.target_id) if record.target_entity == "deal_value" else known.target_id
            changed[record.key] = replace(known, image=canonical_json(image).decode(), parent_target_id=parent, target_id=target_id)
    await tx.save_records(list(changed.values()))


def _hangs_on(record: Record, target_entity: str, name: str) -> bool:
    """Say whether a record's parent is of the entity that was merged."""
    return (record.target_entity == "line_item" and target_entity == "deal") or name == "rel_owner_org_id"


def _relinked(value: Any, ways: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        entries = [{**entry, "person_id": _relinked(entry.get("person_id"), ways)} for entry in value]
        once = {str(entry["person_id"]): entry for entry in sorted(entries, key=lambda entry: bool(entry.get("primary")))}
        return sorted(once.values(), key=lambda entry: str(entry["person_id"]))
    new = ways.get(str(value))
    return value if new is None else int(new) if new.isdecimal() else new


async def _linked(reader: Reader, migration_id: str, target_entity: str) -> AsyncIterator[tuple[Record, str, set[str]]]:
    """Yield records that may link to an entity, with the field and the ids in it."""
    for entity, names in LINKS.get(target_entity, {}).items():
        after_key = ""
        while True:
            which = RecordFilter(target_entity=entity, has_target=True)
            records = await reader.list_records(migration_id, which, after_key=after_key, limit=RECORDS_PER_READ)
            for record in records:
                image = _image_of(record)
                for name in names:
                    if ids := _ids(image.get(name)):
                        yield record, name, ids
            if len(records) < RECORDS_PER_READ:
                break
            after_key = records[-1].key


def _image_of(record: Record) -> dict[str, Any]:
    image: dict[str, Any] = orjson.loads(record.image) if record.image else {}
    if record.target_entity == "deal_value":  # its image has the value only; the deal is its id
        image["deal_id"] = record.target_id
    return image


def _ids(value: Any) -> set[str]:
    if isinstance(value, list):
        return {str(entry["person_id"]) for entry in value if isinstance(entry, dict) and entry.get("person_id") is not None}
    return set() if value is None else {str(value)}
