"""What rollbacks kept, and what a partial rollback takes."""

from collections.abc import Collection, Sequence

from sqlalchemy import select

from services.ledger.domain import Kept, KeptReason
from services.ledger.sql.rows import RowCodec
from services.ledger.sql.session import Session, chunks, table_of
from services.ledger.sql.tables import KeptRow, UndoSelectionRow

_KEPT, _SELECTIONS = table_of(KeptRow), table_of(UndoSelectionRow)
_ONE = RowCodec(Kept)


class KeptReader(Session):
    """Queries of what was kept."""

    async def list_kept(self, migration_id: str, *, after_key: str = "", limit: int = 1000) -> Sequence[Kept]:
        """List what was kept, by key."""
        statement = select(_KEPT).where(_KEPT.c.migration_id == migration_id, _KEPT.c.key > after_key).order_by(_KEPT.c.key).limit(limit)
        return [_ONE.from_row(row) for row in await self._all(statement)]

    async def count_kept(self, migration_id: str, reasons: Collection[KeptReason]) -> int:
        """Count what was kept for one of these reasons."""
        return await self._count(_KEPT, _KEPT.c.migration_id == migration_id, _KEPT.c.reason.in_([str(reason) for reason in reasons]))


class KeptWriter(KeptReader):
    """Writes of what was kept."""

    async def save_kept(self, kept: Sequence[Kept]) -> None:
        """Write what was kept, new or changed."""
        await self._upsert(_KEPT, [_ONE.to_row(one) for one in kept])

    async def forget_kept(self, migration_id: str, *, reasons: Collection[KeptReason] = (), keys: Collection[str] = ()) -> None:
        """Forget what was kept: for these reasons, and these keys."""
        if reasons:
            await self._delete(_KEPT, _KEPT.c.migration_id == migration_id, _KEPT.c.reason.in_([str(reason) for reason in reasons]))
        for part in chunks(keys):
            await self._delete(_KEPT, _KEPT.c.migration_id == migration_id, _KEPT.c.key.in_(part))

    async def add_undo_selection(self, run_id: str, keys: Collection[str]) -> None:
        """Note records a partial rollback takes back; known ones are left as they are."""
        await self._insert_new(_SELECTIONS, [{"run_id": run_id, "key": key} for key in keys])
