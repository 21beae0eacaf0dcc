"""The comparison with Pipedrive, and what is done about what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from services.common.contract import page_position
from services.common.errors import InvalidRequestError, NotFoundError
from services.common.sampling import NONE
from services.ledger import codec, mismatches
from services.ledger import migration_codec as write
from services.ledger.domain import ReportKind, RunKind
from services.ledger.migration_service.deciding import Deciding, page_size
from services.ledger.migrations import require_migration
from services.ledger.reconciled import describe_reconciliation
from services.ledger.runs.context import RunContext
from services.ledger.runs.sampled import FILE_BYTES, RELATION
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from grpc import aio

    from services.ledger.repository import Transaction

    Context = aio.ServicerContext[Any, Any]


class Reconciling(Deciding):
    """The comparison with Pipedrive, and what is done about what it found."""

    async def Reconcile(self, request: pb.ReconcileRequest, context: Context) -> pb.ReconcileResponse:  # noqa: N802, ARG002
        """Start a reconciliation."""
        asked = {FILE_BYTES: request.file_sample_size, RELATION: request.relation_sample_size}
        if any(size < NONE for size in asked.values()):
            raise InvalidRequestError("file_sample_size, relation_sample_size: a number of records, 0 for the default, -1 for all, -2 for none")
        return await self._start(
            "Reconcile",
            request,
            RunKind.RECONCILE,
            pb.ReconcileResponse,
            asked=RunContext(asked={name: number for name, number in asked.items() if number}),
        )

    async def GetReconciliation(self, request: pb.GetReconciliationRequest, context: Context) -> pb.GetReconciliationResponse:  # noqa: N802, ARG002
        """Answer what the last reconciliation found, proven."""
        head = await self._sign_head(request.migration_id)
        async with self._ledger.read() as reader:
            return await describe_reconciliation(reader, request.migration_id, head)

    async def ListMismatches(self, request: pb.ListMismatchesRequest, context: Context) -> pb.ListMismatchesResponse:  # noqa: N802, ARG002
        """Answer a page of the last reconciliation's mismatches."""
        size = page_size(request.page_size, "records")
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            report = await reader.get_report(request.migration_id, ReportKind.RECONCILIATION)
            if report is None:
                raise NotFoundError("there is no reconciliation yet: run one first")
            after = page_position(request.page_token)
            rows = await reader.list_report_rows(request.migration_id, ReportKind.RECONCILIATION, after=after, limit=size)
        head = orjson.loads(report.content)
        return pb.ListMismatchesResponse(
            mismatches=[pb.Mismatch.FromString(row) for _, row in rows],
            next_page_token=str(rows[-1][0]) if len(rows) == size else "",
            record_count=head["record_count"],
            field_count=head["field_count"],
            mismatch_count=head["mismatch_count"],
            end_time=codec.to_timestamp(report.create_time),
        )

    async def RepairMismatches(self, request: pb.RepairMismatchesRequest, context: Context) -> pb.RepairMismatchesResponse:  # noqa: N802, ARG002
        """Say what a repair would do, or start it."""
        codec.require(request.actor, "actor")
        asked = mismatches.Asked(request.migration_id, request.actor, request.selection, self._tools.clock.now())
        if request.validate_only:
            async with self._ledger.read() as reader:
                return write.repair_to_proto(await mismatches.plan_repairs(reader, asked), None)

        async def act(transaction: Transaction) -> pb.RepairMismatchesResponse:
            return write.repair_to_proto(*await mismatches.start_repair(transaction, asked))

        return await self._once("RepairMismatches", request.request_id, pb.RepairMismatchesResponse, act)

    async def AcceptMismatches(self, request: pb.AcceptMismatchesRequest, context: Context) -> pb.AcceptMismatchesResponse:  # noqa: N802, ARG002
        """Keep what stands in Pipedrive."""
        codec.require(request.actor, "actor")
        asked = mismatches.Asked(request.migration_id, request.actor, request.selection, self._tools.clock.now())

        async def act(transaction: Transaction) -> pb.AcceptMismatchesResponse:
            return pb.AcceptMismatchesResponse(accepted_count=await mismatches.accept(transaction, asked, self._tools.signer))

        return await self._once("AcceptMismatches", request.request_id, pb.AcceptMismatchesResponse, act)
