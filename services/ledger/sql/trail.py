"""The audit trail and everything that is numbered without gaps."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, select

from services.ledger.audit import chain
from services.ledger.domain import Event, EventDraft
from services.ledger.sql.rows import RowCodec
from services.ledger.sql.session import Runner, Session, Statements, by, table_of
from services.ledger.sql.tables import AuditHeadRow, EventPayloadRow, EventRow, HeadRow
from transload.audit.chain import FIRST_PREVIOUS_HASH, ChainHead
from transload.audit.heads import AuditHead

_HEADS, _EVENTS, _PAYLOADS = table_of(HeadRow), table_of(EventRow), table_of(EventPayloadRow)
_AUDIT_HEADS = table_of(AuditHeadRow)
_NEW_HEAD: dict[str, Any] = {
    "event_sequence": 0,
    "event_hash": FIRST_PREVIOUS_HASH,
    "event_peaks": b"",
    "page_sequence": 0,
    "create_order": 0,
    "review_order": 0,
}
_HASH_BYTES = 32
_HEAD_BY_ID = by(_HEADS.c.migration_id)
_EVENT = RowCodec(Event, without=("payload", "salt"))
_PAYLOAD = RowCodec(Event, only=("migration_id", "sequence", "salt", "payload"))
_EVENT_OUT = RowCodec(Event)
_NEW_EVENT, _NEW_PAYLOAD = _EVENTS.insert(), _PAYLOADS.insert()


class TrailReader(Session):
    """Queries of the audit trail."""

    async def event_sequence(self, migration_id: str) -> int:
        """Answer the sequence of the last event; 0: none."""
        return (await self.chain_head(migration_id)).sequence

    async def chain_head(self, migration_id: str) -> ChainHead:
        """Answer where the trail stands; the first head when there is no event."""
        row = await self._first(_HEAD_BY_ID, {"migration_id": migration_id})
        return _chain_head(row) if row else ChainHead()

    async def list_audit_heads(self, migration_id: str, *, from_size: int = 0) -> Sequence[AuditHead]:
        """List signed heads of at least this size, smallest first."""
        columns = _AUDIT_HEADS.c
        statement = select(_AUDIT_HEADS).where(columns.migration_id == migration_id, columns.tree_size >= from_size)
        return [AuditHead(**row) for row in await self._all(statement.order_by(columns.tree_size, columns.sign_time))]

    async def list_event_hashes(self, migration_id: str, *, after_sequence: int = 0, limit: int = 1000) -> Sequence[str]:
        """List the hashes (hex) of events in order."""
        columns = _EVENTS.c
        statement = select(columns.hash).where(columns.migration_id == migration_id, columns.sequence > after_sequence)
        return [row["hash"] for row in await self._all(statement.order_by(columns.sequence).limit(limit))]

    async def page_sequence(self, migration_id: str) -> int:
        """Answer the sequence of the last page; 0: none."""
        row = await self._first(select(_HEADS.c.page_sequence).where(_HEADS.c.migration_id == migration_id))
        return int(row["page_sequence"]) if row else 0

    async def list_events(self, migration_id: str, *, after_sequence: int = 0, limit: int = 1000) -> Sequence[Event]:
        """List events in order, with payloads."""
        return await self._events(_EVENTS.c.migration_id == migration_id, _EVENTS.c.sequence > after_sequence, limit=limit)

    async def list_events_of_source(self, migration_id: str, source_key: str, *, limit: int = 1000) -> Sequence[Event]:
        """List events that concern a source record or what it became, in order."""
        # The second condition is the index's own: without it SQLite does not use it.
        return await self._events(_EVENTS.c.migration_id == migration_id, _EVENTS.c.source_key == source_key, _EVENTS.c.source_key != "", limit=limit)

    async def last_event(self, migration_id: str, kind: str) -> Event | None:
        """Answer the last event of a kind."""
        columns = _EVENTS.c
        # From the end: what is asked for happened lately, and there may be millions before it.
        statement = select(columns.sequence).where(columns.migration_id == migration_id, columns.kind == kind).order_by(columns.sequence.desc())
        row = await self._first(statement.limit(1))
        found = await self._events(columns.migration_id == migration_id, columns.sequence == row["sequence"], limit=1) if row else ()
        return found[0] if found else None

    async def _events(self, *where: object, limit: int) -> Sequence[Event]:
        joined = _EVENTS.outerjoin(_PAYLOADS, (_PAYLOADS.c.migration_id == _EVENTS.c.migration_id) & (_PAYLOADS.c.sequence == _EVENTS.c.sequence))
        statement = select(_EVENTS, _PAYLOADS.c.salt, _PAYLOADS.c.payload).select_from(joined).where(*where).order_by(_EVENTS.c.sequence)  # type: ignore[arg-type]
        rows = await self._all(statement.limit(limit))
        return [_EVENT_OUT.from_row({**row, "salt": row["salt"] or "", "payload": row["payload"] or b""}) for row in rows]


class TrailWriter(TrailReader):
    """Appends to the audit trail. Heads are read once a transaction and written back once, by `_flush_heads`."""

    def __init__(self, run: Runner, statements: Statements, now: Callable[[], datetime], salt: Callable[[], bytes]) -> None:
        super().__init__(run, statements)
        self._now = now
        self._salt = salt
        self._heads: dict[str, dict[str, Any]] = {}
        self.touched: set[str] = set()
        """Migrations this transaction wrote events of."""
        self.event_count = 0

    async def append_event(self, migration_id: str, event: EventDraft) -> int:
        """Append one event and answer its sequence."""
        return await self.append_events(migration_id, [event])

    async def append_events(self, migration_id: str, events: Sequence[EventDraft]) -> int:
        """Append events in order and answer the last sequence."""
        head = await self._head(migration_id)
        chained, after = chain(migration_id, _chain_head(head), events, self._now(), self._salt)
        await self._write_values(_NEW_EVENT, _EVENT, chained)
        await self._write_values(_NEW_PAYLOAD, _PAYLOAD, [event for event in chained if event.salt])
        head["event_sequence"], head["event_hash"], head["event_peaks"] = after.sequence, after.hash, b"".join(after.peaks)
        self.touched.add(migration_id)
        self.event_count += len(chained)
        return after.sequence

    async def event_sequence(self, migration_id: str) -> int:
        """Answer the sequence of the last event, those of this transaction included."""
        return (await self.chain_head(migration_id)).sequence

    async def chain_head(self, migration_id: str) -> ChainHead:
        """Answer where the trail stands, the events of this transaction included."""
        head = self._heads.get(migration_id)
        return _chain_head(head) if head else await super().chain_head(migration_id)

    async def save_audit_head(self, head: AuditHead) -> None:
        """Write a signed head; the same size and key again changes nothing."""
        await self._insert_new(_AUDIT_HEADS, [head.as_data()])

    async def page_sequence(self, migration_id: str) -> int:
        """Answer the sequence of the last page, those of this transaction included."""
        head = self._heads.get(migration_id)
        return int(head["page_sequence"]) if head else await super().page_sequence(migration_id)

    async def next_create_orders(self, migration_id: str, count: int) -> int:
        """Reserve consecutive creation orders and answer the first."""
        return await self._next(migration_id, "create_order", count)

    async def _next(self, migration_id: str, column: str, count: int = 1) -> int:
        """Reserve `count` numbers and answer the first."""
        head = await self._head(migration_id)
        first = int(head[column]) + 1
        head[column] = first + count - 1
        self.touched.add(migration_id)
        return first

    async def _head(self, migration_id: str) -> dict[str, Any]:
        if migration_id not in self._heads:
            row = await self._first(_HEAD_BY_ID, {"migration_id": migration_id})
            self._heads[migration_id] = dict(row) if row else {**_NEW_HEAD, "migration_id": migration_id}
        return self._heads[migration_id]

    async def _flush_heads(self) -> None:
        await self._upsert(_HEADS, list(self._heads.values()))


def _chain_head(row: Mapping[str, Any] | RowMapping) -> ChainHead:
    peaks = bytes(row["event_peaks"])
    split = tuple(peaks[start : start + _HASH_BYTES] for start in range(0, len(peaks), _HASH_BYTES))
    return ChainHead(int(row["event_sequence"]), str(row["event_hash"]), split)
