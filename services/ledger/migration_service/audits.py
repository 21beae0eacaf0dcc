"""What is known before anything moves: the audit, the plan of what is spent, the budget, the reference exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.common.canonical import canonical_json
from services.common.errors import NotFoundError
from services.ledger import load_plan
from services.ledger.domain import ReportKind, RunKind
from services.ledger.migration_service.deciding import Deciding
from services.ledger.migrations import require_migration
from services.ledger.runs.driver import mapping_yaml_of, snapshot_of
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from grpc import aio

    Context = aio.ServicerContext[Any, Any]


class Audits(Deciding):
    """What is known before anything moves: the audit, the plan of what is spent, the budget, the reference exports."""

    async def StartAudit(self, request: pb.StartAuditRequest, context: Context) -> pb.StartAuditResponse:  # noqa: N802, ARG002
        """Start an audit."""
        return await self._start("StartAudit", request, RunKind.AUDIT, pb.StartAuditResponse)

    async def GetAudit(self, request: pb.GetAuditRequest, context: Context) -> pb.GetAuditResponse:  # noqa: N802, ARG002
        """Answer the audit report."""
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            report = await reader.get_report(request.migration_id, ReportKind.AUDIT)
        if report is None:
            raise NotFoundError("there is no audit report yet: start an audit and wait for its end")
        return pb.GetAuditResponse(report_json=report.content)

    async def PlanLoad(self, request: pb.PlanLoadRequest, context: Context) -> pb.PlanLoadResponse:  # noqa: N802, ARG002
        """Answer what the migration spends."""
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
        plan = await load_plan.load_plan_of(self._tools, migration)
        if plan is None:
            raise NotFoundError("there is no plan yet: start an audit and wait for its end")
        return pb.PlanLoadResponse(plan_json=canonical_json(await load_plan.describe(self._tools, migration, plan)))

    async def GetTargetQuota(self, request: pb.GetTargetQuotaRequest, context: Context) -> pb.GetTargetQuotaResponse:  # noqa: N802, ARG002
        """Answer how the target's budget stands."""
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
        quota = await self._tools.loader.get_quota(migration.target_connection)
        return pb.GetTargetQuotaResponse(connection=migration.target_connection, quota=quota)

    async def ExportReferenceFiles(  # noqa: N802
        self,
        request: pb.ExportReferenceFilesRequest,
        context: Context,  # noqa: ARG002
    ) -> AsyncIterator[pb.ExportReferenceFilesResponse]:
        """Stream the reference exports."""
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            sequence = await reader.page_sequence(request.migration_id)
        if not migration.mapping_digest:
            raise NotFoundError("there is nothing to export yet: start an audit and wait for its end")
        mapping_yaml = await mapping_yaml_of(self._tools, migration)
        async for chunk in self._tools.transformer.export_reference(snapshot_of(migration, sequence), mapping_yaml):
            yield pb.ExportReferenceFilesResponse(file_name=chunk.file_name, content=chunk.content)
