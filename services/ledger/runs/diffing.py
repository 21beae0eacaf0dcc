"""L-08: computes the diff of a loaded sample. Its size is bounded by the sample's, so it is made in one go and repeated when interrupted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from services.common.canonical import canonical_json
from services.common.phases import TARGET_PHASES
from services.ledger.diff import count_fields, diff_digest, diff_record, order_of, row_of
from services.ledger.domain import EventDraft, Report, ReportKind, RunState
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, Tools, current_migration, end_run, fresh, say, snapshot_of
from services.ledger.runs.reading import read_records
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from services.ledger.domain import Migration, Record, Run
    from services.ledger.runs.reading import Image
    from transload.v1.transformer_service_pb2 import PreviewedRecord

KEYS_PER_PREVIEW = 100
_NOT_LOADED_HERE = frozenset({Phase.PHASE_USERS, Phase.PHASE_SCHEMA})


class DiffWork:
    """Makes the diff of a sample run and ends the run."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def advance(self, migration: Migration, run: Run) -> float:
        """Preview, read back, compare, store."""
        tools = self._tools
        await say(tools, run, "reading the sample back")
        previews = await self._previews(migration, run)
        async with tools.ledger.read() as reader:
            records = await reader.get_records(migration.migration_id, [preview.key for preview in previews if preview.key])
        images, token_count = await self._images(migration, records)
        compared = [diff_record(preview, records.get(preview.key), images.get(preview.key)) for preview in previews]
        compared.sort(key=order_of)
        rows = [row_of(record) for record in compared]
        field_count, different_count = (sum(counts) for counts in zip(*map(count_fields, compared), strict=True)) if compared else (0, 0)
        digest = await asyncio.to_thread(diff_digest, migration.mapping_digest, rows)
        head = {
            "mapping_digest": migration.mapping_digest,
            "diff_digest": digest,
            "coverage": list(RunContext.of(run).coverage),
            "record_count": len(rows),
            "field_count": field_count,
            "different_count": different_count,
        }
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            await transaction.add_run_tokens(now.run_id, token_count, target_entity="diff")
            await transaction.replace_report_rows(now.migration_id, ReportKind.DIFF, rows)
            report = Report(
                migration_id=now.migration_id, kind=ReportKind.DIFF, content=canonical_json(head), create_time=tools.clock.now(), run_id=now.run_id
            )
            await transaction.save_report(report)
            migration = await current_migration(transaction, now.migration_id)
            await transaction.save_migration(replace(migration, diff_digest=digest, approved_digest="", approver="", approve_time=None))
            facts = {name: value for name, value in head.items() if name != "coverage"}
            await transaction.append_event(
                now.migration_id, EventDraft(kind="diff.computed", actor=tools.actor, payload={"run_id": now.run_id, **facts})
            )
            await end_run(transaction, now, RunState.SUCCEEDED, tools=tools, diff_digest=digest)
        return AT_ONCE

    async def _previews(self, migration: Migration, run: Run) -> list[PreviewedRecord]:
        async with self._tools.ledger.read() as reader:
            rows = await reader.list_report_rows(migration.migration_id, ReportKind.PLAN)
        keys = [key for _, row in rows for key in orjson.loads(row)]
        snapshot = snapshot_of(migration, run.snapshot_sequence)
        previews: list[PreviewedRecord] = []
        for start in range(0, len(keys), KEYS_PER_PREVIEW):
            part = keys[start : start + KEYS_PER_PREVIEW]
            previews.extend(await self._tools.transformer.preview_records(snapshot, run.manifest_digest, part))
        return previews

    async def _images(self, migration: Migration, records: dict[str, Record]) -> tuple[dict[str, Image], int]:
        """Read back what the sample loaded, one target entity after the other; users and schema stand as the ledger knows them."""
        images: dict[str, Image] = {}
        token_count = 0
        by_entity: dict[str, list[Record]] = {}
        for record in records.values():
            if not record.has_target:
                continue
            if TARGET_PHASES.get(record.target_entity) in _NOT_LOADED_HERE:
                images[record.key] = orjson.loads(record.image or "{}")
            else:
                by_entity.setdefault(record.target_entity, []).append(record)
        for target_entity, group in by_entity.items():
            read = await read_records(self._tools, migration, target_entity, group)
            images.update(read.images)
            token_count += read.token_count
        return images, token_count
