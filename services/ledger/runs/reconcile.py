"""L-13: reads every loaded record back and compares it with what was loaded, field by field, in chunks.

Position and mismatches of a chunk stand in one transaction, so an interrupted reconciliation goes on where it was. Only entities whose whole
list must be read (notes, files) begin again from their start.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.common.canonical import canonical_json
from services.common.phases import TARGET_PHASES
from services.ledger.domain import EventDraft, RecordFilter, Report, ReportKind, RunState
from services.ledger.reconciliation import COMPARED_ENTITIES, EXTERNAL_ID_FIELDS, LISTED, VALUE_FIELDS, compare, is_compared, strays
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, Tools, end_run, fresh, save_step
from services.ledger.runs.reading import read_records, scan
from transload.v1.migration_service_pb2 import Mismatch
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.domain import Migration, Record, Run
    from services.ledger.repository import Reader
    from services.ledger.runs.reading import Image

_COMPARE, _STRAYS, _SUM = "compare", "strays", "sum"
RECORDS_PER_CHUNK = 400
# Schema is small and its ids are not unique over fields: it is read whole, against all its records.
RECORDS_OF_SCHEMA_MAX = 10_000
MISMATCHES_PER_FLUSH = 1_000


class ReconcileDriver:
    """Drives runs of kind reconcile."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next chunk."""
        context = RunContext.of(run)
        if context.step == _SUM:
            return await self._finish(run)
        if context.step == _STRAYS:
            await self._look_for_strays(migration, run, tuple(EXTERNAL_ID_FIELDS)[context.position])
            return AT_ONCE
        if context.step != _COMPARE:
            async with self._tools.ledger.transaction() as transaction:
                now = await fresh(transaction, run)
                await transaction.replace_report_rows(now.migration_id, ReportKind.RECONCILIATION, [])
                await save_step(transaction, now, RunContext.of(now).at(_COMPARE), activity="reading everything back")
            return AT_ONCE
        if context.position >= len(COMPARED_ENTITIES):
            async with self._tools.ledger.transaction() as transaction:
                now = await fresh(transaction, run)
                await save_step(transaction, now, RunContext.of(now).at(_STRAYS), activity="looking for records nobody knows")
            return AT_ONCE
        entity = COMPARED_ENTITIES[context.position]
        if entity in LISTED and TARGET_PHASES[entity] != Phase.PHASE_SCHEMA:
            await self._scan_entity(migration, run, entity)
        else:
            await self._compare_chunk(migration, run, context, entity)
        return AT_ONCE

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """A reconciliation announces nothing."""
        del migration, run, untransformed_only
        return 0

    async def _compare_chunk(self, migration: Migration, run: Run, context: RunContext, entity: str) -> None:
        limit = RECORDS_OF_SCHEMA_MAX if TARGET_PHASES[entity] == Phase.PHASE_SCHEMA else RECORDS_PER_CHUNK
        which = RecordFilter(target_entity=entity, has_target=True)
        async with self._tools.ledger.read() as reader:
            records = await reader.list_records(migration.migration_id, which, after_key=context.after_key, limit=limit)
            compared = [record for record in records if is_compared(record)]
            valued = await _deals_with_values(reader, migration.migration_id, compared) if entity == "deal" else frozenset()
        read = await read_records(self._tools, migration, entity, compared)
        field_count, mismatches = 0, list[Mismatch]()
        for record in compared:
            fields, found = compare(record, read.images.get(record.key), ignored=VALUE_FIELDS if record.key in valued else ())
            field_count += fields
            mismatches.extend(found)
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now).counted(records=len(compared), fields=field_count, mismatches=len(mismatches))
            is_last = len(records) < limit
            held = replace(held, position=held.position + int(is_last), after_key="" if is_last else records[-1].key)
            await transaction.add_report_rows(now.migration_id, ReportKind.RECONCILIATION, _rows(mismatches))
            await transaction.add_run_tokens(now.run_id, read.token_count, target_entity=entity)
            await save_step(transaction, now, held, activity=f"comparing {entity.replace('_', ' ')}")

    async def _scan_entity(self, migration: Migration, run: Run, entity: str) -> None:
        """Read the whole list of an entity once. Which records were seen is kept as one bit each, by creation order."""
        comparison = _Comparison()
        token_count = 0
        async for images, tokens in scan(self._tools, migration, entity):
            token_count = max(token_count, tokens)
            await self._compare_page(migration, entity, images, comparison)
            if len(comparison.mismatches) >= MISMATCHES_PER_FLUSH:
                await self._flush(run, comparison)
        after_key = ""
        while True:
            which = RecordFilter(target_entity=entity, has_target=True)
            async with self._tools.ledger.read() as reader:
                records = await reader.list_records(migration.migration_id, which, after_key=after_key, limit=RECORDS_PER_CHUNK)
            for record in records:
                if is_compared(record) and not comparison.has_seen(record):
                    comparison.add(record, None)
            if len(records) < RECORDS_PER_CHUNK:
                break
            after_key = records[-1].key
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now).counted(records=comparison.record_count, fields=comparison.field_count, mismatches=comparison.mismatch_count)
            await transaction.add_report_rows(now.migration_id, ReportKind.RECONCILIATION, _rows(comparison.mismatches))
            await transaction.add_run_tokens(now.run_id, token_count, target_entity=entity)
            step = replace(held, position=held.position + 1, after_key="")
            await save_step(transaction, now, step, activity=f"comparing {entity.replace('_', ' ')}")

    async def _compare_page(self, migration: Migration, entity: str, images: dict[str, Image], comparison: _Comparison) -> None:
        async with self._tools.ledger.read() as reader:
            keys = await reader.find_targets(migration.target_connection, entity, images)
            records = await reader.get_records(migration.migration_id, list(keys.values()))
        for target_id, key in keys.items():
            record = records.get(key)
            if record is not None and record.target_id == target_id and is_compared(record):
                comparison.add(record, images[target_id])

    async def _look_for_strays(self, migration: Migration, run: Run, entity: str) -> None:
        """Find records that carry an external id of this source account and that no migration knows: copies made by people, or a fault of ours."""
        field_key = EXTERNAL_ID_FIELDS[entity]
        async with self._tools.ledger.read() as reader:
            field = (await reader.get_records(migration.migration_id, [field_key])).get(field_key)
        mismatches: list[Mismatch] = []
        token_count = 0
        if field is not None and field.has_target:
            name, prefix = f"custom_fields.{field.target_id}", f"{migration.source_account}/"
            async for images, tokens in scan(self._tools, migration, entity):
                token_count = max(token_count, tokens)
                carried = strays(images, name, prefix)
                async with self._tools.ledger.read() as reader:
                    known = await reader.find_targets(migration.target_connection, entity, carried)
                mismatches.extend(
                    Mismatch(key=f"{entity}:{value}", target_id=target_id, target_field=name, actual_json=canonical_json(value), kind="unexpected")
                    for target_id, value in carried.items()
                    if target_id not in known
                )
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now).counted(mismatches=len(mismatches))
            step = replace(held, position=held.position + 1) if held.position + 1 < len(EXTERNAL_ID_FIELDS) else held.at(_SUM)
            await transaction.add_report_rows(now.migration_id, ReportKind.RECONCILIATION, _rows(mismatches))
            await transaction.add_run_tokens(now.run_id, token_count, target_entity=entity)
            await save_step(transaction, now, step, activity=f"looking for {entity} records nobody knows")

    async def _flush(self, run: Run, comparison: _Comparison) -> None:
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            await transaction.add_report_rows(now.migration_id, ReportKind.RECONCILIATION, _rows(comparison.mismatches))
        comparison.mismatches.clear()

    async def _finish(self, run: Run) -> float:
        tools = self._tools
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            counts = RunContext.of(now).counts
            head = {
                "run_id": now.run_id,
                "record_count": counts.get("records", 0),
                "field_count": counts.get("fields", 0),
                "mismatch_count": counts.get("mismatches", 0),
            }
            report = Report(
                migration_id=now.migration_id,
                kind=ReportKind.RECONCILIATION,
                content=canonical_json(head),
                create_time=tools.clock.now(),
                run_id=now.run_id,
            )
            await transaction.save_report(report)
            result = "whole" if not head["mismatch_count"] else "different"
            event = EventDraft(kind="reconciliation.finished", actor=tools.actor, result=result, payload=head)
            await transaction.append_event(now.migration_id, event)
            await end_run(transaction, now, RunState.SUCCEEDED, tools=tools, mismatch_count=head["mismatch_count"])
        return AT_ONCE


class _Comparison:
    """Sums of one scan."""

    def __init__(self) -> None:
        self.mismatches: list[Mismatch] = []
        self.record_count = 0
        self.field_count = 0
        self.mismatch_count = 0
        self._seen = bytearray()

    def add(self, record: Record, image: Image | None) -> None:
        """Compare one record and remember that it was seen."""
        fields, found = compare(record, image)
        self.record_count += 1
        self.field_count += fields
        self.mismatch_count += len(found)
        self.mismatches.extend(found)
        place, bit = divmod(record.create_order, 8)
        if place >= len(self._seen):
            self._seen.extend(bytes(place + 1 - len(self._seen)))
        self._seen[place] |= 1 << bit

    def has_seen(self, record: Record) -> bool:
        """Say whether the record was in the list."""
        place, bit = divmod(record.create_order, 8)
        return place < len(self._seen) and bool(self._seen[place] & (1 << bit))


async def _deals_with_values(reader: Reader, migration_id: str, deals: Sequence[Record]) -> frozenset[str]:
    """Answer the deals whose value a later record decided."""
    keys = {f"deal_value:{deal.key.partition(':')[2]}": deal.key for deal in deals}
    found = await reader.get_records(migration_id, keys)
    return frozenset(keys[key] for key, record in found.items() if record.has_target)


def _rows(mismatches: Sequence[Mismatch]) -> list[bytes]:
    return [mismatch.SerializeToString(deterministic=True) for mismatch in mismatches]
