"""A delta makes anew what a person deleted and the source changed: what hung on it and did not change gets its new id in the same delta.

The old ids are noted when a record turns out to be gone. When a later phase begins, its records that were loaded with a link to one of them are
mapped again, so that the loader compares them field by field and patches the link alone; what a person made of it since is decided like any other
field. The value of a deal whose lines changed is mapped again in the same way (`services.ledger.due_values`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from services.common.phases import LATE_LINKS
from services.ledger.domain import RecordFilter, RecordState, ReportKind
from services.ledger.matching.followers import follow
from services.ledger.repair import relink
from services.ledger.replaced import Replaced, replaced_rows
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import Tools, fresh, save_step
from services.ledger.runs.phases import KEYS_PER_SELECTION_ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.ledger.domain import Record, Run
    from services.ledger.repository import Reader

RECORDS_PER_STEP = 1000
_SETTLED = frozenset({RecordState.LOADED, RecordState.MATCHED})

Moved = dict[tuple[str, str], str]
"""(target entity, old id) → new id."""


@dataclass(frozen=True, slots=True)
class RelinkWork:
    """Chooses, at the beginning of a phase, what is to be linked anew in it."""

    tools: Tools

    async def advance(self, run: Run) -> bool:
        """Do the next piece of it; answers whether there was anything to do."""
        context = RunContext.of(run)
        if context.relinked_phase == run.phase or context.is_announced or context.announced_sequence or context.position:
            return False
        async with self.tools.ledger.read() as reader:
            moved = _moved(await _replaced_now(reader, run.migration_id))
            if not moved and run.phase != LATE_LINKS:
                return False
            which = RecordFilter(phase=run.phase, has_target=True, is_due=not moved)
            records = await reader.list_records(run.migration_id, which, after_key=context.after_key, limit=RECORDS_PER_STEP)
            known = await _selected(reader, run.migration_id)
        keys = [record.key for record in records if _is_to_link(record, moved)]
        new = sorted({record.source_key for record in records if record.key in set(keys)} - known)
        selection = await self.tools.selections.put_selection(sorted(known | set(new))) if new else context.extra_selection
        is_last = len(records) < RECORDS_PER_STEP
        async with self.tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now)
            if now.phase != run.phase or held.after_key != context.after_key or held.relinked_phase == run.phase:
                return True
            await follow(transaction, run.migration_id, moved, self.tools.actor)
            current = await transaction.get_records(run.migration_id, keys)
            await transaction.save_records([replace(record, payload_digest="") for record in current.values() if record.state in _SETTLED])
            rows = [orjson.dumps(new[start : start + KEYS_PER_SELECTION_ROW]) for start in range(0, len(new), KEYS_PER_SELECTION_ROW)]
            await transaction.add_report_rows(run.migration_id, ReportKind.PLAN, rows)
            held = replace(held, extra_selection=selection, after_key="" if is_last else records[-1].key)
            held = replace(held, relinked_phase=run.phase) if is_last else held
            await save_step(transaction, now, held)
        return True

    async def forget(self, run: Run) -> None:
        """Forget the old ids of what stands in Pipedrive again; of the rest they are kept for the next delta."""
        async with self.tools.ledger.transaction() as transaction:
            await fresh(transaction, run)
            done = await _replaced_now(transaction, run.migration_id)
            await transaction.erase_report_rows(run.migration_id, ReportKind.REPLACED, [position for position, _, _ in done])


async def _replaced_now(reader: Reader, migration_id: str) -> list[tuple[int, Replaced, str]]:
    """Answer what was made anew: row, what it was, and its new id."""
    rows = [row async for row in replaced_rows(reader, migration_id)]
    records = await reader.get_records(migration_id, {one.key for _, one in rows}) if rows else {}
    found = ((position, one, records[one.key]) for position, one in rows if one.key in records)
    return [(position, one, record.target_id) for position, one, record in found if record.has_target and record.target_id != one.target_id]


def _moved(replaced: Sequence[tuple[int, Replaced, str]]) -> Moved:
    return {(one.target_entity, one.target_id): new for _, one, new in replaced}


def _is_to_link(record: Record, moved: Mapping[tuple[str, str], str]) -> bool:
    if record.state not in _SETTLED or record.gone:
        return False
    if record.target_entity == "deal_value":  # its image has the value only; the deal is its id
        return ("deal", record.target_id) in moved or not record.payload_digest
    image: dict[str, Any] = orjson.loads(record.image or "{}")
    return bool(relink(image, moved))


async def _selected(reader: Reader, migration_id: str) -> set[str]:
    """Answer the source records this delta maps again already."""
    keys: set[str] = set()
    after = 0
    while rows := await reader.list_report_rows(migration_id, ReportKind.PLAN, after=after):
        for position, row in rows:
            keys.update(orjson.loads(row))
            after = position
    return keys
