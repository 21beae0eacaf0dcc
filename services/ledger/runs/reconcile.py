"""L-13: reads every loaded record back and compares it with what was loaded, field by field.

Each list of Pipedrive is read once, 500 records a page and only what was changed since the migration began, and serves everything that is
compared with it: records, the values of deals, and the look for copies with our external id. What a list does not show is read by its id before it
counts as missing, so a record that moved between two pages is not taken for lost. Organization relations, and the bytes of files, cost a call for
each and are compared on a sample.

Position, sums and mismatches of a page stand in one transaction, so an interrupted reconciliation goes on where it was.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from services.common.canonical import canonical_json
from services.common.errors import TargetRejectedError
from services.ledger.domain import RecordFilter, ReportKind, RunKind
from services.ledger.reconciliation import (
    COMPARED_WITH,
    EXTERNAL_ID_FIELDS,
    NEEDS_EVERY_RECORD,
    READS,
    SCANNED_FROM,
    SCHEMA,
    SCHEMA_COMPARED,
    VALUE_FIELDS,
    definitions,
    is_compared,
    strays,
    value_of,
)
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, Tools, fresh, save_step
from services.ledger.runs.outcome import finish_reconciliation
from services.ledger.runs.reading import read_records
from services.ledger.runs.sampled import Sampled
from services.ledger.runs.seen import Seen
from services.ledger.runs.tally import Tally, save_tally
from transload.v1.migration_service_pb2 import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from services.ledger.domain import Migration, Record, Run
    from services.ledger.repository import Reader
    from services.ledger.runs.reading import Image
    from transload.v1.loader_service_pb2 import ReadBackResponse

_READ, _SUM = "read", "sum"
_LIST, _ARCHIVED, _UNSEEN, _BYTES = "list", "archived", "unseen", "bytes"
RECORDS_PER_CHUNK = 400
DEALS_PER_READ = 100
LINES_PER_READ = 1_000
# A page is a call of Pipedrive; after so many a person's pause is looked for.
PAGES_PER_STEP = 20
# Schema is small and its ids are not unique over fields: it is read whole, against all its records.
RECORDS_OF_SCHEMA_MAX = 10_000
# A page of the archived costs what 67 deals read by their ids cost.
ARCHIVED_FROM = 70
# Clocks of Pipedrive and ours may differ; what was changed a little earlier costs little.
SINCE_MARGIN = timedelta(days=1)
_WRITING = frozenset({RunKind.SCHEMA, RunKind.SAMPLE, RunKind.LOAD})


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger knows about the records of one page."""

    keys: Mapping[str, str]
    records: Mapping[str, Record]
    values: Mapping[str, Record]
    """Records of deal values, by the deal's id."""
    external_id: str
    """Field of an image that holds our external id; empty: there is none."""


class ReconcileDriver:
    """Drives runs of kind reconcile."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._sampled = Sampled(tools)

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next part."""
        context = RunContext.of(run)
        if context.step == _SUM:
            return await finish_reconciliation(self._tools, run)
        if context.step != _READ:
            await self._begin(run)
        elif context.position >= len(READS):
            await self._save(run, Tally(), lambda held: held.at(_SUM), "adding up")
        else:
            await self._read(migration, run, context, READS[context.position])
        return AT_ONCE

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """A reconciliation announces nothing."""
        del migration, run, untransformed_only
        return 0

    async def _begin(self, run: Run) -> None:
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            await transaction.replace_report_rows(now.migration_id, ReportKind.RECONCILIATION, [])
            await save_step(transaction, now, RunContext.of(now).at(_READ), activity="reading everything back")

    async def _read(self, migration: Migration, run: Run, context: RunContext, entity: str) -> None:
        """Do the next part of one list."""
        if entity == SCHEMA:
            await self._compare_schema(migration, run)
        elif entity == "line_item":
            await self._compare_lines(migration, run, context)
        elif entity == "organization_relation":
            await self._sampled.compare_relations(migration, run, context)
        elif context.part in {_LIST, _ARCHIVED}:
            await self._list(migration, run, context, entity)
        elif context.part.startswith(_UNSEEN):
            await self._compare_unseen(migration, run, context, entity)
        elif context.part == _BYTES:
            await self._sampled.compare_bytes(migration, run, context)
        else:
            await self._choose(migration, run, entity)

    async def _choose(self, migration: Migration, run: Run, entity: str) -> None:
        """Choose how an entity is read: not at all, by ids where that is cheaper, or by its list."""
        async with self._tools.ledger.read() as reader:
            count = await reader.count_records(migration.migration_id, RecordFilter(target_entity=entity, has_target=True))
        is_listed = count >= SCANNED_FROM or (count and entity in NEEDS_EVERY_RECORD)
        # A list of files ends at an id. It is looked for once and kept where a list needs no key.
        first_id = await self._first_id(migration, entity) if is_listed and entity == "file" else ""

        def go_on(held: RunContext) -> RunContext:
            if not count:
                return held.next_position()
            return replace(held, part=_LIST, after_key=first_id) if is_listed else replace(held, part=f"{_UNSEEN}:{entity}")

        await self._save(run, Tally(), go_on, f"comparing {_plain(entity)}")

    async def _list(self, migration: Migration, run: Run, context: RunContext, entity: str) -> None:
        """Compare the next pages of a list. A token that is no longer taken means to begin this list again; what was seen is not counted twice."""
        since = await self._since(migration)
        pages = self._tools.loader.list_back(
            migration.target_connection,
            entity,
            changed_since=since,
            page_token=context.page_token,
            first_target_id=context.after_key,
            is_archived=context.part == _ARCHIVED,
        )
        seen, token_count, page_count = Seen(context.seen), 0, 0
        try:
            async with aclosing(pages) as responses:
                async for response in responses:
                    tally = Tally()
                    tally.tokens[entity] += response.token_count - token_count
                    token_count = response.token_count
                    await self._compare_page(migration, entity, response, tally, seen)
                    part = await self._part_after(run, context, entity, response, tally)
                    go_on = partial(_after_page, part=part, page_token=response.next_page_token, seen=seen.pack())
                    await self._save(run, tally, go_on, f"comparing {_plain(entity)}")
                    page_count += 1
                    if part != context.part or page_count >= PAGES_PER_STEP:
                        return
        except TargetRejectedError:
            if not context.page_token or page_count:
                raise
            await self._save(run, Tally(), lambda held: replace(held, page_token=""), f"comparing {_plain(entity)}")

    async def _part_after(self, run: Run, context: RunContext, entity: str, response: ReadBackResponse, tally: Tally) -> str:
        """Answer what comes after a page: the same list, the archived deals if many of ours are not in the plain list, or what was not seen."""
        if response.next_page_token:
            return context.part
        if entity == "deal" and context.part == _LIST:
            async with self._tools.ledger.read() as reader:
                now = await reader.get_run(run.run_id)
                count = await reader.count_records(run.migration_id, RecordFilter(target_entity=entity, has_target=True))
            found = RunContext.of(now or run).counts.get("deal.found", 0) + tally.counts["deal.found"]
            if count - found >= ARCHIVED_FROM:
                return _ARCHIVED
        return f"{_UNSEEN}:{entity}"

    async def _compare_page(self, migration: Migration, entity: str, response: ReadBackResponse, tally: Tally, seen: Seen) -> None:
        images: dict[str, Image] = {record.target_id: orjson.loads(record.image_json or b"{}") for record in response.records}
        if not images:
            return
        async with self._tools.ledger.read() as reader:
            known = await _known(reader, migration, entity, images)
        for target_id, image in images.items():
            record = known.records.get(known.keys.get(target_id, ""))
            value = known.values.get(target_id)
            if record is not None and record.target_id == target_id and is_compared(record) and record not in seen:
                seen.add(record)
                tally.compare(record, image, ignored=VALUE_FIELDS if value is not None else ())
            if value is not None and is_compared(value) and value not in seen:
                seen.add(value)
                tally.compare(value, value_of(image))
        if known.external_id:
            for target_id, carried in strays(images, known.external_id, f"{migration.source_account}/").items():
                if target_id not in known.keys:
                    mismatch = Mismatch(
                        key=f"{entity}:{carried}",
                        target_id=target_id,
                        target_field=known.external_id,
                        actual_json=canonical_json(carried),
                        kind="unexpected",
                    )
                    tally.unexpected(mismatch)

    async def _compare_unseen(self, migration: Migration, run: Run, context: RunContext, listed: str) -> None:
        """Read what the list did not show by its id: only what is not there then is missing."""
        entity = context.part.partition(":")[2]
        seen, tally = Seen(context.seen), Tally()
        which = RecordFilter(target_entity=entity, has_target=True)
        async with self._tools.ledger.read() as reader:
            is_all_seen = not context.after_key and await reader.count_records(migration.migration_id, which) == context.counts.get(
                f"{entity}.found", 0
            )
            records: Sequence[Record] = []
            if not is_all_seen:
                records = await reader.list_records(migration.migration_id, which, after_key=context.after_key, limit=RECORDS_PER_CHUNK)
            unseen = [record for record in records if is_compared(record) and record not in seen]
            valued = await _deals_with_values(reader, migration.migration_id, unseen) if entity == "deal" else frozenset()
        read = await read_records(self._tools, migration, entity, unseen)
        tally.tokens[entity] += read.token_count
        for record in unseen:
            tally.compare(record, read.images.get(record.key), ignored=VALUE_FIELDS if record.key in valued else ())
            if record.key in read.images:
                seen.add(record)
        packed = seen.pack()

        def go_on(held: RunContext) -> RunContext:
            if len(records) == RECORDS_PER_CHUNK:
                return replace(held, after_key=records[-1].key, seen=packed)
            entities = COMPARED_WITH.get(listed, (listed,))
            following = entities[entities.index(entity) + 1 :]
            if following:
                return replace(held, part=f"{_UNSEEN}:{following[0]}", after_key="", seen=packed)
            if listed == "file":
                return replace(held, part=_BYTES, after_key="", seen=packed)
            return held.next_position()

        await self._save(run, tally, go_on, f"comparing {_plain(entity)}")

    async def _compare_lines(self, migration: Migration, run: Run, context: RunContext) -> None:
        """Compare lines by their deals, a hundred deals a call: the keys of a deal's lines stand together."""
        which = RecordFilter(target_entity="line_item", has_target=True)
        async with self._tools.ledger.read() as reader:
            records = await reader.list_records(migration.migration_id, which, after_key=context.after_key, limit=LINES_PER_READ)
        deals: dict[str, None] = {}
        taken: list[Record] = []
        for record in records:
            deals.setdefault(record.parent_target_id)
            if len(deals) > DEALS_PER_READ:
                break
            taken.append(record)
        tally = Tally()
        compared = [record for record in taken if is_compared(record)]
        read = await read_records(self._tools, migration, "line_item", compared)
        tally.tokens["line_item"] += read.token_count
        for record in compared:
            tally.compare(record, read.images.get(record.key))
        is_last = len(taken) == len(records) < LINES_PER_READ
        await self._save(run, tally, lambda held: held.next_position() if is_last else replace(held, after_key=taken[-1].key), "comparing line items")

    async def _compare_schema(self, migration: Migration, run: Run) -> None:
        """Compare the schema: each list is read once, and only where something of ours stands in it."""
        tally = Tally()
        async with self._tools.ledger.read() as reader:
            by_entity = {
                entity: [
                    record
                    for record in await reader.list_records(
                        migration.migration_id, RecordFilter(target_entity=entity, has_target=True), limit=RECORDS_OF_SCHEMA_MAX
                    )
                    if is_compared(record)
                ]
                for entity in SCHEMA_COMPARED
            }
        fields = {entity: by_entity.pop(entity) for entity in ("custom_field", "field_option")}
        images = {record.key: orjson.loads(record.image or "{}") for records in fields.values() for record in records}
        if images:
            owners = sorted({str(image.get("entity")) for image in images.values()})
            listed, token_count = await self._fields(migration, owners)
            tally.tokens["custom_field" if fields["custom_field"] else "field_option"] += token_count
            for record in (record for records in fields.values() for record in records):
                image = images[record.key]
                tally.compare(record, listed.get((record.target_id, str(image.get("entity")), str(image.get("field_code")))))
        for entity, records in by_entity.items():
            read = await read_records(self._tools, migration, entity, records)
            tally.tokens[entity] += read.token_count
            for record in records:
                tally.compare(record, read.images.get(record.key))
        await self._save(run, tally, lambda held: held.next_position(), "comparing the schema")

    async def _fields(self, migration: Migration, owners: Sequence[str]) -> tuple[dict[tuple[str, ...], dict[str, Any]], int]:
        found: list[dict[str, Any]] = []
        token_count = 0
        async for response in self._tools.loader.read_back(migration.target_connection, "field", parent_ids=owners):
            token_count = max(token_count, response.token_count)
            found.extend(orjson.loads(record.image_json or b"{}") for record in response.records)
        return definitions(found), token_count

    async def _since(self, migration: Migration) -> datetime:
        """Answer when the migration may have begun to change the account."""
        async with self._tools.ledger.read() as reader:
            runs = await reader.list_runs(migration.migration_id)
        return min([run.start_time for run in runs if run.kind in _WRITING], default=migration.create_time) - SINCE_MARGIN

    async def _first_id(self, migration: Migration, entity: str) -> str:
        """Answer the lowest id among the records of an entity."""
        lowest, after_key = 0, ""
        while True:
            async with self._tools.ledger.read() as reader:
                which = RecordFilter(target_entity=entity, has_target=True)
                records = await reader.list_records(migration.migration_id, which, after_key=after_key, limit=RECORDS_PER_CHUNK)
            ids = [int(record.target_id) for record in records if record.target_id.isdecimal()]
            lowest = min([*ids, *([lowest] if lowest else [])], default=0)
            if len(records) < RECORDS_PER_CHUNK:
                return str(lowest or "")
            after_key = records[-1].key

    async def _save(self, run: Run, tally: Tally, go_on: Callable[[RunContext], RunContext], activity: str) -> None:
        async with self._tools.ledger.transaction() as transaction:
            await save_tally(transaction, run, tally, go_on, activity)


def _after_page(held: RunContext, *, part: str, page_token: str, seen: str) -> RunContext:
    return replace(held, part=part, page_token=page_token, seen=seen, after_key=held.after_key if part == held.part else "")


async def _known(reader: Reader, migration: Migration, entity: str, images: Mapping[str, Image]) -> _Known:
    keys = await reader.find_targets(migration.target_connection, entity, images)
    records = await reader.get_records(migration.migration_id, list(keys.values()))
    values: dict[str, Record] = {}
    if entity == "deal":
        found = await reader.find_targets(migration.target_connection, "deal_value", images)
        held = await reader.get_records(migration.migration_id, list(found.values()))
        values = {target_id: held[key] for target_id, key in found.items() if key in held and held[key].has_target}
    external_id = ""
    if entity in EXTERNAL_ID_FIELDS:
        field = (await reader.get_records(migration.migration_id, [EXTERNAL_ID_FIELDS[entity]])).get(EXTERNAL_ID_FIELDS[entity])
        if field is not None and field.has_target:
            external_id = f"custom_fields.{field.target_id}"
    return _Known(keys, records, values, external_id)


async def _deals_with_values(reader: Reader, migration_id: str, deals: Sequence[Record]) -> frozenset[str]:
    """Answer the deals whose value a later record decided."""
    keys = {f"deal_value:{deal.key.partition(':')[2]}": deal.key for deal in deals}
    found = await reader.get_records(migration_id, keys)
    return frozenset(keys[key] for key, record in found.items() if record.has_target)


def _plain(entity: str) -> str:
    return entity.replace("_", " ")
