"""The phases of a run: announces a phase's pages, waits for their work, writes the row-count reconciliation, opens the next phase.

Announcing happens in chunks; each chunk's work rows, messages and position stand in one transaction, so a death between two chunks neither
forgets nor repeats a page. A phase is done when every page is mapped and every batch is final.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson

from services.common.errors import TransloadError
from services.common.phases import TARGET_PHASES, phase_name
from services.ledger.codec import page_to
from services.ledger.domain import BatchState, EventDraft, OutboxMessage, PageWork, ReportKind, RunKind, WorkState
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, ON_CHANGE_SECONDS, Tools, fresh, save_step
from services.ledger.runs.match_index import MatchIndex
from transload.v1.records_pb2 import MappedBatch, MappedRecord, PageAnnouncement, Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.domain import Batch, Migration, Page, PhaseProgress, Run
    from services.ledger.repository import Reader, Transaction

PAGES_PER_ANNOUNCEMENT = 100
# Enough to get a stalled run going; what comes later is announced again by the next stall, if there is one.
PAGES_PER_REPEAT = 5_000
KEYS_PER_SELECTION_ROW = 200

_VERBS = {
    RunKind.SCHEMA: "preparing",
    RunKind.SAMPLE: "loading the sample's",
    RunKind.DELTA: "loading changed",
    RunKind.ROLLBACK: "taking back",
    RunKind.REPAIR: "making again",
}


@dataclass(frozen=True, slots=True)
class PhaseWork:
    """Drives the page work of one run through its phases."""

    tools: Tools

    async def advance(self, migration: Migration, run: Run, *, phases: Sequence[int], next_step: str) -> float:
        """Do the next thing of the open phase; after the last of `phases` the run's step becomes `next_step`."""
        if run.phase == 0:
            await self.open(run, phases[0])
            return AT_ONCE
        context = RunContext.of(run)
        if not context.is_announced:
            if not context.matching or not await MatchIndex(self.tools).advance(migration, run):
                await self._announce(migration, run)
            return AT_ONCE
        progress = await self.tools.ledger.look(lambda reader: reader.phase_progress(run.run_id, run.phase))
        if not is_done(progress):
            return ON_CHANGE_SECONDS
        following = phases[phases.index(run.phase) + 1 :]
        await self.close(run, following[0] if following else 0, next_step)
        return AT_ONCE

    async def open(self, run: Run, phase: int) -> None:
        """Open the run's first phase."""
        async with self.tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            await self._enter(transaction, now, RunContext.of(now).for_next_phase(), phase)

    async def close(self, run: Run, next_phase: int, next_step: str) -> None:
        """Write the reconciliation of the open phase, then open the next one or go to the next step."""
        async with self.tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            if now.phase != run.phase or not is_done(await transaction.phase_progress(now.run_id, now.phase)):
                return
            await transaction.append_event(now.migration_id, await self._reconciled(transaction, now))
            context = RunContext.of(now)
            if next_phase:
                await self._enter(transaction, now, context.for_next_phase(), next_phase)
            else:
                await save_step(transaction, now, context.at(next_step), phase=0)

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """Announce unfinished pages of the open phase again, as a further attempt; answers how many.

        Args:
            migration: The migration.
            run: The run.
            untransformed_only: Leave out pages whose batches are on their way to the loader.
        """
        states = (WorkState.ANNOUNCED,) if untransformed_only else (WorkState.ANNOUNCED, WorkState.TRANSFORMED)
        async with self.tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            if now.phase == 0:
                return 0
            open_work = await transaction.list_page_work(now.run_id, now.phase, states, limit=PAGES_PER_REPEAT)
            again = {work.page_id: replace(work, attempt=work.attempt + 1) for work in open_work}
            pages = await transaction.get_pages(now.migration_id, tuple(again))
            await transaction.save_page_work(tuple(again.values()))
            await transaction.add_outbox([_announcement(migration, now, page, again[page.page_id].attempt) for page in pages])
            if again:
                await transaction.append_event(
                    now.migration_id,
                    EventDraft(
                        kind="work.announced_again",
                        actor=self.tools.actor,
                        result=phase_name(Phase.ValueType(now.phase)),
                        payload={"run_id": now.run_id, "page_count": len(again)},
                    ),
                )
            return len(again)

    async def _enter(self, transaction: Transaction, run: Run, context: RunContext, phase: int) -> None:
        name = phase_name(Phase.ValueType(phase))
        activity = f"{_VERBS.get(run.kind, 'loading')} {name.replace('_', ' ')}"
        await save_step(transaction, run, context, phase=phase, activity=activity)
        event = EventDraft(kind="phase.opened", actor=self.tools.actor, result=name, payload={"run_id": run.run_id, "run_kind": run.kind.value})
        await transaction.append_event(run.migration_id, event)

    async def _announce(self, migration: Migration, run: Run) -> None:
        """Announce the next chunk of the open phase."""
        async with self.tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            context = RunContext.of(now)
            if now.phase != run.phase or context.is_announced:
                return
            if now.kind is not RunKind.SAMPLE and context.announced_sequence < now.snapshot_sequence:
                pages, context = await _next_pages(transaction, now, context)
            else:
                pages, context = await _next_selected_pages(transaction, now, context)
            work = [PageWork(now.run_id, page.page_id, now.phase, now.migration_id) for page in pages]
            await transaction.save_page_work(work)
            await transaction.add_outbox([_announcement(migration, now, page, attempt=1) for page in pages])
            await save_step(transaction, now, context)

    async def _reconciled(self, transaction: Transaction, run: Run) -> EventDraft:
        """Row-count reconciliation of the open phase (L-10): what stands in the ledger for its target entities."""
        progress = await transaction.phase_progress(run.run_id, run.phase)
        sums = {
            count.target_entity: {
                "known": count.expected_count,
                "loaded": count.loaded_count,
                "matched": count.matched_count,
                "skipped": count.skipped_count,
                "rejected": count.rejected_count,
                "waiting": count.waiting_count,
                "undone": count.undone_count,
                "pending": count.pending_count,
            }
            for count in await transaction.summarize_targets(run.migration_id)
            if TARGET_PHASES.get(count.target_entity) == run.phase
        }
        payload = {
            "run_id": run.run_id,
            "page_count": progress.page_count,
            "batch_count": progress.batch_count,
            "record_count": progress.record_count,
            "targets": sums,
        }
        return EventDraft(kind="phase.reconciled", actor=self.tools.actor, result=phase_name(Phase.ValueType(run.phase)), payload=payload)


def is_done(progress: PhaseProgress) -> bool:
    """Say whether nothing of a phase is open."""
    return progress.open_page_count == 0 and progress.open_batch_count == 0


async def save_selection(transaction: Transaction, migration_id: str, source_keys: Sequence[str]) -> None:
    """Remember which source records a run selected, as rows of the plan."""
    ordered = list(dict.fromkeys(source_keys))
    rows = [orjson.dumps(ordered[start : start + KEYS_PER_SELECTION_ROW]) for start in range(0, len(ordered), KEYS_PER_SELECTION_ROW)]
    await transaction.replace_report_rows(migration_id, ReportKind.PLAN, rows)


async def _next_pages(reader: Reader, run: Run, context: RunContext) -> tuple[list[Page], RunContext]:
    """Answer the next chunk of the run's own pages that have targets in the open phase; in a delta, those whose records others look up in it, too."""
    after = max(context.announced_sequence, run.after_sequence)
    pages = await reader.list_pages(run.migration_id, after_sequence=after, until_sequence=run.snapshot_sequence, limit=PAGES_PER_ANNOUNCEMENT)
    entities = context.entities_of(run.phase, with_looked_up=run.kind is RunKind.DELTA)
    reached = pages[-1].sequence if len(pages) == PAGES_PER_ANNOUNCEMENT else run.snapshot_sequence
    is_announced = reached == run.snapshot_sequence and not context.extra_selection
    return [page for page in pages if page.entity in entities], replace(context, announced_sequence=reached, is_announced=is_announced)


async def _next_selected_pages(reader: Reader, run: Run, context: RunContext) -> tuple[list[Page], RunContext]:
    """Answer pages that hold the next chunk of selected records, without those whose work is there already."""
    rows = await reader.list_report_rows(run.migration_id, ReportKind.PLAN, after=context.position, limit=1)
    if not rows:
        return [], replace(context, is_announced=True)
    position, row = rows[0]
    entities = context.entities_of(run.phase)
    ids_by_entity: dict[str, list[str]] = {}
    for source_key in orjson.loads(row):
        entity, _, source_id = source_key.partition("/")
        if entity in entities:
            ids_by_entity.setdefault(entity, []).append(source_id)
    page_ids: set[str] = set()
    for entity, source_ids in ids_by_entity.items():
        found = await reader.get_source_records(run.migration_id, entity, source_ids)
        page_ids.update(record.page_id for record in found.values())
    new = [page_id for page_id in page_ids if await reader.get_page_work(run.run_id, page_id, run.phase) is None]
    pages = [page for page in await reader.get_pages(run.migration_id, new) if page.sequence <= run.snapshot_sequence]
    return pages, replace(context, position=position)


def _announcement(migration: Migration, run: Run, page: Page, attempt: int) -> OutboxMessage:
    """Make the message of the stream RAW for one page of the open phase."""
    is_own = page.sequence > run.after_sequence
    selection = run.selection_digest if run.kind is RunKind.SAMPLE else "" if is_own else RunContext.of(run).extra_selection
    announcement = PageAnnouncement(
        migration_id=migration.migration_id,
        run_id=run.run_id,
        phase=Phase.ValueType(run.phase),
        page=page_to(page),
        manifest_digest=run.manifest_digest,
        snapshot_sequence=run.snapshot_sequence,
        selection_digest=selection,
        is_delta=run.kind is RunKind.DELTA and is_own,
        attempt=attempt,
    )
    return OutboxMessage(
        subject=f"raw.{migration.migration_id}.{page.entity}",
        message_id=f"{run.run_id}/{page.page_id}/{run.phase}/{attempt}",
        payload=announcement.SerializeToString(deterministic=True),
        migration_id=migration.migration_id,
        trace_parent=page.trace_parent,
    )


def batch_message(batch: Batch, records: Sequence[MappedRecord], *, manifest_digest: str, attempt_name: str = "1") -> OutboxMessage:
    """Make the message of the stream MAPPED for a batch the ledger makes itself (schema, undo).

    Args:
        batch: The batch as the ledger keeps it.
        records: Its records, in the order of its keys.
        manifest_digest: The manifest in force; may be empty for a batch that undoes.
        attempt_name: What tells this announcement from earlier ones of the same batch.
    """
    if tuple(record.key for record in records) != batch.keys:
        raise TransloadError(f"batch {batch.batch_id} does not hold the records it was made of")
    message = MappedBatch(
        batch_id=batch.batch_id,
        migration_id=batch.migration_id,
        run_id=batch.run_id,
        phase=Phase.ValueType(batch.phase),
        target_entity=batch.target_entity,
        manifest_digest=manifest_digest,
        records=records,
        is_undo=batch.is_undo,
        attempt=1 if attempt_name == "1" else 2,
    )
    return OutboxMessage(
        subject=f"mapped.{batch.migration_id}.{phase_name(Phase.ValueType(batch.phase))}",
        message_id=f"{batch.batch_id}/{attempt_name}",
        payload=message.SerializeToString(deterministic=True),
        migration_id=batch.migration_id,
    )


OPEN_BATCHES = (BatchState.EXPECTED, BatchState.BEGUN)
"""States in which a batch has not come to its end."""
