"""Erases personal data; what proves the trail stays: events and their salted digests are never touched."""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, Table, and_, func, or_, select, update

from services.ledger.domain import ERASED, FIGURES, ErasedCount, Mentions, ReportKind
from services.ledger.sql.session import Session, chunks, table_of
from services.ledger.sql.tables import EventPayloadRow, EventRow, KeptRow, RecordRow, ReportLineRow, ReportRow, ReviewItemRow, SourceIssueRow

_RECORDS, _ITEMS, _ISSUES, _KEPT = table_of(RecordRow), table_of(ReviewItemRow), table_of(SourceIssueRow), table_of(KeptRow)
_EVENTS, _PAYLOADS, _REPORTS, _LINES = table_of(EventRow), table_of(EventPayloadRow), table_of(ReportRow), table_of(ReportLineRow)

_KEPT_REPORTS: Final = (str(ReportKind.LOAD_PLAN), str(ReportKind.PLAN))
"""Reports of figures only."""
_PART_ROWS: Final = 2000

_IN_DOUBT = and_(_RECORDS.c.intent_time.is_not(None), _RECORDS.c.target_id == "")
_HAS_IMAGES = or_(
    _RECORDS.c.image != "",
    _RECORDS.c.pre_image != "",
    _RECORDS.c.asked != "",
    _RECORDS.c.declined != "",
    func.length(_RECORDS.c.intent_record) > 0,
)


class MentionReader(Session):
    """Finds out where a text stands."""

    async def find_mentions(self, migration_id: str, text: str) -> Mentions:
        """Find every record, event, message and review item that holds a text, in any case. Reads all of them, a part at a time."""
        words = {text.casefold(), json.dumps(text, ensure_ascii=False)[1:-1].casefold()}
        keys: set[str] = set()
        sequences: list[int] = []
        for table, columns in (
            (_RECORDS, ("image", "pre_image", "message", "intent_record", "asked", "declined", "match")),
            (_ISSUES, ("message",)),
            (_ITEMS, ("message",)),
        ):
            async for row in self._rows(table, columns, migration_id):
                if _mentions(words, (row[name] for name in columns)):
                    keys.add(_source_key(row))
        async for row in self._payloads(migration_id):
            if not _mentions(words, (row["payload"],)) or row["kind"] in FIGURES:
                continue
            if row["source_key"]:
                keys.add(row["source_key"])
            else:
                sequences.append(row["sequence"])
        return Mentions(frozenset(keys), tuple(sequences))

    async def _rows(self, table: Table, columns: Sequence[str], migration_id: str) -> AsyncIterator[Mapping[str, Any]]:
        key = [column for column in table.primary_key if column.name != "migration_id"]
        names = {*(column.name for column in key), *columns, *({"source_entity", "source_id", "source_key"} & set(table.columns.keys()))}
        statement = select(*(table.c[name] for name in sorted(names))).where(table.c.migration_id == migration_id)
        async for row in self._parts(statement, key):
            yield row

    async def _payloads(self, migration_id: str) -> AsyncIterator[Mapping[str, Any]]:
        joined = _PAYLOADS.join(_EVENTS, (_EVENTS.c.migration_id == _PAYLOADS.c.migration_id) & (_EVENTS.c.sequence == _PAYLOADS.c.sequence))
        columns = (_PAYLOADS.c.sequence, _EVENTS.c.source_key, _EVENTS.c.kind, _PAYLOADS.c.payload)
        statement = select(*columns).select_from(joined).where(_PAYLOADS.c.migration_id == migration_id)
        async for row in self._parts(statement, [_PAYLOADS.c.sequence]):
            yield row

    async def _parts(self, statement: Select[Any], key: Sequence[Column[Any]]) -> AsyncIterator[Mapping[str, Any]]:
        """Yield rows by their key, read a part at a time, so that memory does not grow with the ledger."""
        after: ColumnElement[bool] | None = None
        while True:
            rows = await self._all((statement if after is None else statement.where(after)).order_by(*key).limit(_PART_ROWS))
            for row in rows:
                yield dict(row)
            if len(rows) < _PART_ROWS:
                return
            after = _beyond(key, [rows[-1][column.name] for column in key])


class Eraser(Session):
    """Empties the columns that may hold personal data."""

    async def erase_records(self, migration_id: str, source_keys: Collection[str], *, with_images: bool) -> ErasedCount:
        """Erase what is kept of source records and of what they became: payloads of their events, messages and, if wanted, images.

        Images of records in doubt stay, because only by them it can be found out whether they are in Pipedrive.
        """
        erased = ErasedCount(source_keys=sorted(source_keys))
        for part in chunks(erased.source_keys, 200):
            sequences = select(_EVENTS.c.sequence).where(
                _EVENTS.c.migration_id == migration_id, _EVENTS.c.source_key.in_(part), _EVENTS.c.source_key != "", _EVENTS.c.kind != ERASED
            )
            erased.payload_count += await self._delete(_PAYLOADS, _PAYLOADS.c.migration_id == migration_id, _PAYLOADS.c.sequence.in_(sequences))
            pairs = [key.partition("/")[::2] for key in part]
            of_records = or_(*(and_(_RECORDS.c.source_entity == entity, _RECORDS.c.source_id == identity) for entity, identity in pairs))
            of_issues = or_(*(and_(_ISSUES.c.entity == entity, _ISSUES.c.source_id == identity) for entity, identity in pairs))
            erased.message_count += await self._blank_messages(_RECORDS, _RECORDS.c.migration_id == migration_id, of_records)
            erased.message_count += await self._blank_messages(_ISSUES, _ISSUES.c.migration_id == migration_id, of_issues)
            erased.message_count += await self._blank_messages(_ITEMS, _ITEMS.c.migration_id == migration_id, _ITEMS.c.source_key.in_(part))
            keys = select(_RECORDS.c.key).where(_RECORDS.c.migration_id == migration_id, of_records)
            erased.message_count += await self._blank_messages(_KEPT, _KEPT.c.migration_id == migration_id, _KEPT.c.key.in_(keys))
            await self._images(erased, _RECORDS.c.migration_id == migration_id, of_records, with_images=with_images)
        return erased

    async def erase_events(self, migration_id: str, sequences: Collection[int]) -> int:
        """Erase the payloads of some events; answers how many there were."""
        count = 0
        for part in chunks(sequences):
            count += await self._delete(_PAYLOADS, _PAYLOADS.c.migration_id == migration_id, _PAYLOADS.c.sequence.in_(part))
        return count

    async def erase_report_rows(self, migration_id: str, kind: ReportKind, positions: Collection[int]) -> int:
        """Erase rows of a report; answers how many there were."""
        count = 0
        for part in chunks(positions):
            where = (_LINES.c.migration_id == migration_id, _LINES.c.kind == str(kind), _LINES.c.position.in_(part))
            count += await self._delete(_LINES, *where)
        return count

    async def erase_payloads(self, migration_id: str, *, with_images: bool) -> ErasedCount:
        """Erase all personal data of a migration: event payloads but figures, messages, reports and, if wanted, images. The chain still verifies."""
        figures = select(_EVENTS.c.sequence).where(_EVENTS.c.migration_id == migration_id, _EVENTS.c.kind.in_(FIGURES))
        erased = ErasedCount()
        erased.payload_count = await self._delete(_PAYLOADS, _PAYLOADS.c.migration_id == migration_id, _PAYLOADS.c.sequence.not_in(figures))
        for table in (_RECORDS, _ISSUES, _ITEMS, _KEPT):
            erased.message_count += await self._blank_messages(table, table.c.migration_id == migration_id)
        for table in (_REPORTS, _LINES):
            erased.row_count += await self._delete(table, table.c.migration_id == migration_id, table.c.kind.not_in(_KEPT_REPORTS))
        await self._run(update(_RECORDS).where(_RECORDS.c.migration_id == migration_id, _RECORDS.c.match != "").values(match=""))
        await self._images(erased, _RECORDS.c.migration_id == migration_id, with_images=with_images)
        return erased

    async def _images(self, erased: ErasedCount, *where: ColumnElement[bool], with_images: bool) -> None:
        if with_images:
            blank = {"image": "", "pre_image": "", "intent_record": b"", "asked": "", "declined": ""}
            erased.image_count += await self._run(update(_RECORDS).where(*where, _HAS_IMAGES, ~_IN_DOUBT).values(**blank))
        erased.kept_image_count += await self._count(_RECORDS, *where, _HAS_IMAGES)

    async def _blank_messages(self, table: Table, *where: ColumnElement[bool]) -> int:
        return await self._run(update(table).where(*where, table.c.message != "").values(message=""))


def _beyond(key: Sequence[Column[Any]], values: Sequence[Any]) -> ColumnElement[bool]:
    """Answer the condition for rows after one with these values, in the order of the key."""
    conditions = []
    for place, column in enumerate(key):
        same = [before == value for before, value in zip(key[:place], values[:place], strict=True)]
        conditions.append(and_(*same, column > values[place]))
    return or_(*conditions)


def _mentions(words: Collection[str], values: Any) -> bool:
    for value in values:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        folded = text.casefold()
        if any(word in folded for word in words):
            return True
    return False


def _source_key(row: Mapping[str, Any]) -> str:
    if "source_key" in row:
        return str(row["source_key"])
    return f"{row['source_entity'] if 'source_entity' in row else row['entity']}/{row['source_id']}"
