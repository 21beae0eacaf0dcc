"""L-01: reads everything once, looks at the target, proposes the mapping and profiles what was read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from services.ledger.domain import EventDraft, ExtractionState, Mapping, Report, ReportKind, Run, RunState
from services.ledger.migration_codec import findings_to_json
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, Tools, current_migration, end_run, fresh, save_step, say, snapshot_of
from services.ledger.runs.extraction import ExtractionWork

if TYPE_CHECKING:
    from services.ledger.domain import Migration
    from services.ledger.repository import Reader
    from transload.v1 import loader_service_pb2
    from transload.v1.transformer_service_pb2 import ProposeMappingResponse

COST_OF_LOOKS = "account"
"""What tokens of looks at the account are counted under."""
_EXTRACT, _INSPECT, _ANALYSE = "extract", "inspect", "analyse"


class AuditDriver:
    """Drives runs of kind audit: check, extract, inspect, analyse."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._extraction = ExtractionWork(tools)

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next thing of an audit."""
        step = RunContext.of(run).step
        if step == _EXTRACT:
            return await self._extraction.advance(migration, run, next_step=_INSPECT)
        if step == _INSPECT:
            return await inspect_target(self._tools, migration, run, next_step=_ANALYSE)
        if step == _ANALYSE:
            return await self._analyse(migration, run)
        await say(self._tools, run, "checking the source's credentials")
        await self._tools.extractor.check_source(migration.connector, migration.source_connection)
        await self._extraction.begin(run, name="x1", step=_EXTRACT, changed_since=None)
        return AT_ONCE

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """An audit announces nothing."""
        del migration, run, untransformed_only
        return 0

    async def _analyse(self, migration: Migration, run: Run) -> float:
        tools = self._tools
        target_json = await target_json_of(tools, migration)
        snapshot = snapshot_of(migration, run.snapshot_sequence)
        await say(tools, run, "proposing the mapping")
        proposal = await tools.transformer.propose_mapping(snapshot, target_json, migration.options.mapping_overrides_yaml)
        await say(tools, run, "profiling what was read")
        content = await tools.transformer.profile_source(
            snapshot, target_json, proposal.mapping_yaml, _ignore, connector_json=migration.options.connector_json
        )
        await say(tools, run, "planning what it will spend")
        plan = await tools.transformer.plan_tokens(snapshot, proposal.mapping_yaml, target_json, 0, _ignore)
        await self._finish(run, proposal, content, plan)
        return AT_ONCE

    async def _finish(self, run: Run, proposal: ProposeMappingResponse, content: bytes, plan: bytes) -> None:
        tools = self._tools
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            migration = await current_migration(transaction, now.migration_id)
            report: dict[str, Any] = orjson.loads(content or b"{}")
            report.update(await _extraction_sections(transaction, now))
            moment = tools.clock.now()
            await transaction.save_report(
                Report(migration_id=now.migration_id, kind=ReportKind.AUDIT, content=orjson.dumps(report), create_time=moment, run_id=now.run_id)
            )
            await transaction.save_report(
                Report(migration_id=now.migration_id, kind=ReportKind.LOAD_PLAN, content=plan, create_time=moment, run_id=now.run_id)
            )
            mapping = Mapping(
                migration_id=now.migration_id,
                version=migration.mapping_version + 1,
                digest=proposal.mapping_digest,
                mapping_yaml=proposal.mapping_yaml,
                findings_json=findings_to_json(list(proposal.findings)),
                actor=tools.actor,
                create_time=moment,
            )
            await transaction.add_mapping(mapping)
            await transaction.save_migration(with_new_mapping(migration, mapping))
            payload = {"version": mapping.version, "mapping_digest": mapping.digest, "finding_count": len(proposal.findings)}
            await transaction.append_event(now.migration_id, EventDraft(kind="mapping.proposed", actor=tools.actor, payload=payload))
            await end_run(transaction, now, RunState.SUCCEEDED, tools=tools, snapshot_sequence=now.snapshot_sequence)


def with_new_mapping(migration: Migration, mapping: Mapping) -> Migration:
    """Answer the migration with a new version of its mapping: confirmation, diff and approval belonged to the one before."""
    return replace(
        migration,
        mapping_version=mapping.version,
        mapping_digest=mapping.digest,
        confirmed_digest="",
        diff_digest="",
        approved_digest="",
        approver="",
        approve_time=None,
    )


async def inspect_target(tools: Tools, migration: Migration, run: Run, *, next_step: str) -> float:
    """Look at the target account, keep what it answered, and go to the next step."""
    await say(tools, run, "looking at the target")
    response = await tools.loader.inspect_target(migration.target_connection)
    async with tools.ledger.transaction() as transaction:
        now = await fresh(transaction, run)
        await transaction.save_report(
            Report(
                migration_id=now.migration_id,
                kind=ReportKind.TARGET,
                content=response.target_json,
                create_time=tools.clock.now(),
                run_id=now.run_id,
            )
        )
        await transaction.add_run_tokens(now.run_id, response.token_count, target_entity=COST_OF_LOOKS)
        await save_step(transaction, now, RunContext.of(now).at(next_step))
        event = EventDraft(kind="target.inspected", actor=tools.actor, payload=_inspected(now, response))
        await transaction.append_event(now.migration_id, event)
    return AT_ONCE


def _inspected(run: Run, response: loader_service_pb2.InspectTargetResponse) -> dict[str, Any]:
    version = orjson.loads(response.target_json).get("quota", {}).get("cost_version")
    facts = {"run_id": run.run_id, "token_count": response.token_count}
    return facts | {"cost_version": version} if version else facts


async def target_json_of(tools: Tools, migration: Migration) -> bytes:
    """Answer the target account as it was last looked at; empty before that."""
    async with tools.ledger.read() as reader:
        report = await reader.get_report(migration.migration_id, ReportKind.TARGET)
    return report.content if report else b""


async def _extraction_sections(reader: Reader, run: Run) -> dict[str, Any]:
    """Say in the audit report how the reading went; what could not be read with what to do."""
    extraction = await reader.get_extraction(run.extraction_id)
    entities = await reader.list_extraction_entities(run.extraction_id)
    problems = [
        {"entity": entity.entity, "state": entity.state.value, "reason": entity.reason, "message": entity.message}
        for entity in entities
        if entity.state in {ExtractionState.FAILED, ExtractionState.NO_ACCESS}
    ]
    return {
        "extraction": {
            "source_calls": extraction.source_call_count if extraction else 0,
            "records": sum(entity.record_count for entity in entities),
            "entities_not_read": len(problems),
        },
        "extraction_problems": problems,
    }


async def _ignore(record_count: int) -> None:
    """Profiling tells its progress; the run's activity says enough."""
    del record_count
