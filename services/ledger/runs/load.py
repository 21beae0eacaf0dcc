"""L-08, L-10, L-11: sample, full load and delta. All three announce frozen pages phase by phase; they differ in which pages and records."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from services.common.phases import PHASES
from services.ledger.delta import Policies, bound_policies
from services.ledger.domain import EventDraft, ExtractionState, RecordFilter, RecordState, Resolution, ReviewFilter, Run, RunState, SourceState
from services.ledger.outcomes import ROLLED_BACK
from services.ledger.review import AGAIN
from services.ledger.runs.context import RunContext, dispositions_from
from services.ledger.runs.diffing import DiffWork
from services.ledger.runs.driver import AT_ONCE, Tools, current_migration, end_run, fresh, mapping_yaml_of, save_step, say, snapshot_of
from services.ledger.runs.extraction import ExtractionWork, unread_entities
from services.ledger.runs.manifest import save_manifest
from services.ledger.runs.match_index import bound_matching
from services.ledger.runs.phases import PhaseWork, save_selection
from services.ledger.runs.relink import RelinkWork
from services.ledger.runs.removal import RemovalWork
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from services.ledger.domain import Migration
    from services.ledger.repository import Reader, Transaction

DATA_PHASES = tuple(phase for phase in PHASES if phase not in {Phase.PHASE_USERS, Phase.PHASE_SCHEMA})
"""Of a load, in order; the last are the late links."""
SAMPLE_SIZE_DEFAULT = 150
# The source's clock and ours may differ, and a change may become visible later than its own time says.
DELTA_OVERLAP = timedelta(hours=1)
ROWS_PER_READ = 500

_PHASES, _USERS, _REBIND, _FINISH, _DIFF = "phases", "users", "rebind", "finish", "diff"
_EXTRACT, _UNREAD, _EXTRACT_UNREAD, _PREPARE = "extract", "unread", "extract_unread", "prepare"
_SHORTEN, _LATE_LINKS, _REMOVE = "shorten", "late_links", "remove"


class SampleDriver:
    """Drives runs of kind sample: select, load the selection through the phases, compute the diff."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._phases = PhaseWork(tools)
        self._diff = DiffWork(tools)

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next thing of a sample."""
        step = RunContext.of(run).step
        if step == _PHASES:
            return await self._phases.advance(migration, run, phases=DATA_PHASES, next_step=_DIFF)
        if step == _DIFF:
            return await self._diff.advance(migration, run)
        return await self._select(migration, run)

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """Announce unfinished pages again."""
        return await self._phases.announce_again(migration, run, untransformed_only=untransformed_only)

    async def _select(self, migration: Migration, run: Run) -> float:
        tools = self._tools
        await say(tools, run, "choosing the sample")
        mapping_yaml = await mapping_yaml_of(tools, migration)
        async with tools.ledger.read() as reader:
            sequence = await reader.page_sequence(migration.migration_id)
        size = RunContext.of(run).sample_size or SAMPLE_SIZE_DEFAULT
        selection = await tools.transformer.select_sample(snapshot_of(migration, sequence), mapping_yaml, size)
        compiled = await tools.transformer.compile_schema(mapping_yaml)
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            await save_selection(transaction, now.migration_id, selection.source_keys)
            context = replace(
                RunContext.of(now).at(_PHASES),
                dispositions=dispositions_from(list(compiled.dispositions)),
                coverage=tuple(selection.coverage),
                policies=await bound_policies(transaction, now.migration_id, compiled.delta_policy),
                matching=await bound_matching(transaction, now.migration_id, compiled.matching_json),
            )
            payload = {
                "run_id": now.run_id,
                "selection_digest": selection.selection_digest,
                "record_count": selection.record_count,
                "coverage": list(selection.coverage),
            }
            await transaction.append_event(now.migration_id, EventDraft(kind="sample.selected", actor=tools.actor, payload=payload))
            await save_step(
                transaction,
                now,
                context,
                selection_digest=selection.selection_digest,
                snapshot_sequence=sequence,
                manifest_digest=migration.manifest_digest,
            )
        return AT_ONCE


class LoadDriver:
    """Drives runs of kind load: all frozen pages, all data phases."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._phases = PhaseWork(tools)

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next thing of a full load."""
        step = RunContext.of(run).step
        if step == _PHASES:
            return await self._phases.advance(migration, run, phases=DATA_PHASES, next_step=_FINISH)
        if step == _FINISH:
            return await finish_load(self._tools, run)
        return await self._prepare(migration, run)

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """Announce unfinished pages again."""
        return await self._phases.announce_again(migration, run, untransformed_only=untransformed_only)

    async def _prepare(self, migration: Migration, run: Run) -> float:
        tools = self._tools
        await say(tools, run, "preparing the load")
        compiled = await tools.transformer.compile_schema(await mapping_yaml_of(tools, migration))
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            policies = await bound_policies(transaction, now.migration_id, compiled.delta_policy)
            matching = await bound_matching(transaction, now.migration_id, compiled.matching_json)
            dispositions = dispositions_from(list(compiled.dispositions))
            context = replace(RunContext.of(now).at(_PHASES), dispositions=dispositions, policies=policies, matching=matching)
            await skip_unmapped(transaction, tools, now, context)
            sequence = await transaction.page_sequence(now.migration_id)
            await save_step(transaction, now, context, snapshot_sequence=sequence, manifest_digest=migration.manifest_digest)
        return AT_ONCE


class DeltaDriver:
    """Drives runs of kind delta: reads what changed, then maps it, and with it what a person or a missing reference held up."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._phases = PhaseWork(tools)
        self._extraction = ExtractionWork(tools)
        self._shortening = RemovalWork(tools, only_shortens=True)
        self._removal = RemovalWork(tools)
        self._relink = RelinkWork(tools)

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next thing of a delta."""
        step = RunContext.of(run).step
        if step == _EXTRACT:
            return await self._extraction.advance(migration, run, next_step=_UNREAD)
        if step == _UNREAD:
            return await self._begin_unread(run)
        if step == _EXTRACT_UNREAD:
            return await self._extraction.advance(migration, run, next_step=_PREPARE)
        if step == _PREPARE:
            return await self._prepare(migration, run)
        if step == _USERS:
            return await self._phases.advance(migration, run, phases=(Phase.PHASE_USERS,), next_step=_REBIND)
        if step == _REBIND:
            return await self._rebind(migration, run)
        if step == _PHASES:
            return await self._through(migration, run, DATA_PHASES[:-1], _SHORTEN)
        if step == _SHORTEN:
            return await self._shortening.advance(run, next_step=_LATE_LINKS)
        if step == _LATE_LINKS:
            return await self._through(migration, run, DATA_PHASES[-1:], _REMOVE)
        if step == _REMOVE:
            return await self._removal.advance(run, next_step=_FINISH)
        if step == _FINISH:
            await self._relink.forget(run)
            return await finish_load(self._tools, run)
        return await self._begin(migration, run)

    async def _through(self, migration: Migration, run: Run, phases: Sequence[int], next_step: str) -> float:
        if run.phase and await self._relink.advance(run):
            return AT_ONCE
        return await self._phases.advance(migration, run, phases=phases, next_step=next_step)

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """Announce unfinished work again."""
        step = RunContext.of(run).step
        if step in {_SHORTEN, _REMOVE}:
            removal = self._removal if step == _REMOVE else self._shortening
            return 0 if untransformed_only else await removal.announce_again(run)
        return await self._phases.announce_again(migration, run, untransformed_only=untransformed_only)

    async def _begin(self, migration: Migration, run: Run) -> float:
        """Remember where the delta's own pages begin, and start reading what changed since the last complete reading."""
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            since = await changed_since(transaction, migration.migration_id)
            sequence = await transaction.page_sequence(now.migration_id)
            await save_step(transaction, now, RunContext.of(now), after_sequence=sequence)
        await self._extraction.begin(run, name="x1", step=_EXTRACT, changed_since=since)
        return AT_ONCE

    async def _begin_unread(self, run: Run) -> float:
        """Read entities from the start whose last reading failed: what changed in them before is not among the changes."""
        async with self._tools.ledger.read() as reader:
            entities = await unread_entities(reader, run.migration_id)
        if entities:
            await self._extraction.begin(run, name="x2", step=_EXTRACT_UNREAD, changed_since=None, entities=entities)
            return AT_ONCE
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            await save_step(transaction, now, RunContext.of(now).at(_PREPARE))
        return AT_ONCE

    async def _prepare(self, migration: Migration, run: Run) -> float:
        tools = self._tools
        await say(tools, run, "preparing what changed")
        held = RunContext.of(run)
        compiled = await tools.transformer.compile_schema(await mapping_yaml_of(tools, migration), conflicts=held.conflicts, deletions=held.deletions)
        if RunContext.of(run).includes_rolled_back:
            await take_up_rolled_back(tools, run)
        async with tools.ledger.read() as reader:
            again = [source_key async for source_key in keys_to_take_up_again(reader, migration.migration_id)]
        selection = await tools.selections.put_selection(again) if again else ""
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            await save_selection(transaction, now.migration_id, again)
            policies = await bound_policies(transaction, now.migration_id, compiled.delta_policy)
            context = replace(
                RunContext.of(now).at(_USERS),
                dispositions=dispositions_from(list(compiled.dispositions)),
                extra_selection=selection,
                policies=policies,
                matching=await bound_matching(transaction, now.migration_id, compiled.matching_json),
            )
            await skip_unmapped(transaction, tools, now, context)
            sequence = await transaction.page_sequence(now.migration_id)
            await save_step(transaction, now, context, snapshot_sequence=sequence, manifest_digest=migration.manifest_digest)
            payload = {"run_id": now.run_id, "page_count": sequence - now.after_sequence, "taken_up_again_count": len(again)}
            payload["policies"] = {"conflicts": Policies.of(replace(now, context_json=context.to_json()), migration).conflicts or "ask", **policies}
            if held.conflicts or held.deletions:
                payload["overrides"] = [*held.conflicts, *held.deletions]
            await transaction.append_event(now.migration_id, EventDraft(kind="delta.prepared", actor=tools.actor, payload=payload))
        return AT_ONCE

    async def _rebind(self, migration: Migration, run: Run) -> float:
        """Users may have been matched in this delta: bind them, so that owners of later records are found."""
        tools = self._tools
        mapping_yaml = await mapping_yaml_of(tools, migration)
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            migration = await current_migration(transaction, now.migration_id)
            manifest_digest = await save_manifest(transaction, migration, mapping_yaml, is_bound=True, now=tools.clock.now())
            await transaction.save_migration(replace(migration, manifest_digest=manifest_digest))
            await save_step(transaction, now, RunContext.of(now).at(_PHASES), manifest_digest=manifest_digest)
        return AT_ONCE


async def finish_load(tools: Tools, run: Run) -> float:
    """End a load or delta with its sums (X-04) on the trail."""
    async with tools.ledger.transaction() as transaction:
        now = await fresh(transaction, run)
        sums = {
            count.source_entity: {
                "extracted": count.extracted_count,
                "loaded": count.loaded_count,
                "matched": count.matched_count,
                "skipped": count.skipped_count,
                "rejected": count.rejected_count,
                "waiting": count.waiting_count,
                "pending": count.pending_count,
            }
            for count in await transaction.summarize_sources(now.migration_id)
        }
        results: dict[str, dict[str, int]] = {}
        for result in await transaction.list_run_results(now.run_id):
            results.setdefault(result.target_entity, {})[result.result] = result.count
        await end_run(transaction, now, RunState.SUCCEEDED, tools=tools, sums=sums, results=results)
    return AT_ONCE


async def skip_unmapped(transaction: Transaction, tools: Tools, run: Run, context: RunContext) -> None:
    """Give the records of entities that no phase takes their final state at once."""
    skipped: dict[str, int] = {}
    for entity, disposition in context.dispositions.items():
        if not disposition.phases:
            reason = disposition.skip_reason or "SKIPPED_NOT_MAPPED"
            count = await transaction.skip_entity(run.migration_id, entity, reason, tools.clock.now())
            if count:
                skipped[entity] = count
    if skipped:
        payload = {"run_id": run.run_id, "record_counts": skipped}
        await transaction.append_event(run.migration_id, EventDraft(kind="entities.skipped", actor=tools.actor, payload=payload))


async def changed_since(reader: Reader, migration_id: str) -> datetime | None:
    """Answer from when on changes are read: the start of the last complete reading, with some overlap; None: read everything."""
    done = [extraction for extraction in await reader.list_extractions(migration_id) if extraction.state is ExtractionState.DONE]
    return done[-1].start_time - DELTA_OVERLAP if done else None


async def take_up_rolled_back(tools: Tools, run: Run) -> None:
    """Let this delta load again what partial rollbacks took back. Doing it twice changes nothing."""
    after_key = ""
    while True:
        async with tools.ledger.transaction() as transaction:
            await fresh(transaction, run)
            which = RecordFilter(states=(RecordState.UNDONE,), reason=ROLLED_BACK)
            records = await transaction.list_records(run.migration_id, which, after_key=after_key, limit=ROWS_PER_READ)
            await transaction.save_records([replace(record, resolution=Resolution.RETRY) for record in records])
        if len(records) < ROWS_PER_READ:
            return
        after_key = records[-1].key


async def keys_to_take_up_again(reader: Reader, migration_id: str) -> AsyncIterator[str]:
    """Yield source records that wait although nothing changed in the source: a person decided, or a reference may be there by now."""
    after_key = ""
    while True:
        which = RecordFilter(states=(RecordState.WAITING, RecordState.UNDONE))
        records = await reader.list_records(migration_id, which, after_key=after_key, limit=ROWS_PER_READ)
        for record in records:
            if record.resolution in AGAIN or (record.state is RecordState.WAITING and record.reason == "REFERENCE_MISSING"):
                yield record.source_key
        if len(records) < ROWS_PER_READ:
            break
        after_key = records[-1].key
    after = ""
    while True:
        issues = await reader.list_source_issues(migration_id, state=SourceState.WAITING, after=after, limit=ROWS_PER_READ)
        for issue in issues:
            if issue.reason == "REFERENCE_MISSING" or await _is_resolved_to_retry(reader, migration_id, issue.source_key):
                yield issue.source_key
        if len(issues) < ROWS_PER_READ:
            return
        after = issues[-1].source_key


async def _is_resolved_to_retry(reader: Reader, migration_id: str, source_key: str) -> bool:
    items = await reader.list_review_items(migration_id, ReviewFilter(source_key=source_key, includes_resolved=True), limit=ROWS_PER_READ)
    return any(item.is_blocking and not item.key and item.resolution is Resolution.RETRY for item in items)
