"""L-15: takes everything back through the loader, with the same claims as loading, and compares the end with the pre-images.

Each round lists what is still to be taken back of one target entity, the latest first, and makes batches of it. What was taken back, kept or
refused in this run drops out of the list, so a crash between any two lines only means that the next round begins with a shorter list.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.common import telemetry
from services.common.canonical import canonical_json
from services.common.errors import TransloadError
from services.common.phases import phase_name
from services.ledger.domain import Batch, EventDraft, RecordFilter, RecordState, Report, ReportKind, RunState, UndoCount
from services.ledger.reconciliation import BY_PARENT, restored_fields
from services.ledger.rollback import WITH_DEAL, UndoStep, plan_steps, undo_order
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, ON_CHANGE_SECONDS, RunFailedError, Tools, end_run, fresh, save_step, say
from services.ledger.runs.phases import OPEN_BATCHES, batch_message, is_done
from services.ledger.runs.reading import read_records, target_id_of
from transload.v1.records_pb2 import MappedRecord, Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.domain import Migration, Record, Run
    from services.ledger.repository import Reader, Transaction

_LOG = telemetry.get_logger(__name__)

_UNDO, _VERIFY, _SUM = "undo", "verify", "sum"
RECORDS_PER_BATCH = 100
# Batches of one round; bounds what stands in the outbox and the stream.
RECORDS_PER_ROUND = 1_000
RECORDS_PER_CHUNK = 400
EXTRACTIONS_PER_RUN = 2
_TOO_DEAR = frozenset({"note", "file"})
_ENDED = (RecordState.UNDONE,)


class RollbackDriver:
    """Drives runs of kind rollback: wait for claims, undo, verify, sum."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._order = undo_order()

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next thing of a rollback."""
        context = RunContext.of(run)
        if context.step == _UNDO:
            return await self._undo(migration, run, context)
        if context.step == _VERIFY:
            return await self._verify(migration, run, context)
        if context.step == _SUM:
            return await self._finish(run)
        return await self._wait_for_claims(run)

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """Announce unfinished batches again; they are made from the ledger alone."""
        del migration
        if untransformed_only:
            return 0
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            batches = [batch for phase in range(1, len(Phase.keys())) for batch in await transaction.list_batches(now.run_id, phase, OPEN_BATCHES)]
            attempt_name = f"again/{int(self._tools.clock.now().timestamp())}"
            for batch in batches:
                records = await transaction.get_records(now.migration_id, batch.keys)
                message = batch_message(batch, [_undo_record(records[key]) for key in batch.keys], manifest_digest="", attempt_name=attempt_name)
                await transaction.add_outbox([message])
        return len(batches)

    async def _wait_for_claims(self, run: Run) -> float:
        """Let calls that are under way come to their end: a claim's holder may still be creating records."""
        tools = self._tools
        moment = tools.steady.now()
        async with tools.ledger.read() as reader:
            claimed = await reader.list_records(run.migration_id, RecordFilter(states=(RecordState.CLAIMED,)))
        ends = [record.claim_expire_time for record in claimed if record.claim_expire_time is not None and record.claim_expire_time > moment]
        if ends:
            await say(tools, run, "waiting for calls under way to end")
            return min(ON_CHANGE_SECONDS, (max(ends) - moment).total_seconds())
        await self._cancel_extractions(run)
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            steps, in_doubt_count = await plan_rollback(transaction, now.migration_id)
            token_count = sum(step.token_count for step in steps)
            payload = {"run_id": now.run_id, "token_count": token_count, "in_doubt_count": in_doubt_count}
            event = EventDraft(kind="rollback.planned", actor=tools.actor, payload={**payload, "steps": {s.target_entity: _words(s) for s in steps}})
            await transaction.append_event(now.migration_id, event)
            await save_step(transaction, now, RunContext.of(now).at(_UNDO), planned_token_count=token_count)
        return AT_ONCE

    async def _cancel_extractions(self, run: Run) -> None:
        """Stop reading for a run that was cancelled. Taking back does not depend on it: what is read meanwhile is only staged."""
        async with self._tools.ledger.read() as reader:
            extractions = await reader.list_extractions(run.migration_id)
        try:
            for extraction in extractions[-EXTRACTIONS_PER_RUN:]:
                if await self._tools.extractor.get_extraction(extraction.extraction_id) is not None:
                    await self._tools.extractor.cancel_extraction(extraction.extraction_id)
        except TransloadError as error:
            _LOG.warning("extraction.not_stopped", migration_id=run.migration_id, run_id=run.run_id, reason=error.reason)

    async def _undo(self, migration: Migration, run: Run, context: RunContext) -> float:
        """Do the next round of the present target entity, or go to the next one; `position` counts the entities done."""
        if context.position >= len(self._order):
            async with self._tools.ledger.transaction() as transaction:
                now = await fresh(transaction, run)
                await save_step(transaction, now, RunContext.of(now).at(_VERIFY), phase=0, activity="comparing with what was there before")
            return AT_ONCE
        phase, entity = self._order[context.position]
        async with self._tools.ledger.read() as reader:
            progress = await reader.phase_progress(run.run_id, phase)
        if not is_done(progress):
            return ON_CHANGE_SECONDS
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now)
            if held.position != context.position:
                return AT_ONCE
            records = await transaction.list_records_to_undo(now.migration_id, phase, entity, run_id=now.run_id, limit=RECORDS_PER_ROUND)
            if entity in WITH_DEAL:
                records = await self._end_with_deals(transaction, migration, now, records)
                if not records and await transaction.list_records_to_undo(now.migration_id, phase, entity, run_id=now.run_id, limit=1):
                    return AT_ONCE
            if records:
                await self._announce(transaction, now, phase, entity, records)
            else:
                await self._next_entity(transaction, now, held, phase, entity)
        return AT_ONCE

    async def _announce(self, transaction: Transaction, run: Run, phase: int, entity: str, records: Sequence[Record]) -> None:
        """Make undo batches; `announced_sequence` numbers them over the whole run."""
        context = RunContext.of(run)
        number = context.announced_sequence
        for start in range(0, len(records), RECORDS_PER_BATCH):
            part = records[start : start + RECORDS_PER_BATCH]
            number += 1
            batch = Batch(
                batch_id=f"{run.run_id}/undo/{phase}/{entity}/{number}",
                migration_id=run.migration_id,
                run_id=run.run_id,
                phase=phase,
                target_entity=entity,
                keys=tuple(record.key for record in part),
                is_undo=True,
            )
            await transaction.add_batches([batch])
            await transaction.add_outbox([batch_message(batch, [_undo_record(record) for record in part], manifest_digest="")])
        activity = f"taking back {entity.replace('_', ' ')}"
        await save_step(transaction, run, replace(context, announced_sequence=number), phase=phase, activity=activity)

    async def _end_with_deals(self, transaction: Transaction, migration: Migration, run: Run, records: Sequence[Record]) -> list[Record]:
        """Mark what died with its deal as taken back; answers what needs calls of its own."""
        deal_ids = {_deal_id(record) for record in records}
        keys = await transaction.find_targets(migration.target_connection, "deal", deal_ids)
        deals = await transaction.get_records(run.migration_id, list(keys.values()))
        gone = {deal.target_id for deal in deals.values() if deal.state is RecordState.UNDONE and not deal.is_preexisting}
        ended = [record for record in records if record.target_id and _deal_id(record) in gone]
        moment = self._tools.clock.now()
        await transaction.save_records(
            [
                replace(record, state=RecordState.UNDONE, undo_run_id=run.run_id, intent_time=None, intent_record=b"", update_time=moment)
                for record in ended
            ]
        )
        drafts = [
            EventDraft(
                kind="record.deleted",
                actor=self._tools.actor,
                key=record.key,
                source_key=record.source_key,
                target_id=record.target_id,
                result="with_deal",
                payload={"run_id": run.run_id, "deal_id": _deal_id(record)},
            )
            for record in ended
        ]
        if drafts:
            await transaction.append_events(run.migration_id, drafts)
        return [record for record in records if not (record.target_id and _deal_id(record) in gone)]

    async def _next_entity(self, transaction: Transaction, run: Run, context: RunContext, phase: int, entity: str) -> None:
        count = await transaction.count_records(run.migration_id, RecordFilter(states=_ENDED, target_entity=entity))
        if count:
            payload = {"run_id": run.run_id, "target_entity": entity, "undone_count": count}
            event = EventDraft(kind="phase.undone", actor=self._tools.actor, result=phase_name(Phase.ValueType(phase)), payload=payload)
            await transaction.append_event(run.migration_id, event)
        await save_step(transaction, run, replace(context, position=context.position + 1))

    async def _verify(self, migration: Migration, run: Run, context: RunContext) -> float:
        """Compare a chunk of what was taken back with what was there before us; `position` counts target entities."""
        tools = self._tools
        entities = [entity for _, entity in self._order if entity not in BY_PARENT and entity not in WITH_DEAL and entity != "user"]
        if context.position >= len(entities):
            async with tools.ledger.transaction() as transaction:
                now = await fresh(transaction, run)
                await save_step(transaction, now, RunContext.of(now).at(_SUM))
            return AT_ONCE
        entity = entities[context.position]
        which = RecordFilter(states=_ENDED, target_entity=entity)
        async with tools.ledger.read() as reader:
            records = await reader.list_records(migration.migration_id, which, after_key=context.after_key, limit=RECORDS_PER_CHUNK)
        taken = [record for record in records if record.undo_run_id == run.run_id and _is_verified(record)]
        read = await read_records(tools, migration, entity, taken)
        rows = [mismatch for record in taken for mismatch in restored_fields(record, read.images.get(record.key))[1]]
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now).counted(verified=len(taken), mismatches=len(rows))
            is_last = len(records) < RECORDS_PER_CHUNK
            held = replace(held, position=held.position + int(is_last), after_key="" if is_last else records[-1].key)
            if context.position == 0 and not context.after_key:
                await transaction.replace_report_rows(now.migration_id, ReportKind.RECONCILIATION, [])
            await transaction.add_report_rows(
                now.migration_id, ReportKind.RECONCILIATION, [mismatch.SerializeToString(deterministic=True) for mismatch in rows]
            )
            await transaction.add_run_tokens(now.run_id, read.token_count, target_entity=entity)
            await save_step(transaction, now, held)
        return AT_ONCE

    async def _finish(self, run: Run) -> float:
        """End the run: rolled back when nothing of ours is left.

        Raises:
            RunFailedError: Something could not be taken back.
        """
        tools = self._tools
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            left = await transaction.count_records_to_undo(now.migration_id)
            if left:
                raise _something_left(left)
            counts = RunContext.of(now).counts
            verified, mismatches = counts.get("verified", 0), counts.get("mismatches", 0)
            head = {"run_id": now.run_id, "record_count": verified, "field_count": verified, "mismatch_count": mismatches, "is_rollback": True}
            report = Report(
                migration_id=now.migration_id,
                kind=ReportKind.RECONCILIATION,
                content=canonical_json(head),
                create_time=tools.clock.now(),
                run_id=now.run_id,
            )
            await transaction.save_report(report)
            payload = {"run_id": now.run_id, "record_count": verified, "mismatch_count": mismatches}
            await transaction.append_event(now.migration_id, EventDraft(kind="rollback.verified", actor=tools.actor, payload=payload))
            await end_run(transaction, now, RunState.SUCCEEDED, tools=tools, mismatch_count=mismatches)
        return AT_ONCE


async def plan_rollback(reader: Reader, migration_id: str) -> tuple[list[UndoStep], int]:
    """Answer the plan and the number of records whose outcome is not known yet. Changes nothing."""
    counts = await reader.count_records_to_undo(migration_id)
    with_deal = {entity: await _count_with_deal(reader, migration_id, entity) for entity in WITH_DEAL}
    return plan_steps(counts, with_deal_counts=with_deal), sum(count.in_doubt_count for count in counts)


async def _count_with_deal(reader: Reader, migration_id: str, entity: str) -> int:
    """Count records that are gone with a deal of ours."""
    migration = await reader.get_migration(migration_id)
    connection = migration.target_connection if migration else ""
    count, after_key = 0, ""
    while True:
        which = RecordFilter(target_entity=entity, has_target=True)
        records = await reader.list_records(migration_id, which, after_key=after_key, limit=RECORDS_PER_ROUND)
        keys = await reader.find_targets(connection, "deal", {_deal_id(record) for record in records})
        deals = await reader.get_records(migration_id, list(keys.values()))
        ours = {deal.target_id for deal in deals.values() if deal.has_target and not deal.is_preexisting}
        count += sum(1 for record in records if _deal_id(record) in ours)
        if len(records) < RECORDS_PER_ROUND:
            return count
        after_key = records[-1].key


def _is_verified(record: Record) -> bool:
    """Say whether a record is read back after a rollback.

    Restored ones always. Deleted ones where a list by ids shows a hundred at once; version 1 would have to read its whole lists, or one by one,
    for what it has already answered to the deletion.
    """
    if not record.target_id or record.reason:
        return False
    return bool(record.pre_image) if record.is_preexisting else record.target_entity not in _TOO_DEAR


def _deal_id(record: Record) -> str:
    """Answer the deal a record hangs on."""
    return record.parent_target_id or (target_id_of(record) if record.target_entity == "deal_value" else "")


def _undo_record(record: Record) -> MappedRecord:
    """Answer a record of a batch that undoes; one in doubt goes with all that is needed to find it."""
    if record.intent_record:
        return MappedRecord.FromString(record.intent_record)
    return MappedRecord(key=record.key, target_entity=record.target_entity, source_entity=record.source_entity, source_id=record.source_id)


def _words(step: UndoStep) -> dict[str, int]:
    return {"delete": step.delete_count, "restore": step.restore_count, "tokens": step.token_count}


def _something_left(left: Sequence[UndoCount]) -> RunFailedError:
    words = ", ".join(f"{count.delete_count + count.restore_count + count.in_doubt_count} x {count.target_entity}" for count in left)
    return RunFailedError(
        "TARGET_REJECTED",
        f"some of it could not be taken back: {words}. The review queue says why for each record; see to it, then roll back again.",
    )
