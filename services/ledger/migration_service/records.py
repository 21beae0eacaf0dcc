"""Records and their sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.common.errors import InvalidRequestError
from services.ledger import codec
from services.ledger.domain import RecordState
from services.ledger.journey import describe_journey, list_views
from services.ledger.migration_service.deciding import Deciding, page_size
from services.ledger.migrations import require_migration
from services.ledger.summary import summarize
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from grpc import aio

    Context = aio.ServicerContext[Any, Any]


_RECORD_STATES: Final = frozenset(RecordState)


class Records(Deciding):
    """Records and their sums."""

    async def GetRecord(self, request: pb.GetRecordRequest, context: Context) -> pb.GetRecordResponse:  # noqa: N802, ARG002
        """Answer the whole journey of one record."""
        codec.require(request.key, "key")
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
        return await describe_journey(self._ledger, self._tools.transformer, migration, request.key)

    async def ListRecords(self, request: pb.ListRecordsRequest, context: Context) -> pb.ListRecordsResponse:  # noqa: N802, ARG002
        """List records."""
        size = page_size(request.page_size, "records")
        if request.state and request.state not in _RECORD_STATES:
            raise InvalidRequestError(f"state: one of {', '.join(RecordState)}")
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            return await list_views(reader, request, size)

    async def GetSummary(self, request: pb.GetSummaryRequest, context: Context) -> pb.GetSummaryResponse:  # noqa: N802, ARG002
        """Answer the sums."""
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
        entities = await self._sources.entities(migration.connector)
        async with self._ledger.read() as reader:
            return pb.GetSummaryResponse(summary=await summarize(reader, migration, entities))
