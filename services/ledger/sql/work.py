"""Page work, batches, the outbox and answers to requests."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import bindparam, case, func, select, update

from services.ledger.domain import Batch, BatchState, OutboxMessage, PageWork, PhaseProgress, WorkState
from services.ledger.sql.rows import RowCodec, to_micros
from services.ledger.sql.session import Session, by, chunks, table_of
from services.ledger.sql.tables import BatchRow, OutboxRow, PageRow, PageWorkRow, RequestRow

_WORK, _BATCHES, _OUTBOX, _REQUESTS, _PAGES = (
    table_of(PageWorkRow),
    table_of(BatchRow),
    table_of(OutboxRow),
    table_of(RequestRow),
    table_of(PageRow),
)
_WORK_BY_ID, _BATCH_BY_ID, _REQUEST_BY_ID = by(_WORK.c.run_id, _WORK.c.page_id, _WORK.c.phase), by(_BATCHES.c.batch_id), by(_REQUESTS.c.request_id)
_PAGE_OF_BATCH = _BATCH_BY_ID.with_only_columns(_BATCHES.c.run_id, _BATCHES.c.page_id, _BATCHES.c.phase)
# What is asked or written for every batch is built once: SQLAlchemy takes longer to put a statement together than SQLite to run it.
_OF_PHASE_WORK = (_WORK.c.run_id == bindparam("of_run"), _WORK.c.phase == bindparam("of_phase"))
_OF_PHASE = (_BATCHES.c.run_id == bindparam("of_run"), _BATCHES.c.phase == bindparam("of_phase"))
_IS_FINAL = _BATCHES.c.state == str(BatchState.FINAL)
_PAGE_PROGRESS = select(_WORK.c.state, func.count().label("count")).where(*_OF_PHASE_WORK).group_by(_WORK.c.state)
_BATCH_PROGRESS = select(
    func.count().label("total"),
    func.coalesce(func.sum(case((_IS_FINAL, 1), else_=0)), 0).label("final"),
    func.coalesce(func.sum(_BATCHES.c.record_count), 0).label("records"),
    func.coalesce(func.sum(case((_IS_FINAL, _BATCHES.c.record_count), else_=0)), 0).label("done"),
).where(*_OF_PHASE)
_OPEN_OF_PAGE = select(_BATCHES.c.batch_id).where(*_OF_PHASE, _BATCHES.c.page_id == bindparam("of_page"), _BATCHES.c.state != str(BatchState.FINAL))
_FINISH_WORK = update(_WORK).where(*_OF_PHASE_WORK, _WORK.c.page_id == bindparam("of_page")).values(state=str(WorkState.FINAL))
_SET_BATCH_STATE = update(_BATCHES).where(_BATCHES.c.batch_id == bindparam("of_batch")).values(state=bindparam("new_state"))
_QUEUED = select(_OUTBOX).order_by(_OUTBOX.c.order).limit(bindparam("count"))
_PAGE_WORK, _BATCH, _MESSAGE = RowCodec(PageWork), RowCodec(Batch), RowCodec(OutboxMessage)


class WorkReader(Session):
    """Queries of work."""

    async def get_page_work(self, run_id: str, page_id: str, phase: int) -> PageWork | None:
        """Answer the work on one page in one phase of a run."""
        row = await self._first(_WORK_BY_ID, {"run_id": run_id, "page_id": page_id, "phase": phase})
        return _PAGE_WORK.from_row(row) if row else None

    async def list_page_work(self, run_id: str, phase: int, states: Collection[WorkState] = (), *, limit: int = 1000) -> Sequence[PageWork]:
        """List the work of a phase in the order of the pages; no states: all."""
        joined = _WORK.join(_PAGES, (_PAGES.c.migration_id == _WORK.c.migration_id) & (_PAGES.c.page_id == _WORK.c.page_id))
        statement = select(_WORK).select_from(joined).where(_WORK.c.run_id == run_id, _WORK.c.phase == phase)
        if states:
            statement = statement.where(_WORK.c.state.in_([str(state) for state in states]))
        return [_PAGE_WORK.from_row(row) for row in await self._all(statement.order_by(_PAGES.c.sequence).limit(limit))]

    async def get_batch(self, batch_id: str) -> Batch | None:
        """Answer one batch."""
        row = await self._first(_BATCH_BY_ID, {"batch_id": batch_id})
        return _BATCH.from_row(row) if row else None

    async def list_batches(self, run_id: str, phase: int, states: Collection[BatchState] = (), *, limit: int = 1000) -> Sequence[Batch]:
        """List batches of a phase by id; no states: all."""
        statement = select(_BATCHES).where(_BATCHES.c.run_id == run_id, _BATCHES.c.phase == phase)
        if states:
            statement = statement.where(_BATCHES.c.state.in_([str(state) for state in states]))
        return [_BATCH.from_row(row) for row in await self._all(statement.order_by(_BATCHES.c.batch_id).limit(limit))]

    async def phase_progress(self, run_id: str, phase: int) -> PhaseProgress:
        """Count the work of a phase."""
        values = {"of_run": run_id, "of_phase": phase}
        pages = await self._all(_PAGE_PROGRESS, values)
        batches = await self._first(_BATCH_PROGRESS, values)
        counts: dict[str, int] = {row["state"]: row["count"] for row in pages}
        total = sum(counts.values())
        return PhaseProgress(
            page_count=total,
            open_page_count=total - counts.get(WorkState.FINAL, 0),
            untransformed_page_count=counts.get(WorkState.ANNOUNCED, 0),
            batch_count=batches["total"] if batches else 0,
            open_batch_count=batches["total"] - batches["final"] if batches else 0,
            record_count=int(batches["records"]) if batches else 0,
            done_record_count=int(batches["done"]) if batches else 0,
        )

    async def count_outbox(self) -> int:
        """Count messages that are not published yet."""
        return await self._count(_OUTBOX)

    async def list_outbox(self, *, limit: int = 256) -> Sequence[OutboxMessage]:
        """List messages that are not published yet, in order."""
        return [_MESSAGE.from_row(row) for row in await self._all(_QUEUED, {"count": limit})]

    async def get_response(self, request_id: str) -> bytes | None:
        """Answer what was answered to a request before."""
        row = await self._first(_REQUEST_BY_ID, {"request_id": request_id})
        return bytes(row["response"]) if row else None


class WorkWriter(WorkReader):
    """Writes of work."""

    async def save_page_work(self, work: Sequence[PageWork]) -> None:
        """Write page work, new or changed."""
        await self._upsert(_WORK, [_PAGE_WORK.to_row(item) for item in work])

    async def add_batches(self, batches: Sequence[Batch]) -> None:
        """Write new batches; known ones are left as they are."""
        await self._insert_new(_BATCHES, [{**_BATCH.to_row(batch), "record_count": len(batch.keys)} for batch in batches])

    async def drop_batches(self, run_id: str, page_id: str, phase: int, keep: Collection[str]) -> None:
        """Forget batches of a page's work that no longer come; final ones stay."""
        rows = await self._all(_OPEN_OF_PAGE, {"of_run": run_id, "of_page": page_id, "of_phase": phase})
        for part in chunks([row["batch_id"] for row in rows if row["batch_id"] not in keep]):
            await self._delete(_BATCHES, _BATCHES.c.batch_id.in_(part))

    async def set_batch_state(self, batch_id: str, state: BatchState) -> None:
        """Move a batch on. Once all batches of a transformed page's work are final, that work is final, too."""
        await self._run(_SET_BATCH_STATE, [{"of_batch": batch_id, "new_state": str(state)}])
        if state is not BatchState.FINAL:
            return
        batch = await self._first(_PAGE_OF_BATCH, {"batch_id": batch_id})
        if batch is not None and batch["page_id"]:
            await self.finish_page_work(batch["run_id"], batch["page_id"], batch["phase"])

    async def finish_page_work(self, run_id: str, page_id: str, phase: int) -> bool:
        """Make transformed page work final if all its batches are; answer whether it is final."""
        work = await self.get_page_work(run_id, page_id, phase)
        if work is None or work.state is WorkState.ANNOUNCED:
            return False
        page = {"of_run": run_id, "of_page": page_id, "of_phase": phase}
        if await self._first(_OPEN_OF_PAGE, page) is not None:
            return False
        if work.state is not WorkState.FINAL:
            await self._run(_FINISH_WORK, [page])
        return True

    async def add_outbox(self, messages: Sequence[OutboxMessage]) -> None:
        """Queue messages; an id that is queued already is left as it is."""
        codec_rows = [_MESSAGE.to_row(message) for message in messages]
        for row in codec_rows:
            del row["order"]
        await self._insert_new(_OUTBOX, codec_rows)

    async def remove_outbox(self, orders: Collection[int]) -> None:
        """Remove messages that were published."""
        for part in chunks(orders):
            await self._delete(_OUTBOX, _OUTBOX.c.order.in_(part))

    async def save_response(self, request_id: str, response: bytes, now: datetime) -> None:
        """Remember what was answered to a request."""
        await self._insert_new(_REQUESTS, [{"request_id": request_id, "response": response, "create_time": to_micros(now)}])
