"""Taking back: the plan, the run, and what was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from services.ledger import codec, load_plan
from services.ledger import migration_codec as write
from services.ledger.domain import ReportKind, RunKind
from services.ledger.migration_service.deciding import Deciding, page_size
from services.ledger.migrations import require_migration
from services.ledger.runs.context import RunContext
from services.ledger.runs.rollback_plan import plan_rollback
from services.ledger.scope import check_scope
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from grpc import aio

    Context = aio.ServicerContext[Any, Any]


class RollingBack(Deciding):
    """Taking back: the plan, the run, and what was kept."""

    async def PlanRollback(self, request: pb.PlanRollbackRequest, context: Context) -> pb.PlanRollbackResponse:  # noqa: N802, ARG002
        """Say what a rollback would do."""
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            plan = await plan_rollback(reader, migration, write.scope_from_proto(request.scope))
            runs = await reader.list_runs(request.migration_id)
            report = await reader.get_report(request.migration_id, ReportKind.TARGET)
        quota = (orjson.loads(report.content).get("quota") or {}) if report else {}
        return write.rollback_plan_to_proto(plan, load_token_count=load_plan.spent_on_loading(runs), quota=quota)

    async def RollbackMigration(self, request: pb.RollbackMigrationRequest, context: Context) -> pb.RollbackMigrationResponse:  # noqa: N802, ARG002
        """Start taking everything back, or a part."""
        codec.require(request.actor, "actor")
        scope = write.scope_from_proto(request.scope)
        check_scope(scope)
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            if scope.is_partial:  # says at once that there is no such record
                await plan_rollback(reader, migration, scope)
        return await self._start("RollbackMigration", request, RunKind.ROLLBACK, pb.RollbackMigrationResponse, asked=RunContext(scope=scope))

    async def ListKept(self, request: pb.ListKeptRequest, context: Context) -> pb.ListKeptResponse:  # noqa: N802, ARG002
        """List what rollbacks kept."""
        size = page_size(request.page_size, "records")
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            rows = await reader.list_kept(request.migration_id, after_key=request.page_token, limit=size)
        token = rows[-1].key if len(rows) == size else ""
        return pb.ListKeptResponse(records=[write.kept_to_proto(row) for row in rows], next_page_token=token)
