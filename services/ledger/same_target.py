"""Several records of a migration in one object of Pipedrive: a person merged them, or they were matched with the same one.

Each of them changes the fields it maps, some of them the same. What stood there before us is what stood there before the first of them, and a value
that any of them wrote is ours, not a person's.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from services.common.canonical import canonical_json
from services.ledger.claims import Action
from services.ledger.domain import RecordState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from services.ledger.claims import Decision
    from services.ledger.domain import Record
    from services.ledger.outcomes import Settlement
    from services.ledger.repository import Transaction


async def with_same_target(tx: Transaction, migration_id: str, decisions: Sequence[Decision]) -> list[Decision]:
    """Answer decisions to restore with what the other records in the same object wrote and found there."""
    known = await _others(tx, migration_id, [decision.record for decision in decisions if decision.action is Action.RESTORE])
    return [
        replace(decision, same_target=others)
        if decision.action is Action.RESTORE and (others := tuple(_without(known[_place(decision.record)], decision.record)))
        else decision
        for decision in decisions
    ]


async def keep_first_pre_images(tx: Transaction, migration_id: str, before: dict[str, Record], found: Sequence[Settlement]) -> list[Settlement]:
    """Let the pre-image of a field be what stood there before the first record in the object changed it.

    Args:
        tx: The transaction they are settled in.
        migration_id: Whose records.
        before: The records as they were, by key.
        found: What the outcomes lead to, in the order in which the records were written.
    """
    news = {one.record.key for one in found if one.record.is_preexisting and one.record.pre_image not in {"", before[one.record.key].pre_image}}
    if not news:
        return list(found)
    # What is stored is older than all that is settled now.
    earlier = await _others(tx, migration_id, [one.record for one in found if one.record.key in news])
    kept: list[Settlement] = []
    for one in found:
        record = one.record
        if record.key in news:
            others = earlier[_place(record)]
            record = _with_first(record, before[record.key], _without(others, record))
            others.append(record)
        kept.append(one if record is one.record else replace(one, record=record))
    return kept


def _with_first(record: Record, before: Record, others: Iterable[Record]) -> Record:
    pre_image: dict[str, Any] = orjson.loads(record.pre_image)
    new = pre_image.keys() - orjson.loads(before.pre_image or "{}").keys()
    for other in others:
        first: dict[str, Any] = orjson.loads(other.pre_image)
        pre_image |= {name: value for name, value in first.items() if name in new}
        new -= first.keys()
    return replace(record, pre_image=canonical_json(pre_image).decode())


async def _others(tx: Transaction, migration_id: str, records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    ids: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if record.target_id:
            ids[record.target_entity].add(record.target_id)
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for entity, wanted in ids.items():
        for other in await tx.list_records_by_target(migration_id, entity, wanted):
            if other.pre_image and other.state is not RecordState.UNDONE:
                found[_place(other)].append(other)
    return found


def _without(others: Iterable[Record], record: Record) -> Iterable[Record]:
    return (other for other in others if other.key != record.key)


def _place(record: Record) -> tuple[str, str]:
    return record.target_entity, record.target_id
