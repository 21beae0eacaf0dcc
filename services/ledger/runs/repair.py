"""L-13: sees to what a reconciliation found, through the loader, with the same claims and intents as a load.

Missing records are made again by the phases of a load, so what hangs on them gets their new ids by its references; what was not missing and points to
an old id is relinked. Then fields are set back, and copies deleted that the person named. In the end only what was repaired is compared again.

What is done stands in rows of its own before anything is done. Every step does nothing where it was done before, so a crash between any two lines
is a repetition.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from services.common.canonical import canonical_json
from services.common.edits import LINKS
from services.ledger.domain import Batch, EventDraft, RecordFilter, RecordState, ReportKind
from services.ledger.matching.followers import follow
from services.ledger.origins import carried_key, possible_origins
from services.ledger.reconciliation import BYTES, VALUE_FIELDS, compare, is_compared
from services.ledger.repair import PARTICIPANTS, Repair, RepairAction, adopted, copy_key, expected_of, forgotten, hangs_on, patched_entity, relink
from services.ledger.runs.context import RunContext, dispositions_from
from services.ledger.runs.driver import AT_ONCE, ON_CHANGE_SECONDS, Tools, current_migration, fresh, mapping_yaml_of, save_step
from services.ledger.runs.load import DATA_PHASES
from services.ledger.runs.outcome import finish_repair, rows_of
from services.ledger.runs.phases import OPEN_BATCHES, PhaseWork, batch_message, is_done, save_selection
from services.ledger.runs.reading import read_records
from transload.v1.migration_service_pb2 import Mismatch
from transload.v1.records_pb2 import MappedRecord, Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from services.ledger.domain import Migration, OutboxMessage, Record, Run
    from services.ledger.repository import Reader, Transaction

_MARK, _PHASES, _RELINK, _SEND, _CHECK = "mark", "phases", "relink", "send", "check"
ROWS_PER_CHUNK = 400
RECORDS_PER_BATCH = 100
BY_PAGES = frozenset({RepairAction.CREATE, RepairAction.UPLOAD})
"""What the transformer maps again: it needs the whole payload."""
_PHASE = int(Phase.PHASE_LATE_LINKS)
"""Batches of a repair belong to the last phase: what they need is there."""


class RepairDriver:
    """Drives runs of kind repair."""

    def __init__(self, tools: Tools) -> None:
        """Work with these."""
        self._tools = tools
        self._phases = PhaseWork(tools)

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next thing."""
        context = RunContext.of(run)
        if context.step == _PHASES:
            return await self._phases.advance(migration, run, phases=DATA_PHASES, next_step=_RELINK)
        if context.step == _RELINK:
            await self._relink(run, context)
        elif context.step == _SEND:
            return await self._send(run, context)
        elif context.step == _CHECK:
            return await self._check(migration, run, context)
        else:
            await self._mark(migration, run, context)
        return AT_ONCE

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """Announce unfinished work again: pages while the phases go on, then the batches made here."""
        if RunContext.of(run).step == _PHASES:
            return await self._phases.announce_again(migration, run, untransformed_only=untransformed_only)
        if untransformed_only:
            return 0
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            batches = await transaction.list_batches(now.run_id, _PHASE, OPEN_BATCHES)
            own = [batch for batch in batches if batch.is_undo]
            name = f"again/{int(self._tools.clock.now().timestamp())}"
            for batch in own:
                repairs = await _repairs_of(transaction, batch)
                await transaction.add_outbox([await _message(transaction, batch, repairs, attempt_name=name)])
        return len(own)

    async def _mark(self, migration: Migration, run: Run, context: RunContext) -> None:
        """Forget what is missing and what bytes a file had, so that they are loaded again; then choose the pages."""
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            rows = await transaction.list_report_rows(now.migration_id, ReportKind.REPAIR, after=context.position, limit=ROWS_PER_CHUNK)
            repairs = {repair.key: repair for repair in map(Repair.from_row, (row for _, row in rows)) if repair.action in BY_PAGES}
            records = await transaction.get_records(now.migration_id, repairs)
            await self._forget(transaction, now, [(repairs[key], record) for key, record in records.items()])
            if len(rows) == ROWS_PER_CHUNK:
                await save_step(transaction, now, replace(RunContext.of(now), step=_MARK, position=rows[-1][0]), activity="preparing the repair")
                return
        await self._choose_pages(migration, run)

    async def _forget(self, transaction: Transaction, run: Run, pairs: Sequence[tuple[Repair, Record]]) -> None:
        todo = [(repair, record) for repair, record in pairs if record.target_id == repair.target_id]
        is_lost = RepairAction.CREATE
        changed = [forgotten(record) if repair.action is is_lost else replace(record, payload_digest="") for repair, record in todo]
        await transaction.save_records([replace(record, update_time=self._tools.clock.now()) for record in changed])
        drafts = [
            EventDraft(
                kind="record.repairing",
                actor=self._tools.actor,
                key=record.key,
                source_key=record.source_key,
                target_id=record.target_id,
                result=str(repair.action),
                payload={"run_id": run.run_id},
            )
            for repair, record in todo
            if record.payload_digest
        ]
        if drafts:
            await transaction.append_events(run.migration_id, drafts)

    async def _choose_pages(self, migration: Migration, run: Run) -> None:
        tools = self._tools
        async with tools.ledger.read() as reader:
            repairs = [repair async for repair in _repairs(reader, run.migration_id) if repair.action in BY_PAGES]
            source_keys = sorted({repair.source_key for repair in repairs} | await _bringing(reader, run.migration_id, repairs))
        selection = await tools.selections.put_selection(source_keys) if source_keys else ""
        compiled = await tools.transformer.compile_schema(await mapping_yaml_of(tools, migration)) if source_keys else None
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now)
            if compiled is None:
                await save_step(transaction, now, held.at(_SEND), activity="setting fields back")
                return
            await save_selection(transaction, now.migration_id, source_keys)
            sequence = await transaction.page_sequence(now.migration_id)
            current = await current_migration(transaction, now.migration_id)
            context = replace(held.at(_PHASES), dispositions=dispositions_from(list(compiled.dispositions)), extra_selection=selection)
            facts: dict[str, Any] = {"snapshot_sequence": sequence, "after_sequence": sequence, "manifest_digest": current.manifest_digest}
            await save_step(transaction, now, context, activity="making missing records again", **facts)

    async def _relink(self, run: Run, context: RunContext) -> None:
        """Point what was not missing to the new ids of what it hangs on; the fields are set in Pipedrive with the others."""
        async with self._tools.ledger.read() as reader:
            moved = await _moved(reader, run.migration_id)
            seen = await _seen_links(reader, run.migration_id) if moved else {}
            which = RecordFilter(has_target=True)
            records = await reader.list_records(run.migration_id, which, after_key=context.after_key, limit=ROWS_PER_CHUNK) if moved else []
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            rows: list[Repair] = []
            changed: list[Record] = []
            for record in records:
                if not is_compared(record) or not record.target_id:
                    continue
                image: dict[str, Any] = orjson.loads(record.image or "{}")
                fields = relink(image, moved)
                if fields:
                    before = {name: seen.get((record.key, name), image.get(name)) for name in fields}
                    rows.append(Repair(record.key, record.target_entity, record.target_id, RepairAction.PATCH, before, source_key=record.source_key))
                    changed.append(replace(record, image=canonical_json(image | fields).decode(), update_time=self._tools.clock.now()))
            await transaction.save_records(changed)
            await transaction.add_report_rows(now.migration_id, ReportKind.REPAIR, [row.to_row() for row in rows])
            await follow(transaction, now.migration_id, moved, self._tools.actor)
            held = RunContext.of(now)
            if len(records) == ROWS_PER_CHUNK:
                await save_step(transaction, now, replace(held, after_key=records[-1].key), activity="relinking what hung on missing records")
            else:
                await save_step(transaction, now, held.at(_SEND), activity="setting fields back")

    async def _send(self, run: Run, context: RunContext) -> float:
        """Make the batches of the next rows of one kind, or wait for those under way; `position` counts rows."""
        async with self._tools.ledger.read() as reader:
            progress = await reader.phase_progress(run.run_id, _PHASE)
        if not is_done(progress):
            return ON_CHANGE_SECONDS
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now)
            if held.position != context.position or held.step != _SEND:
                return AT_ONCE
            rows = await transaction.list_report_rows(now.migration_id, ReportKind.REPAIR, after=held.position, limit=ROWS_PER_CHUNK)
            if not rows:
                await save_step(transaction, now, held.at(_CHECK), phase=0, activity="comparing what was repaired")
                return AT_ONCE
            first = Repair.from_row(rows[0][1])
            taken: list[tuple[int, Repair]] = []
            for position, row in rows:
                repair = Repair.from_row(row)
                if _sort(repair) != _sort(first) or len(taken) == RECORDS_PER_BATCH or repair.key in {one.key for _, one in taken}:
                    break
                taken.append((position, repair))
            if first.action in {RepairAction.PATCH, RepairAction.DELETE}:
                await self._announce(transaction, now, taken)
            activity = "deleting copies" if first.action is RepairAction.DELETE else "setting fields back"
            await save_step(transaction, now, replace(held, position=taken[-1][0]), phase=_PHASE, activity=activity)
        return AT_ONCE

    async def _announce(self, transaction: Transaction, run: Run, taken: Sequence[tuple[int, Repair]]) -> None:
        """Make one batch of rows that stand together."""
        repairs = [repair for _, repair in taken]
        if repairs[0].action is RepairAction.DELETE:
            repairs = await self._adopt(transaction, run, repairs)
        batch = Batch(
            batch_id=f"{run.run_id}/repair/{taken[0][0]}-{taken[-1][0]}",
            migration_id=run.migration_id,
            run_id=run.run_id,
            phase=_PHASE,
            target_entity=patched_entity(repairs[0].target_entity),
            keys=tuple(repair.key for repair in repairs),
            is_undo=True,
        )
        await transaction.add_batches([batch])
        await transaction.add_outbox([await _message(transaction, batch, repairs)])

    async def _adopt(self, transaction: Transaction, run: Run, repairs: Sequence[Repair]) -> list[Repair]:
        """Make records of copies nobody knew, so that they are deleted with claims like any other."""
        migration = await current_migration(transaction, run.migration_id)
        keys = [carried_key(repair.key, migration.source_account) for repair in repairs]
        origins = await possible_origins(transaction, run.migration_id, set(keys))
        records = [adopted(run.migration_id, key, origins[key][0], repair.target_id, is_ours=True) for key, repair in zip(keys, repairs, strict=True)]
        await transaction.add_records([replace(record, update_time=self._tools.clock.now()) for record in records])
        return [replace(repair, key=record.key) for repair, record in zip(repairs, records, strict=True)]

    async def _check(self, migration: Migration, run: Run, context: RunContext) -> float:
        """Compare the next repaired records again; after the last the report is written anew."""
        tools = self._tools
        async with tools.ledger.read() as reader:
            rows = await reader.list_report_rows(run.migration_id, ReportKind.REPAIR, after=context.position, limit=ROWS_PER_CHUNK)
            repairs = [repair for repair in map(Repair.from_row, (row for _, row in rows)) if repair.action is not RepairAction.NONE]
            keys = {place: _key_of(repair, migration) for place, repair in enumerate(repairs)}
            records = await reader.get_records(run.migration_id, list(keys.values()))
            values = await reader.get_records(run.migration_id, [_value_key(key) for key in keys.values()])
        if not rows:
            return await finish_repair(tools, run)
        found = [mismatch for place, repair in enumerate(repairs) for mismatch in _left(repair, records.get(keys[place]))]
        tokens: dict[str, int] = {}
        by_entity: dict[str, list[Record]] = {}
        for place, repair in enumerate(repairs):
            record = records.get(keys[place])
            if record is not None and repair.action is not RepairAction.DELETE and is_compared(record):
                by_entity.setdefault(record.target_entity, []).append(record)
        for entity, group in by_entity.items():
            read = await read_records(tools, migration, entity, group)
            tokens[entity] = read.token_count
            for record in group:
                value = values.get(_value_key(record.key))
                is_valued = entity == "deal" and value is not None and value.has_target
                found.extend(compare(record, read.images.get(record.key), ignored=VALUE_FIELDS if is_valued else ())[1])
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            for entity, count in tokens.items():
                await transaction.add_run_tokens(now.run_id, count, target_entity=entity)
            await transaction.add_report_rows(now.migration_id, ReportKind.REPAIRED, rows_of(found))
            await save_step(transaction, now, replace(RunContext.of(now), position=rows[-1][0]))
        return AT_ONCE


def _left(repair: Repair, record: Record | None) -> list[Mismatch]:
    """Answer what a repair left as it was, where that does not show by comparing: what was not made, not uploaded or not deleted."""
    if repair.action is RepairAction.DELETE:
        is_gone = record is not None and record.state is RecordState.UNDONE
        return [] if is_gone else [Mismatch(key=repair.key, target_id=repair.target_id, kind="unexpected")]
    if repair.action is RepairAction.CREATE and (record is None or not is_compared(record)):
        return [Mismatch(key=repair.key, target_id=repair.target_id, kind="missing")]
    if repair.action is RepairAction.UPLOAD and (record is None or record.target_id == repair.target_id):
        return [
            Mismatch(key=repair.key, target_id=repair.target_id, target_field=name, actual_json=canonical_json(seen), kind="different")
            for name, seen in repair.seen.items()
            if name == BYTES or record is None or not is_compared(record)
        ]
    return []


def _key_of(repair: Repair, migration: Migration) -> str:
    """Answer the key of the record a repair is about; that of a copy was made for it."""
    if repair.action is not RepairAction.DELETE:
        return repair.key
    return copy_key(carried_key(repair.key, migration.source_account), repair.target_id)


def _value_key(key: str) -> str:
    """Answer the key of the record that decides the value of a deal."""
    return f"deal_value:{key.partition(':')[2]}"


async def _bringing(reader: Reader, migration_id: str, repairs: Sequence[Repair]) -> set[str]:
    """Answer source records that bring those mapped records again which have no source record of their own (placeholders): one that hangs on each."""
    by_entity: dict[str, list[Repair]] = {}
    for repair in repairs:
        by_entity.setdefault(repair.source_key.partition("/")[0], []).append(repair)
    alone: list[Repair] = []
    for entity, group in by_entity.items():
        known = await reader.get_source_records(migration_id, entity, {repair.source_key.partition("/")[2] for repair in group})
        alone.extend(repair for repair in group if repair.source_key.partition("/")[2] not in known)
    found: set[str] = set()
    after_key = ""
    while alone:
        records = await reader.list_records(migration_id, RecordFilter(has_target=True), after_key=after_key, limit=ROWS_PER_CHUNK)
        for record in records:
            held = [repair for repair in alone if hangs_on(record, repair.target_entity, repair.target_id)]
            if held:
                found.add(record.source_key)
                alone = [repair for repair in alone if repair not in held]
        if len(records) < ROWS_PER_CHUNK:
            break
        after_key = records[-1].key
    return found


async def _repairs(reader: Reader, migration_id: str) -> AsyncIterator[Repair]:
    """Yield all repairs of the present run in their order."""
    after = 0
    while True:
        rows = await reader.list_report_rows(migration_id, ReportKind.REPAIR, after=after, limit=ROWS_PER_CHUNK)
        for _, row in rows:
            yield Repair.from_row(row)
        if len(rows) < ROWS_PER_CHUNK:
            return
        after = rows[-1][0]


async def _repairs_of(reader: Reader, batch: Batch) -> list[Repair]:
    """Answer the rows a batch was made of: their places stand in its id."""
    first, _, last = batch.batch_id.rpartition("/")[2].partition("-")
    rows = await reader.list_report_rows(batch.migration_id, ReportKind.REPAIR, after=int(first) - 1, limit=int(last) - int(first) + 1)
    repairs = [Repair.from_row(row) for _, row in rows]
    return [replace(repair, key=key) for repair, key in zip(repairs, batch.keys, strict=True)]


async def _message(transaction: Transaction, batch: Batch, repairs: Sequence[Repair], *, attempt_name: str = "1") -> OutboxMessage:
    """Make the message of a batch; what a field shall be and what it was stand in the payload."""
    records = await transaction.get_records(batch.migration_id, batch.keys)
    mapped = []
    for repair in repairs:
        record = records[repair.key]
        payload = {"expected": expected_of(record, repair.seen), "seen": repair.seen}
        mapped.append(
            MappedRecord(
                key=record.key,
                target_entity=batch.target_entity,
                source_entity=record.source_entity,
                source_id=record.source_id,
                payload_json=canonical_json(payload),
            )
        )
    return batch_message(batch, mapped, manifest_digest="", attempt_name=attempt_name)


async def _moved(reader: Reader, migration_id: str) -> dict[tuple[str, str], str]:
    """Answer (target entity, old id) → new id of what was made again."""
    moved: dict[tuple[str, str], str] = {}
    linked = frozenset(LINKS.values())
    part = [repair async for repair in _repairs(reader, migration_id) if repair.action in BY_PAGES and repair.target_entity in linked]
    for start in range(0, len(part), ROWS_PER_CHUNK):
        chunk = {repair.key: repair for repair in part[start : start + ROWS_PER_CHUNK]}
        for key, record in (await reader.get_records(migration_id, chunk)).items():
            if record.has_target and record.target_id != chunk[key].target_id:
                moved[record.target_entity, chunk[key].target_id] = record.target_id
    return moved


async def _seen_links(reader: Reader, migration_id: str) -> dict[tuple[str, str], Any]:
    """Answer what the reconciliation saw in fields that are links and differ."""
    seen: dict[tuple[str, str], Any] = {}
    after = 0
    while True:
        rows = await reader.list_report_rows(migration_id, ReportKind.RECONCILIATION, after=after, limit=ROWS_PER_CHUNK)
        for _, row in rows:
            one = Mismatch.FromString(row)
            if one.kind == "different" and (one.target_field in LINKS or one.target_field == PARTICIPANTS):
                seen[one.key, one.target_field] = orjson.loads(one.actual_json or b"null")
        if len(rows) < ROWS_PER_CHUNK:
            return seen
        after = rows[-1][0]


def _sort(repair: Repair) -> tuple[str, str]:
    return str(repair.action), patched_entity(repair.target_entity)
