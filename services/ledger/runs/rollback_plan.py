"""The plan of a rollback from what the ledger holds, for people and for the run itself (L-15)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson

from services.ledger.domain import KeptReason, RecordFilter, RecordState, Scope, UndoCount
from services.ledger.keeping import OURS, deal_id_of, kept_of
from services.ledger.outcomes import KEPT
from services.ledger.rollback import ROUND_RECORDS, SWEPT, WITH_DEAL, UndoFacts, plan_steps, sweeps_of, undo_order
from services.ledger.runs.context import RunContext
from services.ledger.scope import Selection, check_scope, select
from transload.v1.records_pb2 import MappedRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from services.ledger.domain import Migration, Record, Run
    from services.ledger.repository import Reader, Transaction
    from services.ledger.rollback import UndoStep

_KEPT_PER_READ = 1_000


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """What a rollback does and costs.

    Attributes:
        steps: in the order they are done.
        in_doubt_count: records whose outcome is not known yet.
        kept_count: records that earlier rollbacks kept and this one takes.
        outside_count: records that stay and refer to something taken back.
        sweeps: kinds that are read by time of change.
    """

    steps: Sequence[UndoStep]
    in_doubt_count: int
    kept_count: int
    outside_count: int
    sweeps: tuple[str, ...]

    @property
    def token_count(self) -> int:
        """Tokens of all steps."""
        return sum(step.token_count for step in self.steps)


async def plan_rollback(reader: Reader, migration: Migration, scope: Scope) -> RollbackPlan:
    """Answer the plan of a rollback. Changes nothing.

    Raises:
        InvalidRequestError: The scope makes no sense.
        NotFoundError: It names a record that does not exist.
        PreconditionError: It names a record that is not in Pipedrive.
    """
    check_scope(scope)
    selection = await select(reader, migration.migration_id, scope) if scope.is_partial else None
    reopened = [record async for record in kept_records(reader, migration.migration_id)] if scope.deletes_edited and scope.is_whole else []
    return await _plan(reader, migration, scope, selection, reopened)


async def plan_of_run(transaction: Transaction, migration: Migration, run: Run, moment: datetime) -> RollbackPlan:
    """Plan a run that begins, and note what it takes: the records of its scope, and with `deletes_edited` what earlier rollbacks kept."""
    scope = RunContext.of(run).scope
    await transaction.forget_kept(run.migration_id, reasons=[KeptReason.THEIRS, KeptReason.OUTSIDE])
    if scope.deletes_edited and scope.is_whole:
        reopened = [record async for record in kept_records(transaction, run.migration_id)]
        await transaction.save_records([replace(record, state=RecordState.LOADED, reason="", message="", update_time=moment) for record in reopened])
    selection = await select(transaction, run.migration_id, scope) if scope.is_partial else None
    if selection is not None:
        await transaction.add_undo_selection(run.run_id, list(selection.keys))
        outside = [
            replace(
                kept_of(record, KeptReason.OUTSIDE, run, moment, message=f"stays, and refers to {', '.join(touched)}, which was taken back"),
                references=touched,
            )
            for record, touched in selection.outside
        ]
        await transaction.save_kept(outside)
    return await _plan(transaction, migration, scope, selection, [])


async def kept_records(reader: Reader, migration_id: str) -> AsyncIterator[Record]:
    """Yield records of ours that rollbacks of everything left in Pipedrive."""
    after_key = ""
    while True:
        rows = await reader.list_kept(migration_id, after_key=after_key, limit=_KEPT_PER_READ)
        records = await reader.get_records(migration_id, [row.key for row in rows if row.reason in OURS])
        for record in records.values():
            if record.state is RecordState.UNDONE and record.reason == KEPT and not record.is_preexisting:
                yield record
        if len(rows) < _KEPT_PER_READ:
            return
        after_key = rows[-1].key


async def _plan(reader: Reader, migration: Migration, scope: Scope, selection: Selection | None, reopened: Sequence[Record]) -> RollbackPlan:
    if selection is not None:
        counts = list(selection.counts.values())
    else:
        entities = {entity for _, entity in undo_order(scope)}
        counts = [count for count in await reader.count_records_to_undo(migration.migration_id) if count.target_entity in entities]
    counts = _with(counts, reopened)
    facts = await _facts(reader, migration, scope, selection, reopened)
    return RollbackPlan(
        steps=plan_steps(counts, scope=scope, facts=facts),
        in_doubt_count=sum(count.in_doubt_count for count in counts),
        kept_count=len(reopened),
        outside_count=len(selection.outside) if selection is not None else 0,
        sweeps=sweeps_of(counts, scope),
    )


def _with(counts: Sequence[UndoCount], reopened: Sequence[Record]) -> list[UndoCount]:
    """Answer the counts with what earlier rollbacks kept."""
    by_entity = {count.target_entity: count for count in counts}
    for record in reopened:
        known = by_entity.get(record.target_entity) or UndoCount(record.phase, record.target_entity, 0, 0, 0)
        by_entity[record.target_entity] = replace(known, delete_count=known.delete_count + 1)
    return list(by_entity.values())


async def _facts(reader: Reader, migration: Migration, scope: Scope, selection: Selection | None, reopened: Sequence[Record]) -> UndoFacts:
    kept = {record.key for record in reopened}
    with_deal = dict.fromkeys(WITH_DEAL, 0)
    for entity in WITH_DEAL:
        async for records in _chunks(reader, migration.migration_id, RecordFilter(target_entity=entity)):
            meant = [
                record for record in records if (record.has_target or record.key in kept) and (selection is None or record.key in selection.keys)
            ]
            keys = await reader.find_targets(migration.target_connection, "deal", {deal_id_of(record) for record in meant})
            deals = await reader.get_records(migration.migration_id, list(keys.values()))
            ours = {
                deal.target_id
                for deal in deals.values()
                if (deal.has_target or deal.key in kept) and not deal.is_preexisting and (selection is None or deal.key in selection.keys)
            }
            with_deal[entity] += sum(1 for record in meant if deal_id_of(record) in ours)
    fields: dict[str, set[str]] = {"custom_field": set(), "field_option": set()}
    options: set[tuple[str, str]] = set()
    for entity, entities in fields.items() if scope.is_whole else ():
        async for records in _chunks(reader, migration.migration_id, RecordFilter(target_entity=entity)):
            for record in records:
                if record.is_preexisting or not (record.has_target or record.key in kept):
                    continue
                image = orjson.loads(record.image or "{}")
                entities.add(str(image.get("entity")))
                if entity == "field_option":
                    options.add((str(image.get("entity")), str(image.get("field_code"))))
    return UndoFacts(
        with_deal=with_deal,
        lines_looked_at=with_deal["line_item"],
        option_fields=len(options),
        field_entities={entity: len(entities) for entity, entities in fields.items()},
        listed=await _listed(reader, migration.migration_id, selection) if selection is not None else {},
    )


async def _listed(reader: Reader, migration_id: str, selection: Selection) -> dict[str, int]:
    """Count the records that stay when a part is taken back, of the kinds whose lists of changes are read."""
    listed = {}
    for kind in SWEPT:
        count = await reader.count_records(migration_id, RecordFilter(target_entity=kind, has_target=True))
        taken = selection.counts.get(kind)
        listed[kind] = count - (taken.delete_count if taken else 0)
    return listed


async def deals_with_doubtful_lines(reader: Reader, migration_id: str) -> tuple[str, ...]:
    """Answer keys of deals on which lines may stand that we do not know of: at most as many as were on their way when a load ended."""
    states = (RecordState.IN_DOUBT, RecordState.CLAIMED, RecordState.WAITING)
    found: dict[str, None] = {}
    async for records in _chunks(reader, migration_id, RecordFilter(target_entity="line_item", states=states)):
        for record in records:
            if record.intent_record and not record.target_id:
                found.update(dict.fromkeys(reference.key for reference in MappedRecord.FromString(record.intent_record).references))
    return tuple(found)


async def _chunks(reader: Reader, migration_id: str, which: RecordFilter) -> AsyncIterator[Sequence[Record]]:
    after_key = ""
    while True:
        records = await reader.list_records(migration_id, which, after_key=after_key, limit=ROUND_RECORDS)
        yield records
        if len(records) < ROUND_RECORDS:
            return
        after_key = records[-1].key
