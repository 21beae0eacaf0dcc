"""L-04, L-05: matches users, then creates fields, options, pipelines, stages and activity types, and binds the manifest.

Schema records are mapped records like deals: the ledger makes their batches itself from `CompileSchema`, one target entity after the other, so that
a pipeline stands before its stages, and the fallback user before the users that may fall back to it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.common.phases import TARGET_PHASES
from services.ledger.domain import Batch, EventDraft, Record, RecordFilter, RecordState, Resolution, RunState
from services.ledger.load_plan import load_plan_of
from services.ledger.runs.audit import inspect_target
from services.ledger.runs.context import RunContext, dispositions_from
from services.ledger.runs.driver import (
    AT_ONCE,
    ON_CHANGE_SECONDS,
    RunFailedError,
    Tools,
    current_migration,
    end_run,
    fresh,
    mapping_yaml_of,
    save_step,
    say,
)
from services.ledger.runs.manifest import save_manifest
from services.ledger.runs.phases import OPEN_BATCHES, PhaseWork, batch_message, is_done
from services.ledger.runs.schema_turn import takes_turn
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from services.ledger.domain import Migration, Run
    from transload.v1.records_pb2 import MappedRecord

_COMPILE, _FALLBACK, _USERS, _SCHEMA, _BIND = "compile", "fallback", "users", "schema", "bind"
RECORDS_PER_BATCH = 50
_REFUSED = frozenset({RecordState.REJECTED, RecordState.WAITING})

SCHEMA_ENTITIES = tuple(entity for entity, phase in TARGET_PHASES.items() if phase == Phase.PHASE_SCHEMA)
"""Target entities of the schema phase in the order they are made."""


class SchemaDriver:
    """Drives runs of kind schema."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._phases = PhaseWork(tools)

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next thing of a schema run."""
        step = RunContext.of(run).step
        if step == _COMPILE:
            return await self._compile(migration, run)
        if step == _FALLBACK:
            return await self._advance_groups(migration, run, Phase.PHASE_USERS, ("user",), _USERS)
        if step == _USERS:
            return await self._phases.advance(migration, run, phases=(Phase.PHASE_USERS,), next_step=_SCHEMA)
        if step == _SCHEMA:
            return await self._advance_groups(migration, run, Phase.PHASE_SCHEMA, SCHEMA_ENTITIES, _BIND)
        if step == _BIND:
            return await self._bind(migration, run)
        if not await takes_turn(self._tools, migration, run):
            return ON_CHANGE_SECONDS
        return await inspect_target(self._tools, migration, run, next_step=_COMPILE)

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """Announce unfinished pages and batches again."""
        count = await self._phases.announce_again(migration, run, untransformed_only=untransformed_only)
        if untransformed_only:
            return count
        async with self._tools.ledger.read() as reader:
            batches = [batch for batch in await reader.list_batches(run.run_id, run.phase, OPEN_BATCHES) if not batch.page_id]
        if not batches:
            return count
        compiled = {record.key: record for record in await self._compiled(migration)}
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            attempt_name = f"again/{int(self._tools.clock.now().timestamp())}"
            await transaction.add_outbox(
                [
                    batch_message(batch, [compiled[key] for key in batch.keys], manifest_digest=now.manifest_digest, attempt_name=attempt_name)
                    for batch in batches
                    if all(key in compiled for key in batch.keys)
                ]
            )
        return count + len(batches)

    async def _compiled(self, migration: Migration) -> Sequence[MappedRecord]:
        return list((await self._tools.transformer.compile_schema(await mapping_yaml_of(self._tools, migration))).records)

    async def _compile(self, migration: Migration, run: Run) -> float:
        """Learn what the mapping needs and make the manifest that users and schema are made with."""
        tools = self._tools
        await say(tools, run, "compiling the mapping")
        mapping_yaml = await mapping_yaml_of(tools, migration)
        response = await tools.transformer.compile_schema(mapping_yaml)
        # From here on tokens are spent by this mapping, so its plan is made before; a person may have edited it since the audit.
        await load_plan_of(tools, migration)
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            migration = await current_migration(transaction, now.migration_id)
            manifest_digest = await save_manifest(transaction, migration, mapping_yaml, is_bound=False, now=tools.clock.now())
            context = replace(RunContext.of(now).at(_FALLBACK), dispositions=dispositions_from(list(response.dispositions)))
            sequence = await transaction.page_sequence(now.migration_id)
            await save_step(transaction, now, context, manifest_digest=manifest_digest, snapshot_sequence=sequence)
        return AT_ONCE

    async def _advance_groups(self, migration: Migration, run: Run, phase: int, entities: Sequence[str], next_step: str) -> float:
        """Bring compiled records through, one target entity after the other; `position` counts the entities announced."""
        if run.phase != phase:
            await self._phases.open(run, phase)
            return AT_ONCE
        context = RunContext.of(run)
        async with self._tools.ledger.read() as reader:
            progress = await reader.phase_progress(run.run_id, phase)
        if not is_done(progress):
            return ON_CHANGE_SECONDS
        if context.position < len(entities):
            await self._announce_group(migration, run, entities)
        elif next_step == _USERS:  # the pages of the same phase follow
            async with self._tools.ledger.transaction() as transaction:
                now = await fresh(transaction, run)
                await save_step(transaction, now, RunContext.of(now).at(next_step))
        else:
            await self._phases.close(run, 0, next_step)
        return AT_ONCE

    async def _announce_group(self, migration: Migration, run: Run, entities: Sequence[str]) -> None:
        compiled = await self._compiled(migration)
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            context = RunContext.of(now)
            entity = entities[context.position]
            records = [record for record in compiled if record.target_entity == entity]
            known = await transaction.get_records(now.migration_id, [record.key for record in records])
            await transaction.add_records([_expected(now, record) for record in records if record.key not in known])
            # What Pipedrive refused before (a cap, say) is tried again in every new run.
            await transaction.save_records([replace(record, resolution=Resolution.RETRY) for record in known.values() if record.state in _REFUSED])
            for number, part in enumerate(_parts(records)):
                batch = Batch(
                    batch_id=f"{now.run_id}/ledger/{now.phase}/{entity}/{number}",
                    migration_id=now.migration_id,
                    run_id=now.run_id,
                    phase=now.phase,
                    target_entity=entity,
                    keys=tuple(record.key for record in part),
                )
                await transaction.add_batches([batch])
                await transaction.add_outbox([batch_message(batch, part, manifest_digest=now.manifest_digest)])
            await save_step(transaction, now, replace(context, position=context.position + 1), activity=f"preparing {entity.replace('_', ' ')}")

    async def _bind(self, migration: Migration, run: Run) -> float:
        """Make the manifest everything is loaded with.

        Raises:
            RunFailedError: A schema record was refused or waits: without it records cannot be mapped.
        """
        tools = self._tools
        mapping_yaml = await mapping_yaml_of(tools, migration)
        # Records of an earlier mapping may have been refused, too; they do not matter any more.
        needed = {record.key for record in await self._compiled(migration)}
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            which = RecordFilter(states=tuple(_REFUSED), phase=Phase.PHASE_SCHEMA)
            refused = [record for record in await transaction.list_records(now.migration_id, which) if record.key in needed]
            if refused:
                raise _refusal(refused[0])
            migration = await current_migration(transaction, now.migration_id)
            manifest_digest = await save_manifest(transaction, migration, mapping_yaml, is_bound=True, now=tools.clock.now())
            await transaction.save_migration(replace(migration, manifest_digest=manifest_digest))
            payload = {"run_id": now.run_id, "manifest_digest": manifest_digest, "mapping_digest": migration.mapping_digest}
            await transaction.append_event(now.migration_id, EventDraft(kind="manifest.bound", actor=tools.actor, payload=payload))
            await end_run(transaction, now, RunState.SUCCEEDED, tools=tools, manifest_digest=manifest_digest)
        return AT_ONCE


def _parts(records: Sequence[MappedRecord]) -> Iterator[Sequence[MappedRecord]]:
    for start in range(0, len(records), RECORDS_PER_BATCH):
        yield records[start : start + RECORDS_PER_BATCH]


def _expected(run: Run, record: MappedRecord) -> Record:
    return Record(
        migration_id=run.migration_id,
        key=record.key,
        target_entity=record.target_entity,
        source_entity=record.source_entity,
        source_id=record.source_id,
        phase=run.phase,
    )


def _refusal(record: Record) -> RunFailedError:
    reason = record.reason or "TARGET_REJECTED"
    advice = "use the token of an administrator" if reason == "TARGET_FORBIDDEN" else "make room for it in Pipedrive or change the mapping"
    return RunFailedError(
        reason, f"{record.key} does not stand in Pipedrive: {(record.message or reason).rstrip('.')}; {advice}, then apply the schema again"
    )
