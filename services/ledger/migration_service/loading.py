"""The steps that bring records into Pipedrive: schema, sample and its approval, load, delta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from services.common.access.refusals import Refusal
from services.common.contract import page_position
from services.common.errors import AccessDeniedError, InvalidRequestError, NotFoundError
from services.ledger import migrations
from services.ledger.domain import ReportKind, RunKind
from services.ledger.migration_service.deciding import Deciding, page_size
from services.ledger.migrations import require_migration
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import mapping_yaml_of
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from grpc import aio

    from services.ledger.repository import Transaction

    Context = aio.ServicerContext[Any, Any]


class Loading(Deciding):
    """The steps that bring records into Pipedrive: schema, sample and its approval, load, delta."""

    async def ApplySchema(self, request: pb.ApplySchemaRequest, context: Context) -> pb.ApplySchemaResponse:  # noqa: N802, ARG002
        """Start a schema run."""
        return await self._start("ApplySchema", request, RunKind.SCHEMA, pb.ApplySchemaResponse)

    async def RunSample(self, request: pb.RunSampleRequest, context: Context) -> pb.RunSampleResponse:  # noqa: N802, ARG002
        """Start a sample."""
        if not 0 <= request.size <= migrations.SAMPLE_SIZE_MAX:
            raise InvalidRequestError(f"size: 1 to {migrations.SAMPLE_SIZE_MAX}, 0 for the default of 150")
        return await self._start("RunSample", request, RunKind.SAMPLE, pb.RunSampleResponse, asked=RunContext(sample_size=request.size))

    async def GetDiff(self, request: pb.GetDiffRequest, context: Context) -> pb.GetDiffResponse:  # noqa: N802, ARG002
        """Answer a page of the diff."""
        size = page_size(request.page_size, "diff")
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            report = await reader.get_report(request.migration_id, ReportKind.DIFF)
            if report is None or not migration.diff_digest:
                raise NotFoundError("there is no diff of the present mapping: run a sample first")
            rows = await reader.list_report_rows(request.migration_id, ReportKind.DIFF, after=page_position(request.page_token), limit=size)
        head = orjson.loads(report.content)
        return pb.GetDiffResponse(
            mapping_digest=head["mapping_digest"],
            diff_digest=head["diff_digest"],
            records=[pb.DiffRecord.FromString(row) for _, row in rows],
            next_page_token=str(rows[-1][0]) if len(rows) == size else "",
            coverage=head["coverage"],
            field_count=head["field_count"],
            different_count=head["different_count"],
        )

    async def ApproveMigration(self, request: pb.ApproveMigrationRequest, context: Context) -> pb.ApproveMigrationResponse:  # noqa: N802, ARG002
        """Approve the diff of a digest."""

        async def act(transaction: Transaction) -> pb.ApproveMigrationResponse:
            approved = await migrations.approve(
                transaction, request.migration_id, request.diff_digest, actor=request.actor, now=self._tools.clock.now()
            )
            return pb.ApproveMigrationResponse(migration=await self._view(transaction, approved))

        try:
            return await self._once("ApproveMigration", request.request_id, pb.ApproveMigrationResponse, act)
        except AccessDeniedError as error:
            await self._tools.refusals.note(Refusal(request.actor, request.migration_id, error.reason, error.metadata))
            raise

    async def StartLoad(self, request: pb.StartLoadRequest, context: Context) -> pb.StartLoadResponse:  # noqa: N802, ARG002
        """Start the full load."""
        return await self._start("StartLoad", request, RunKind.LOAD, pb.StartLoadResponse)

    async def RunDelta(self, request: pb.RunDeltaRequest, context: Context) -> pb.RunDeltaResponse:  # noqa: N802, ARG002
        """Start a delta; policies given for it are checked before."""
        asked = RunContext(conflicts=tuple(request.conflicts), deletions=tuple(request.deletions), includes_rolled_back=request.includes_rolled_back)
        if asked.conflicts or asked.deletions:
            async with self._ledger.read() as reader:
                migration = await require_migration(reader, request.migration_id)
            if migration.mapping_digest:
                mapping_yaml = await mapping_yaml_of(self._tools, migration)
                await self._tools.transformer.compile_schema(mapping_yaml, conflicts=asked.conflicts, deletions=asked.deletions)
        return await self._start("RunDelta", request, RunKind.DELTA, pb.RunDeltaResponse, asked=asked)
