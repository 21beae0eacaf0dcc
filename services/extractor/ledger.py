"""The ledger over gRPC, as an extraction sees it. An absent ledger is waited for: an extraction has nowhere else to put what it reads."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from google.protobuf import timestamp_pb2

from services.common import telemetry
from services.common.backoff import Backoff
from services.common.clock import Clock
from services.common.errors import TransientError
from services.common.secrecy import masked
from services.extractor.ports import Checkpoint, Grant, PageRecord, PageRef, Report, State
from transload.v1 import ledger_service_pb2 as pb
from transload.v1 import ledger_service_pb2_grpc, records_pb2

_Answer = TypeVar("_Answer")
_PAGE_SIZE: Final = 500
_STATES: Final = {
    State.RUNNING: pb.EXTRACTION_STATE_RUNNING,
    State.WAITING: pb.EXTRACTION_STATE_WAITING,
    State.DONE: pb.EXTRACTION_STATE_DONE,
    State.NO_ACCESS: pb.EXTRACTION_STATE_NO_ACCESS,
    State.FAILED: pb.EXTRACTION_STATE_FAILED,
}
_log = telemetry.get_logger(__name__)


class LedgerClient:
    """Implements `ExtractionLedger`."""

    def __init__(self, stub: ledger_service_pb2_grpc.LedgerServiceStub, *, clock: Clock, backoff: Backoff | None = None) -> None:
        self._stub = stub
        self._clock = clock
        self._backoff = backoff or Backoff(base_seconds=0.5, cap_seconds=10.0)

    async def checkpoints(self, extraction_id: str) -> dict[str, Checkpoint]:
        """Answer how far each entity has been read."""
        request = pb.ListCheckpointsRequest(extraction_id=extraction_id)
        response = await self._persist("ListCheckpoints", lambda: self._stub.ListCheckpoints(request))
        return {one.entity: Checkpoint(one.cursor, one.next_page_number, one.is_final) for one in response.checkpoints}

    async def record_page(self, migration_id: str, page: PageRecord) -> None:
        """Record a page; the same page again changes nothing."""
        read_time = timestamp_pb2.Timestamp()
        read_time.FromDatetime(page.read_time)
        message = records_pb2.Page(
            page_id=page.page_id,
            extraction_id=page.extraction_id,
            entity=page.entity,
            page_number=page.page_number,
            digest=page.digest,
            record_count=len(page.source_ids),
            cursor=page.cursor,
            next_cursor=page.next_cursor,
            read_time=read_time,
            trace_parent=page.trace_parent,
        )
        request = pb.RecordPageRequest(migration_id=migration_id, page=message, source_ids=page.source_ids)
        await self._persist("RecordPage", lambda: self._stub.RecordPage(request))

    async def report(self, report: Report) -> None:
        """Tell how things stand."""
        request = pb.ReportExtractionRequest(
            extraction_id=report.extraction_id,
            entity=report.entity,
            state=_STATES[report.state],
            reason=report.reason,
            message=masked(report.message),
        )
        if report.resume_time is not None:
            request.resume_time.FromDatetime(report.resume_time)
        await self._persist("ReportExtraction", lambda: self._stub.ReportExtraction(request))

    async def debit(self, connection: str, day: str, daily_limit: int, extraction_id: str) -> Grant:
        """Take one call; repeated with the same request id until the ledger answers, it is taken once."""
        request = pb.DebitSourceCallsRequest(
            connection=connection, day=day, call_count=1, daily_limit=daily_limit, request_id=str(uuid.uuid4()), extraction_id=extraction_id
        )
        response = await self._persist("DebitSourceCalls", lambda: self._stub.DebitSourceCalls(request))
        return Grant(response.granted_count, response.used_count)

    async def pages(self, migration_id: str, *, after_sequence: int = 0) -> AsyncIterator[PageRef]:
        """Yield the migration's pages by sequence."""
        request = pb.ListPagesRequest(migration_id=migration_id, after_sequence=after_sequence, page_size=_PAGE_SIZE)
        while True:
            response = await self._list(request)
            for page in response.pages:
                yield PageRef(page.extraction_id, page.entity, page.digest, page.sequence, page.record_count)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def _list(self, request: pb.ListPagesRequest) -> pb.ListPagesResponse:
        return await self._persist("ListPages", lambda: self._stub.ListPages(request))

    async def _persist(self, method: str, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        attempt = 0
        while True:
            try:
                return await call()
            except TransientError as error:
                attempt += 1
                _log.warning("ledger.unavailable", method=method, attempt=attempt, reason=error.reason)
                await self._clock.sleep(self._backoff.delay_seconds(attempt))
