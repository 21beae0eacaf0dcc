"""The review queue."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, select, update

from services.ledger.domain import Resolution, ReviewFilter, ReviewItem
from services.ledger.sql.rows import RowCodec, to_micros
from services.ledger.sql.session import chunks, table_of
from services.ledger.sql.tables import ReviewItemRow
from services.ledger.sql.trail import TrailReader, TrailWriter

_ITEMS = table_of(ReviewItemRow)
_ITEM = RowCodec(ReviewItem)
_OPEN = str(Resolution.NONE)


class ReviewReader(TrailReader):
    """Queries of the review queue."""

    async def list_review_items(self, migration_id: str, which: ReviewFilter, *, after_order: int = 0, limit: int = 1000) -> Sequence[ReviewItem]:
        """List review items, oldest first."""
        statement = select(_ITEMS).where(_ITEMS.c.migration_id == migration_id, _ITEMS.c.order > after_order)
        if which.review_item_ids:
            statement = statement.where(_ITEMS.c.review_item_id.in_(which.review_item_ids))
        if which.reason:
            statement = statement.where(_ITEMS.c.reason == which.reason)
        if which.source_key:
            statement = statement.where(_ITEMS.c.source_key == which.source_key)
        if not which.includes_resolved:
            statement = statement.where(_ITEMS.c.resolution == _OPEN)
        return [_ITEM.from_row(row) for row in await self._all(statement.order_by(_ITEMS.c.order).limit(limit))]

    async def count_open_review_items_by_reason(self, migration_id: str) -> dict[str, int]:
        """Count open review items by reason."""
        statement = select(_ITEMS.c.reason, func.count().label("count")).where(_ITEMS.c.migration_id == migration_id, _ITEMS.c.resolution == _OPEN)
        return {row["reason"]: int(row["count"]) for row in await self._all(statement.group_by(_ITEMS.c.reason))}

    async def count_open_review_items(self, migration_id: str, *, is_blocking: bool | None = None) -> int:
        """Count open review items."""
        where = [_ITEMS.c.migration_id == migration_id, _ITEMS.c.resolution == _OPEN]
        if is_blocking is not None:
            where.append(_ITEMS.c.is_blocking.is_(is_blocking))
        return await self._count(_ITEMS, *where)


class ReviewWriter(ReviewReader, TrailWriter):
    """Writes of the review queue."""

    async def open_review_items(self, items: Sequence[ReviewItem]) -> None:
        """Open review items. A resolved blocking item opens again, a resolved flag stays resolved; open ones get the new message."""
        if not items:
            return
        migration_id = items[0].migration_id
        wanted = {item.review_item_id: item for item in items}
        known: dict[str, ReviewItem] = {}
        for part in chunks(wanted):
            rows = await self._all(select(_ITEMS).where(_ITEMS.c.migration_id == migration_id, _ITEMS.c.review_item_id.in_(part)))
            known.update((row["review_item_id"], _ITEM.from_row(row)) for row in rows)
        rows_out = []
        for identity, item in wanted.items():
            before = known.get(identity)
            if before is not None and before.resolution is not Resolution.NONE and not item.is_blocking:
                continue
            order = before.order if before else await self._next(migration_id, "review_order")
            created = before.create_time if before else item.create_time
            opened = {"order": order, "create_time": to_micros(created), "resolution": _OPEN, "actor": "", "resolve_time": None}
            rows_out.append({**_ITEM.to_row(item), **opened})
        await self._upsert(_ITEMS, rows_out)

    async def resolve_review_items(
        self, migration_id: str, review_item_ids: Collection[str], resolution: Resolution, actor: str, resolve_time: datetime
    ) -> int:
        """Resolve open items by id and answer how many were."""
        values = {"resolution": str(resolution), "actor": actor, "resolve_time": to_micros(resolve_time)}
        resolved = 0
        for part in chunks(review_item_ids):
            where = (_ITEMS.c.migration_id == migration_id, _ITEMS.c.review_item_id.in_(part), _ITEMS.c.resolution == _OPEN)
            resolved += await self._run(update(_ITEMS).where(*where).values(**values))
        return resolved

    async def close_review_items(self, migration_id: str, keys: Collection[str], actor: str, resolve_time: datetime) -> int:
        """Resolve (`retry`) open blocking items of records that are no longer held up; answer how many were."""
        values = {"resolution": str(Resolution.RETRY), "actor": actor, "resolve_time": to_micros(resolve_time)}
        closed = 0
        for part in chunks(keys):
            where = (_ITEMS.c.migration_id == migration_id, _ITEMS.c.key.in_(part), _ITEMS.c.resolution == _OPEN, _ITEMS.c.is_blocking.is_(True))
            closed += await self._run(update(_ITEMS).where(*where).values(**values))
        return closed
