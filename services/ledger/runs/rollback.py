"""L-15: takes a migration, or a part of it, back through the loader, with the same claims as loading, and compares the end with the pre-images.

Each round lists what is still to be taken back of one target entity, the latest first, and makes batches of it. What was taken back, kept or
refused in this run drops out of the list, so a crash between any two lines only means that the next round begins with a shorter list.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from services.common import telemetry
from services.common.canonical import canonical_json
from services.common.errors import TransloadError
from services.common.phases import TARGET_PHASES, phase_name
from services.ledger.domain import (
    EventDraft,
    KeptReason,
    MigrationState,
    RecordFilter,
    RecordState,
    Report,
    ReportKind,
    RunState,
    UndoCount,
)
from services.ledger.keeping import OURS, Keeping, read_keeping
from services.ledger.reconciliation import BY_PARENT, restored_fields
from services.ledger.rollback import OTHERS, READ_BY_PAGES, ROUND_RECORDS, ROUND_RECORDS_READ_BY_PAGES, SWEPT, WITH_DEAL, undo_order
from services.ledger.runs import undo_batches
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, ON_CHANGE_SECONDS, RunFailedError, Tools, current_migration, end_run, fresh, save_step, say
from services.ledger.runs.phases import is_done
from services.ledger.runs.reading import read_records
from services.ledger.runs.rollback_plan import deals_with_doubtful_lines, plan_of_run
from services.ledger.runs.rounds import end_with_deals, keep_some
from services.ledger.runs.schema_turn import takes_turn
from services.ledger.runs.sweep import sweep
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.domain import Migration, Record, Run, Scope
    from services.ledger.repository import Transaction

_LOG = telemetry.get_logger(__name__)

_UNDO, _VERIFY, _SUM = "undo", "verify", "sum"
RECORDS_PER_CHUNK: Final = 400
EXTRACTIONS_PER_RUN: Final = 2
SWEEP_AGAIN_SECONDS: Final = 600
"""What people hung on records of ours is looked for again before a round when the last look is older."""
_ENDED = (RecordState.UNDONE,)


class RollbackDriver:
    """Drives runs of kind rollback: wait for claims, undo, verify, sum."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next thing of a rollback."""
        context = RunContext.of(run)
        if context.step == _UNDO:
            return await self._undo(migration, run, context)
        if context.step == _VERIFY:
            return await self._verify(migration, run, context)
        if context.step == _SUM:
            return await self._finish(run)
        return await self._begin(migration, run)

    @staticmethod
    def order(scope: Scope) -> tuple[tuple[int, str], ...]:
        """Answer (phase, target entity) in the order things are taken back."""
        return undo_order(scope)

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """Announce unfinished batches again; they are made from the ledger alone."""
        del migration
        if untransformed_only:
            return 0
        return await undo_batches.announce_again(self._tools, run, range(1, len(Phase.keys())))

    async def _begin(self, migration: Migration, run: Run) -> float:
        """Let calls that are under way come to their end - a claim's holder may still be creating records -, then plan."""
        tools = self._tools
        moment = tools.steady.now()
        async with tools.ledger.read() as reader:
            claimed = await reader.list_records(run.migration_id, RecordFilter(states=(RecordState.CLAIMED,)))
        ends = [tools.steady.end_of(record.claim_expire_time, tools.claim_ttl) for record in claimed if record.claim_expire_time is not None]
        if ends and max(ends) > moment:
            await say(tools, run, "waiting for calls under way to end")
            return min(ON_CHANGE_SECONDS, (max(ends) - moment).total_seconds())
        await self._cancel_extractions(run)
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            plan = await plan_of_run(transaction, migration, now, tools.clock.now())
            token_count = sum(step.token_count for step in plan.steps)
            payload = {"run_id": now.run_id, "token_count": token_count, "in_doubt_count": plan.in_doubt_count}
            steps = {
                s.target_entity: {"delete": s.delete_count, "restore": s.restore_count, "tokens": s.token_count, "read_tokens": s.read_token_count}
                for s in plan.steps
            }
            await transaction.append_event(
                now.migration_id, EventDraft(kind="rollback.planned", actor=tools.actor, payload={**payload, "steps": steps})
            )
            await transaction.replace_report_rows(now.migration_id, ReportKind.RECONCILIATION, [])
            context = replace(
                RunContext.of(now).at(_UNDO), sweeps=plan.sweeps, doubtful=await deals_with_doubtful_lines(transaction, now.migration_id)
            )
            await save_step(transaction, now, context, planned_token_count=token_count)
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
        tools = self._tools
        order = self.order(context.scope)
        if context.position >= len(order):
            async with tools.ledger.transaction() as transaction:
                now = await fresh(transaction, run)
                await save_step(transaction, now, RunContext.of(now).at(_VERIFY), phase=0, activity="comparing with what was there before")
            return AT_ONCE
        phase, entity = order[context.position]
        size = ROUND_RECORDS_READ_BY_PAGES if entity in READ_BY_PAGES else ROUND_RECORDS
        async with tools.ledger.read() as reader:
            progress = await reader.phase_progress(run.run_id, phase)
            records = await reader.list_records_to_undo(
                run.migration_id, phase, entity, run_id=run.run_id, is_selected=context.scope.is_partial, limit=size
            )
        if not is_done(progress):
            return ON_CHANGE_SECONDS
        if (kind := self._to_sweep(context, entity, has_more=bool(records))) is not None:
            await self._sweep(migration, run, kind)
        elif records:
            if phase == Phase.PHASE_SCHEMA and not context.has_schema_turn and not await takes_turn(tools, migration, run):
                return ON_CHANGE_SECONDS
            await self._round(migration, run, phase, entity, records)
        else:
            await self._next_entity(run, context, phase, entity)
        return AT_ONCE

    def _to_sweep(self, context: RunContext, entity: str, *, has_more: bool) -> str | None:
        """Answer a kind to be read now: this one, when it is done; before more is taken, one that may refer to it and was read long ago."""
        if not has_more:
            return entity if entity in context.sweeps and entity not in context.swept else None
        if context.scope.deletes_edited:
            return None
        border = self._tools.clock.now().timestamp() - SWEEP_AGAIN_SECONDS
        return next((kind for kind, moment in context.swept.items() if moment < border and entity in OTHERS[kind]), None)

    async def _sweep(self, migration: Migration, run: Run, kind: str) -> None:
        tools = self._tools
        await say(tools, run, f"looking for people's own work: {kind.replace('_', ' ')}")
        began = int(tools.clock.now().timestamp())
        found = await sweep(tools, migration, run, kind)
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now)
            rows = [] if kind in held.swept else [mismatch.SerializeToString(deterministic=True) for mismatch in found.left]
            await transaction.add_report_rows(now.migration_id, ReportKind.RECONCILIATION, rows)
            if not held.scope.deletes_edited:
                await transaction.save_kept(found.theirs)
            await transaction.add_run_tokens(now.run_id, found.token_count, target_entity=kind)
            held = replace(held.counted(mismatches=len(rows)), swept={**held.swept, kind: began})
            await save_step(transaction, now, held)

    async def _round(self, migration: Migration, run: Run, phase: int, entity: str, records: Sequence[Record]) -> None:
        """Keep what must stay of the records, and announce the others."""
        tools = self._tools
        looks = not RunContext.of(run).scope.deletes_edited
        looked = tools.clock.now()
        async with tools.ledger.read() as reader:
            keeping = await read_keeping(reader, run.migration_id) if looks else Keeping()
        compared = _compared(entity, records, keeping) if looks else []
        is_newest_first = entity in READ_BY_PAGES
        read = await read_records(tools, migration, entity, compared, is_newest_first=is_newest_first, is_rollback=True)
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            context = RunContext.of(now)
            if context.position != RunContext.of(run).position or context.step != _UNDO:
                return
            if read.token_count:
                await transaction.add_run_tokens(now.run_id, read.token_count, target_entity=entity)
            left = await keep_some(transaction, now, records, keeping, read.images, actor=tools.actor, moment=looked)
            if entity in WITH_DEAL:
                left = await end_with_deals(transaction, migration, now, left, actor=tools.actor, moment=looked)
            context = replace(context, look_time=looked.timestamp() if looks and is_newest_first else 0.0)
            await self._announce(transaction, now, context, (phase, entity), left)

    async def _announce(self, transaction: Transaction, run: Run, context: RunContext, place: tuple[int, str], records: Sequence[Record]) -> None:
        """Make undo batches; `announced_sequence` numbers them over the whole run."""
        phase, entity = place
        number = await undo_batches.announce(
            transaction, run, prefix="undo", phase=phase, entity=entity, records=records, number=context.announced_sequence
        )
        activity = f"taking back {entity.replace('_', ' ')}"
        await save_step(transaction, run, replace(context, announced_sequence=number), phase=phase, activity=activity)

    async def _next_entity(self, run: Run, context: RunContext, phase: int, entity: str) -> None:
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now)
            if held.position != context.position:
                return
            count = await transaction.count_records(now.migration_id, RecordFilter(states=_ENDED, target_entity=entity))
            if count:
                payload = {"run_id": now.run_id, "target_entity": entity, "undone_count": count}
                event = EventDraft(kind="phase.undone", actor=self._tools.actor, result=phase_name(Phase.ValueType(phase)), payload=payload)
                await transaction.append_event(now.migration_id, event)
            await save_step(transaction, now, replace(held, position=held.position + 1))

    async def _verify(self, migration: Migration, run: Run, context: RunContext) -> float:
        """Compare a chunk of what no sweep has seen: restored records, and schema, which must be gone; `position` counts entities."""
        tools = self._tools
        entities = [entity for _, entity in undo_order(context.scope) if entity not in WITH_DEAL and entity != "user"]
        if context.position >= len(entities):
            async with tools.ledger.transaction() as transaction:
                now = await fresh(transaction, run)
                await save_step(transaction, now, RunContext.of(now).at(_SUM))
            return AT_ONCE
        entity = entities[context.position]
        which = RecordFilter(states=_ENDED, target_entity=entity)
        async with tools.ledger.read() as reader:
            records = await reader.list_records(migration.migration_id, which, after_key=context.after_key, limit=RECORDS_PER_CHUNK)
        ended = [record for record in records if record.undo_run_id == run.run_id and record.target_id and not _is_kept(record)]
        taken = [record for record in ended if _is_read_back(record)]
        read = await read_records(tools, migration, entity, taken, is_rollback=True)
        rows = [mismatch for record in taken for mismatch in restored_fields(record, read.images.get(record.key))[1]]
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now).counted(verified=len(ended), mismatches=len(rows))
            is_last = len(records) < RECORDS_PER_CHUNK
            held = replace(held, position=held.position + int(is_last), after_key="" if is_last else records[-1].key)
            await transaction.add_report_rows(
                now.migration_id, ReportKind.RECONCILIATION, [mismatch.SerializeToString(deterministic=True) for mismatch in rows]
            )
            await transaction.add_run_tokens(now.run_id, read.token_count, target_entity=entity)
            await save_step(transaction, now, held)
        return AT_ONCE

    async def _finish(self, run: Run) -> float:
        """End the run: everything, or its part, is taken back when nothing of ours is left but what was kept.

        Raises:
            RunFailedError: Something could not be taken back.
        """
        tools = self._tools
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            context = RunContext.of(now)
            kept = await _kept_by(transaction, now)
            left = await _left(transaction, now, kept)
            if left:
                raise _something_left(left)
            verified, mismatches = context.counts.get("verified", 0), context.counts.get("mismatches", 0)
            head = {"run_id": now.run_id, "record_count": verified, "field_count": verified, "mismatch_count": mismatches, "is_rollback": True}
            report = Report(
                migration_id=now.migration_id,
                kind=ReportKind.RECONCILIATION,
                content=canonical_json(head),
                create_time=tools.clock.now(),
                run_id=now.run_id,
            )
            await transaction.save_report(report)
            payload = {"run_id": now.run_id, "record_count": verified, "mismatch_count": mismatches, "kept_count": sum(kept.values())}
            tokens = {"planned_token_count": now.planned_token_count, "token_count": now.token_count}
            await transaction.append_event(now.migration_id, EventDraft(kind="rollback.verified", actor=tools.actor, payload=payload | tokens))
            migration = await end_run(transaction, now, RunState.SUCCEEDED, tools=tools, mismatch_count=mismatches)
            if context.scope.is_sample:
                await _rehearsed(transaction, migration, is_clean=not mismatches and not kept, tools=tools)
        return AT_ONCE


def _compared(entity: str, records: Sequence[Record], keeping: Keeping) -> list[Record]:
    """Answer the records that are read here: notes and files, which the loader cannot list by their ids, and what stays for others' sake.

    Of the latter it says what a person changed, and to what they refer now. What is deleted is compared by the loader right before.
    """
    standing = [record for record in records if record.target_id]
    if entity in READ_BY_PAGES:
        return standing
    if TARGET_PHASES[entity] == Phase.PHASE_SCHEMA or entity in {"deal_value", "user"}:
        return []
    return [record for record in standing if keeping.needs(record)]


async def _rehearsed(transaction: Transaction, migration: Migration, *, is_clean: bool, tools: Tools) -> None:
    """Note whether a sample left nothing behind: only then it counts as a rehearsal. Else a new sample is needed."""
    migration = await current_migration(transaction, migration.migration_id)
    if not migration.approved_digest:
        return
    if is_clean:
        changed = replace(migration, rehearsed_digest=migration.approved_digest)
    else:
        changed = replace(
            migration, state=MigrationState.PREPARED, diff_digest="", approved_digest="", approver="", approve_time=None, rehearsed_digest=""
        )
    await transaction.save_migration(changed)
    result = "passed" if is_clean else "failed"
    payload = {"diff_digest": migration.approved_digest}
    await transaction.append_event(migration.migration_id, EventDraft("rehearsal.finished", tools.actor, result=result, payload=payload))


async def _kept_by(transaction: Transaction, run: Run) -> dict[str, int]:
    """Count what this run kept or could not give back, by target entity."""
    counts: dict[str, int] = {}
    after_key = ""
    while True:
        rows = await transaction.list_kept(run.migration_id, after_key=after_key)
        for row in rows:
            if row.run_id == run.run_id and row.reason in {*OURS, KeptReason.UNRESTORED}:
                counts[row.target_entity] = counts.get(row.target_entity, 0) + 1
        if not rows:
            return counts
        after_key = rows[-1].key


async def _left(transaction: Transaction, run: Run, kept: dict[str, int]) -> list[UndoCount]:
    """Answer what was meant and is neither taken back nor kept."""
    scope = RunContext.of(run).scope
    counts = await transaction.count_records_to_undo(run.migration_id, selected_by=run.run_id if scope.is_partial else "")
    entities = {entity for _, entity in undo_order(scope)}
    left = []
    for count in counts:
        # In a part, what is kept is loaded as before.
        stays = 0 if scope.is_whole else kept.get(count.target_entity, 0)
        if count.target_entity in entities and count.delete_count + count.restore_count + count.in_doubt_count > stays:
            left.append(count)
    return left


def _is_kept(record: Record) -> bool:
    return bool(record.reason) and record.reason.startswith("KEPT")


def _is_read_back(record: Record) -> bool:
    """Say whether a record is read back after a rollback: restored ones, and schema; deleted records were looked for by the sweeps."""
    if record.is_preexisting:
        return bool(record.pre_image)
    return record.target_entity not in SWEPT and record.target_entity not in BY_PARENT and TARGET_PHASES[record.target_entity] == Phase.PHASE_SCHEMA


def _something_left(left: Sequence[UndoCount]) -> RunFailedError:
    words = ", ".join(f"{count.delete_count + count.restore_count + count.in_doubt_count} x {count.target_entity}" for count in left)
    return RunFailedError(
        "TARGET_REJECTED",
        f"some of it could not be taken back: {words}. The review queue says why for each record; see to it, then roll back again.",
    )
