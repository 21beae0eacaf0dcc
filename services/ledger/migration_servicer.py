"""`MigrationService`: RPC in, one decision of the domain, RPC out."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from services.common.access.refusals import Refusal
from services.common.canonical import canonical_json
from services.common.errors import AccessDeniedError, InvalidRequestError, MappingError, NotFoundError, PreconditionError
from services.common.sampling import NONE
from services.ledger import codec, erasure, load_plan, migrations, mismatches, review
from services.ledger import migration_codec as write
from services.ledger.audit import inclusion_paths, sign_head, verify_trail
from services.ledger.domain import Mapping, Mentions, Migration, RecordState, ReportKind, Resolution, ReviewFilter, RunKind
from services.ledger.journey import describe_journey, list_views
from services.ledger.keeping import OURS
from services.ledger.matching.named import find_named
from services.ledger.migrations import require_migration
from services.ledger.origins import source_key_of
from services.ledger.reconciled import describe_reconciliation
from services.ledger.runs.audit import target_json_of
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import mapping_yaml_of, snapshot_of
from services.ledger.runs.rollback_plan import plan_rollback
from services.ledger.runs.sampled import FILE_BYTES, RELATION
from services.ledger.scope import check_scope
from services.ledger.summary import Sources, summarize
from services.ledger.watch import Watch
from transload.v1 import migration_service_pb2 as pb
from transload.v1 import migration_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.message import Message
    from grpc import aio

    from services.ledger.repository import Reader, Transaction
    from services.ledger.runs.driver import Tools
    from transload.audit.heads import AuditHead
    from transload.v1 import transformer_service_pb2 as transformer_pb

    Context = aio.ServicerContext[Any, Any]

Response = TypeVar("Response", bound="Message")

EVENTS_PER_MESSAGE: Final = 500
EVENTS_PER_PROOF: Final = 10_000
"""Events of one record that a proof holds at most; none comes near it."""
PAGE_SIZES: Final = {"migrations": (50, 500), "records": (100, 1000), "diff": (100, 500)}
"""Default and maximum."""
_RECORD_STATES: Final = frozenset(RecordState)


class _NotMeantError(Exception):
    """Takes a transaction back that was only tried."""


class MigrationServicer(migration_service_pb2_grpc.MigrationServiceServicer):
    """`MigrationService` on a repository and the ports of the other services."""

    def __init__(self, *, tools: Tools) -> None:
        self._tools = tools
        self._ledger = tools.ledger
        self._sources = Sources(tools.extractor)

    # migrations

    async def CreateMigration(self, request: pb.CreateMigrationRequest, context: Context) -> pb.CreateMigrationResponse:  # noqa: N802, ARG002
        """Create a migration."""
        migration_id = request.migration_id or f"{request.source_connection[:40].strip('-') or 'migration'}-{uuid.uuid4().hex[:8]}"
        migration = Migration(
            migration_id=migration_id,
            display_name=request.display_name or migration_id,
            connector=request.connector,
            source_connection=request.source_connection,
            target_connection=request.target_connection,
            create_time=self._tools.clock.now(),
            options=write.options_from_proto(request.options),
        )

        async def act(transaction: Transaction) -> pb.CreateMigrationResponse:
            created = await migrations.create(transaction, migration, request.actor)
            return pb.CreateMigrationResponse(migration=await self._view(transaction, created))

        return await self._once("CreateMigration", request.request_id, pb.CreateMigrationResponse, act)

    async def GetMigration(self, request: pb.GetMigrationRequest, context: Context) -> pb.GetMigrationResponse:  # noqa: N802, ARG002
        """Answer one migration."""
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            return pb.GetMigrationResponse(migration=await self._view(reader, migration))

    async def ListMigrations(self, request: pb.ListMigrationsRequest, context: Context) -> pb.ListMigrationsResponse:  # noqa: N802, ARG002
        """List migrations, newest first."""
        size = _page_size(request.page_size, "migrations")
        async with self._ledger.read() as reader:
            found = await reader.list_migrations(after=request.page_token, limit=size)
            views = [await self._view(reader, migration) for migration in found]
        token = found[-1].migration_id if len(found) == size else ""
        return pb.ListMigrationsResponse(migrations=views, next_page_token=token)

    async def WatchMigration(self, request: pb.WatchMigrationRequest, context: Context) -> AsyncIterator[pb.WatchMigrationResponse]:  # noqa: N802, ARG002
        """Stream progress and events."""
        watch = Watch(tools=self._tools, sources=self._sources, view=self._view)
        async for message in watch.messages(request):
            yield message

    # steps

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

    async def GetMapping(self, request: pb.GetMappingRequest, context: Context) -> pb.GetMappingResponse:  # noqa: N802, ARG002
        """Answer a version of the mapping."""
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            mapping = await reader.get_mapping(request.migration_id, request.version)
        if mapping is None:
            which = f"version {request.version} of the mapping" if request.version else "a mapping: the audit proposes the first"
            raise NotFoundError(f"migration {request.migration_id} does not have {which}")
        return pb.GetMappingResponse(mapping=write.mapping_to_proto(mapping, is_confirmed=_is_confirmed(migration, mapping)))

    async def EditMapping(self, request: pb.EditMappingRequest, context: Context) -> pb.EditMappingResponse:  # noqa: N802, ARG002
        """Store a new version of the mapping."""
        codec.require(request.mapping_yaml, "mapping_yaml")
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            sequence = await reader.page_sequence(request.migration_id)
        target_json = await target_json_of(self._tools, migration)
        checked = await self._tools.transformer.validate_mapping(request.mapping_yaml, snapshot_of(migration, sequence), target_json)
        if not checked.mapping_digest:
            problem = checked.findings[0].message if checked.findings else "it cannot be read"
            raise MappingError(f"the mapping was not stored: {problem}")
        mapping = Mapping(
            migration_id=request.migration_id,
            version=0,
            digest=checked.mapping_digest,
            mapping_yaml=request.mapping_yaml,
            findings_json=write.findings_to_json(list(checked.findings)),
            actor=request.actor,
            create_time=self._tools.clock.now(),
        )

        async def act(transaction: Transaction) -> pb.EditMappingResponse:
            added = await migrations.add_mapping(transaction, mapping, base_digest=request.base_digest)
            after = await require_migration(transaction, request.migration_id)
            return pb.EditMappingResponse(mapping=write.mapping_to_proto(added, is_confirmed=_is_confirmed(after, added)))

        return await self._once("EditMapping", request.request_id, pb.EditMappingResponse, act)

    async def GetMappingWorkbook(self, request: pb.GetMappingWorkbookRequest, context: Context) -> pb.GetMappingWorkbookResponse:  # noqa: N802, ARG002
        """Answer the latest mapping as a workbook."""
        mapping, snapshot, target_json = await self._latest_mapping(request.migration_id)
        workbook = await self._tools.transformer.describe_mapping(snapshot, mapping.mapping_yaml, target_json)
        return pb.GetMappingWorkbookResponse(mapping_version=mapping.version, mapping_digest=mapping.digest, workbook_json=workbook)

    async def CheckMappingWorkbook(  # noqa: N802
        self,
        request: pb.CheckMappingWorkbookRequest,
        context: Context,  # noqa: ARG002
    ) -> pb.CheckMappingWorkbookResponse:
        """Answer what edited cells make of the latest mapping."""
        mapping, snapshot, target_json = await self._latest_mapping(request.migration_id)
        if request.base_version and request.base_version != mapping.version:
            raise PreconditionError(
                f"the workbook was made of version {request.base_version} of the mapping, and the latest is {mapping.version}: export it again",
                reason="DIGEST_MISMATCH",
            )
        result = await self._tools.transformer.revise_mapping(snapshot, mapping.mapping_yaml, target_json, request.changes)
        return pb.CheckMappingWorkbookResponse(result=result, base_digest=mapping.digest)

    async def _latest_mapping(self, migration_id: str) -> tuple[Mapping, transformer_pb.Snapshot, bytes]:
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, migration_id)
            mapping = await reader.get_mapping(migration_id, 0)
            sequence = await reader.page_sequence(migration_id)
        if mapping is None:
            raise NotFoundError("there is no mapping yet: start an audit and wait for its end")
        return mapping, snapshot_of(migration, sequence), await target_json_of(self._tools, migration)

    async def ConfirmMapping(self, request: pb.ConfirmMappingRequest, context: Context) -> pb.ConfirmMappingResponse:  # noqa: N802, ARG002
        """Confirm the mapping of a digest."""

        async def act(transaction: Transaction) -> pb.ConfirmMappingResponse:
            confirmed = await migrations.confirm_mapping(transaction, request.migration_id, request.mapping_digest, actor=request.actor)
            return pb.ConfirmMappingResponse(migration=await self._view(transaction, confirmed))

        return await self._once("ConfirmMapping", request.request_id, pb.ConfirmMappingResponse, act)

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
        size = _page_size(request.page_size, "diff")
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            report = await reader.get_report(request.migration_id, ReportKind.DIFF)
            if report is None or not migration.diff_digest:
                raise NotFoundError("there is no diff of the present mapping: run a sample first")
            rows = await reader.list_report_rows(request.migration_id, ReportKind.DIFF, after=_position(request.page_token), limit=size)
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

    async def PauseMigration(self, request: pb.PauseMigrationRequest, context: Context) -> pb.PauseMigrationResponse:  # noqa: N802, ARG002
        """Take no more work."""

        async def act(transaction: Transaction) -> pb.PauseMigrationResponse:
            paused = await migrations.pause(transaction, request.migration_id, actor=request.actor)
            return pb.PauseMigrationResponse(migration=await self._view(transaction, paused))

        return await self._once("PauseMigration", request.request_id, pb.PauseMigrationResponse, act)

    async def ResumeMigration(self, request: pb.ResumeMigrationRequest, context: Context) -> pb.ResumeMigrationResponse:  # noqa: N802, ARG002
        """Go on."""

        async def act(transaction: Transaction) -> pb.ResumeMigrationResponse:
            resumed = await migrations.resume(transaction, request.migration_id, actor=request.actor)
            return pb.ResumeMigrationResponse(migration=await self._view(transaction, resumed))

        return await self._once("ResumeMigration", request.request_id, pb.ResumeMigrationResponse, act)

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
        size = _page_size(request.page_size, "records")
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            report = await reader.get_report(request.migration_id, ReportKind.RECONCILIATION)
            if report is None:
                raise NotFoundError("there is no reconciliation yet: run one first")
            after = _position(request.page_token)
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
        size = _page_size(request.page_size, "records")
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            rows = await reader.list_kept(request.migration_id, after_key=request.page_token, limit=size)
        token = rows[-1].key if len(rows) == size else ""
        return pb.ListKeptResponse(records=[write.kept_to_proto(row) for row in rows], next_page_token=token)

    async def CompleteMigration(self, request: pb.CompleteMigrationRequest, context: Context) -> pb.CompleteMigrationResponse:  # noqa: N802, ARG002
        """Close a migration."""

        async def act(transaction: Transaction) -> pb.CompleteMigrationResponse:
            completed = await migrations.complete(transaction, request.migration_id, actor=request.actor)
            return pb.CompleteMigrationResponse(migration=await self._view(transaction, completed))

        return await self._once("CompleteMigration", request.request_id, pb.CompleteMigrationResponse, act)

    # review

    async def ListReviewItems(self, request: pb.ListReviewItemsRequest, context: Context) -> pb.ListReviewItemsResponse:  # noqa: N802, ARG002
        """List review items."""
        size = _page_size(request.page_size, "records")
        which = ReviewFilter(reason=request.reason, includes_resolved=request.includes_resolved)
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            items = await reader.list_review_items(request.migration_id, which, after_order=_position(request.page_token), limit=size)
        token = str(items[-1].order) if len(items) == size else ""
        return pb.ListReviewItemsResponse(review_items=[write.review_item_to_proto(item) for item in items], next_page_token=token)

    async def ResolveReviewItems(self, request: pb.ResolveReviewItemsRequest, context: Context) -> pb.ResolveReviewItemsResponse:  # noqa: N802, ARG002
        """Resolve one item, or all open items of a reason."""
        codec.require(request.actor, "actor")
        if request.resolution not in {resolution for resolution in Resolution if resolution}:
            words = ", ".join(resolution for resolution in Resolution if resolution)
            raise InvalidRequestError(f"resolution: one of {words}")
        if not request.review_item_ids and not request.reason:
            raise InvalidRequestError("give review_item_ids, or the reason whose open items are meant")
        if request.candidate and not request.review_item_ids:
            raise InvalidRequestError("candidate: name the review items it is meant for")
        resolution = Resolution(request.resolution)
        named = ""
        if resolution is Resolution.MATCH and request.candidate:
            ids = list(request.review_item_ids)
            named = await find_named(self._ledger, self._tools.loader, request.migration_id, ids, request.candidate)

        async def act(transaction: Transaction) -> pb.ResolveReviewItemsResponse:
            await require_migration(transaction, request.migration_id)
            now = self._tools.clock.now()
            if request.review_item_ids:
                items = await review.items_by_id(transaction, request.migration_id, request.review_item_ids)
                choice = {"candidate": request.candidate, "named": named}
                count = await review.resolve(transaction, request.migration_id, items, resolution=resolution, actor=request.actor, now=now, **choice)
            else:
                count = await review.resolve_all(
                    transaction, request.migration_id, request.reason, resolution=resolution, actor=request.actor, now=now
                )
            return pb.ResolveReviewItemsResponse(resolved_count=count)

        return await self._once("ResolveReviewItems", request.request_id, pb.ResolveReviewItemsResponse, act)

    # records and proof

    async def GetRecord(self, request: pb.GetRecordRequest, context: Context) -> pb.GetRecordResponse:  # noqa: N802, ARG002
        """Answer the whole journey of one record."""
        codec.require(request.key, "key")
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
        return await describe_journey(self._ledger, self._tools.transformer, migration, request.key)

    async def ListRecords(self, request: pb.ListRecordsRequest, context: Context) -> pb.ListRecordsResponse:  # noqa: N802, ARG002
        """List records."""
        size = _page_size(request.page_size, "records")
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

    async def ExportAudit(self, request: pb.ExportAuditRequest, context: Context) -> AsyncIterator[pb.ExportAuditResponse]:  # noqa: N802, ARG002
        """Stream the audit trail up to where it reaches now, and the signed heads on the way."""
        await self._sign_head(request.migration_id)
        after = request.after_sequence
        async with self._ledger.read() as reader:
            heads = await reader.list_audit_heads(request.migration_id, from_size=after)
        for head in heads:
            while after < head.tree_size:
                async with self._ledger.read() as reader:
                    events = await reader.list_events(
                        request.migration_id, after_sequence=after, limit=min(EVENTS_PER_MESSAGE, head.tree_size - after)
                    )
                if not events:
                    break  # the trail is cut: its readers find what is missing by the head
                yield pb.ExportAuditResponse(events=[write.event_to_proto(event) for event in events])
                after = events[-1].sequence
            yield pb.ExportAuditResponse(heads=[write.audit_head_to_proto(head)])

    async def GetAuditHead(self, request: pb.GetAuditHeadRequest, context: Context) -> pb.GetAuditHeadResponse:  # noqa: N802, ARG002
        """Sign how far the trail reaches now."""
        return pb.GetAuditHeadResponse(head=write.audit_head_to_proto(await self._sign_head(request.migration_id)))

    async def ProveRecord(self, request: pb.ProveRecordRequest, context: Context) -> pb.ProveRecordResponse:  # noqa: N802, ARG002
        """Prove the journey of one record."""
        head = await self._sign_head(request.migration_id)
        async with self._ledger.read() as reader:
            source_key = await source_key_of(reader, request.migration_id, request.key)
            events = [
                event
                for event in await reader.list_events_of_source(request.migration_id, source_key, limit=EVENTS_PER_PROOF)
                if event.sequence <= head.tree_size
            ]
            if not events:
                raise NotFoundError(f"migration {request.migration_id} has no event of record {source_key}: it was not read, or the key is misspelt")
            paths = await inclusion_paths(reader, request.migration_id, head.tree_size, [event.sequence for event in events])
        proven = [pb.ProvenEvent(event=write.event_to_proto(event), path=path) for event, path in zip(events, paths, strict=True)]
        return pb.ProveRecordResponse(source_key=source_key, head=write.audit_head_to_proto(head), events=proven)

    async def ErasePayloads(self, request: pb.ErasePayloadsRequest, context: Context) -> pb.ErasePayloadsResponse:  # noqa: N802, ARG002
        """Erase personal data; what is proven stays proven."""
        wanted = erasure.Erase(
            migration_id=codec.require(request.migration_id, "migration_id"),
            actor=codec.require(request.actor, "actor"),
            reason=request.reason,
            source_key=request.key,
            text=request.text,
            is_everything=request.is_everything,
            with_images=request.with_rollback_data,
        )
        erasure.check_request(wanted)
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            if request.key:
                wanted = replace(wanted, source_key=await source_key_of(reader, request.migration_id, request.key))
        # A retry finds nothing any more: it gets the first answer.
        subject = Mentions()
        if not await self._is_answered("ErasePayloads", request.request_id):
            subject = await self._ledger.look(lambda reader: erasure.find_subject(reader, wanted))

        async def act(transaction: Transaction) -> pb.ErasePayloadsResponse:
            return write.erased_to_proto(await erasure.erase(transaction, wanted, subject))

        if request.is_dry_run:
            return await self._tried(act)
        response = await self._once("ErasePayloads", request.request_id, pb.ErasePayloadsResponse, act)
        await self._ledger.scrub()
        return response

    async def VerifyAudit(self, request: pb.VerifyAuditRequest, context: Context) -> pb.VerifyAuditResponse:  # noqa: N802, ARG002
        """Walk the hash chain."""
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            verdict = await verify_trail(reader, request.migration_id)
        return pb.VerifyAuditResponse(
            is_whole=verdict.is_whole,
            event_count=verdict.event_count,
            broken_sequence=verdict.broken_sequence,
            head_hash=verdict.head_hash,
            message=verdict.message,
        )

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

    async def _is_answered(self, name: str, request_id: str) -> bool:
        async with self._ledger.read() as reader:
            return bool(request_id) and await reader.get_response(f"{name}/{request_id}") is not None

    async def _tried(self, act: Callable[[Transaction], Awaitable[Response]]) -> Response:
        """Answer what an act would answer; nothing of it stays."""
        answers: list[Response] = []
        with suppress(_NotMeantError):
            async with self._ledger.transaction() as transaction:
                answers.append(await act(transaction))
                raise _NotMeantError
        return answers[0]

    async def _sign_head(self, migration_id: str) -> AuditHead:
        """Sign how far a trail reaches, if that is not signed yet."""
        async with self._ledger.transaction() as transaction:
            await require_migration(transaction, migration_id)
            return await sign_head(transaction, self._tools.signer, migration_id, self._tools.clock.now())

    async def _view(self, reader: Reader, migration: Migration) -> pb.Migration:
        run = await reader.latest_run(migration.migration_id)
        progress = await reader.phase_progress(run.run_id, run.phase) if run is not None and run.phase else None
        open_count = await reader.count_open_review_items(migration.migration_id)
        results = await reader.list_run_results(run.run_id) if run is not None else ()
        kept_count = await reader.count_kept(migration.migration_id, OURS)
        return write.migration_to_proto(migration, run=run, progress=progress, results=results, open_review_count=open_count, kept_count=kept_count)

    async def _start(self, name: str, request: Any, kind: RunKind, response_type: type[Response], *, asked: RunContext | None = None) -> Response:
        """Start a run and answer it."""

        async def act(transaction: Transaction) -> Response:
            now = self._tools.clock.now()
            run = await migrations.start_run(transaction, request.migration_id, kind, actor=request.actor, now=now, asked=asked)
            return response_type(run=write.run_to_proto(run))

        return await self._once(name, request.request_id, response_type, act)

    async def _once(self, name: str, request_id: str, response_type: type[Response], act: Callable[[Transaction], Awaitable[Response]]) -> Response:
        """Decide in one transaction; the same request id again answers what was answered first."""
        identity = f"{name}/{request_id}"
        async with self._ledger.transaction() as transaction:
            if request_id and (known := await transaction.get_response(identity)) is not None:
                return response_type.FromString(known)
            response = await act(transaction)
            if request_id:
                await transaction.save_response(identity, response.SerializeToString(), self._tools.clock.now())
        return response


def _is_confirmed(migration: Migration, mapping: Mapping) -> bool:
    return bool(migration.confirmed_digest) and migration.confirmed_digest == mapping.digest and migration.mapping_version == mapping.version


def _page_size(asked: int, kind: str) -> int:
    default, most = PAGE_SIZES[kind]
    if asked < 0:
        raise InvalidRequestError("page_size: must not be negative")
    return min(asked or default, most)


def _position(token: str) -> int:
    if token and not token.isdecimal():
        raise InvalidRequestError("page_token: not one that was answered before")
    return int(token or "0")
