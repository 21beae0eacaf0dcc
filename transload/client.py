"""The typed asynchronous client: one method per step of a migration, for other programs and for the `transload` command.

Every call has a deadline; every mutation carries a `request_id`, so that repeating it after a broken connection is harmless (and the client
does repeat it, a few times, while the ledger is away). Failures arrive as `TransloadCallError` with the documented reason.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc

from transload import errors
from transload.audit import files, statement
from transload.audit.chain import format_time
from transload.audit.heads import AuditHead
from transload.security import PLAIN, ChannelSecurity
from transload.several import SeveralChannels, addresses_of
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2_grpc import MigrationServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from transload.v1 import transformer_service_pb2 as transformer_pb

Response = TypeVar("Response")

CALL_DEADLINE_SECONDS = 20.0
STREAM_DEADLINE_SECONDS = 24 * 3600.0
RETRY_DELAYS_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


class Client:
    """Speaks to the ledger's `MigrationService`.

    Use `async with Client.connect("127.0.0.1:7610", actor="ana@example.com") as client`.
    """

    def __init__(self, channel: grpc.aio.Channel, *, actor: str, timeout_seconds: float = CALL_DEADLINE_SECONDS) -> None:
        self._stub = MigrationServiceStub(channel)
        self._actor = actor
        self._timeout_seconds = timeout_seconds

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, address: str, *, actor: str, timeout_seconds: float = CALL_DEADLINE_SECONDS, security: ChannelSecurity = PLAIN
    ) -> AsyncIterator[Self]:
        """Opens a channel to `host:port` and closes it when the block ends.

        Args:
            address: where the ledger is; several addresses with commas are those of replicas of which one is at work.
            actor: who acts; stands in the audit trail, unless the ledger knows callers by token or certificate: then theirs does.
            timeout_seconds: of a call.
            security: TLS and token; `ChannelSecurity.from_env(os.environ)` reads them as the `transload` command does.

        Raises:
            SecurityError: a certificate or token cannot be used, or the token would travel readable.
        """
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            # gRPC would otherwise take a web proxy of the environment even for loopback.
            ("grpc.enable_http_proxy", 0),
        ]
        async with AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(security.channel(one, options=options)) for one in addresses_of(address)]
            channel = channels[0] if len(channels) == 1 else SeveralChannels([partial(_itself, one) for one in channels]).as_channel()
            yield cls(channel, actor=actor, timeout_seconds=timeout_seconds)

    # --- migrations -----------------------------------------------------------------------------------------------

    async def create_migration(
        self,
        *,
        connector: str,
        source_connection: str,
        target_connection: str,
        migration_id: str = "",
        display_name: str = "",
        options: pb.MigrationOptions | None = None,
    ) -> pb.Migration:
        """Creates a migration; nothing is read or written yet."""
        request = pb.CreateMigrationRequest(
            migration_id=migration_id,
            display_name=display_name,
            connector=connector,
            source_connection=source_connection,
            target_connection=target_connection,
            options=options,
            request_id=_request_id(),
            actor=self._actor,
        )
        return (await self._call(self._stub.CreateMigration, request)).migration

    async def get_migration(self, migration_id: str) -> pb.Migration:
        """Answers one migration."""
        return (await self._call(self._stub.GetMigration, pb.GetMigrationRequest(migration_id=migration_id))).migration

    async def list_migrations(self) -> list[pb.Migration]:
        """Lists all migrations, newest first."""
        migrations: list[pb.Migration] = []
        token = ""
        while True:
            response = await self._call(self._stub.ListMigrations, pb.ListMigrationsRequest(page_size=500, page_token=token))
            migrations.extend(response.migrations)
            token = response.next_page_token
            if not token:
                return migrations

    async def get_summary(self, migration_id: str) -> pb.Summary:
        """Answers the sums per entity and the tokens spent."""
        return (await self._call(self._stub.GetSummary, pb.GetSummaryRequest(migration_id=migration_id))).summary

    async def pause(self, migration_id: str) -> pb.Migration:
        """Hands all work back and takes none until resumed."""
        request = pb.PauseMigrationRequest(migration_id=migration_id, request_id=_request_id(), actor=self._actor)
        return (await self._call(self._stub.PauseMigration, request)).migration

    async def resume(self, migration_id: str) -> pb.Migration:
        """Goes on after a pause or after an error was seen to."""
        request = pb.ResumeMigrationRequest(migration_id=migration_id, request_id=_request_id(), actor=self._actor)
        return (await self._call(self._stub.ResumeMigration, request)).migration

    async def complete(self, migration_id: str) -> pb.Migration:
        """Closes the migration."""
        request = pb.CompleteMigrationRequest(migration_id=migration_id, request_id=_request_id(), actor=self._actor)
        return (await self._call(self._stub.CompleteMigration, request)).migration

    # --- steps ----------------------------------------------------------------------------------------------------

    async def start_audit(self, migration_id: str) -> pb.Run:
        """L-01: reads the source into staging, profiles it and proposes a mapping."""
        request = pb.StartAuditRequest(migration_id=migration_id, request_id=_request_id(), actor=self._actor)
        return (await self._call(self._stub.StartAudit, request)).run

    async def get_audit(self, migration_id: str) -> bytes:
        """Answers the audit report as JSON bytes."""
        return (await self._call(self._stub.GetAudit, pb.GetAuditRequest(migration_id=migration_id))).report_json

    async def plan_load(self, migration_id: str) -> bytes:
        """Answers what the migration spends, the days it takes, and what it has spent so far, as JSON bytes."""
        return (await self._call(self._stub.PlanLoad, pb.PlanLoadRequest(migration_id=migration_id), timeout_seconds=900.0)).plan_json

    async def get_target_quota(self, migration_id: str) -> pb.GetTargetQuotaResponse:
        """Answers how the budget of the migration's target stands now."""
        return await self._call(self._stub.GetTargetQuota, pb.GetTargetQuotaRequest(migration_id=migration_id))

    async def get_mapping(self, migration_id: str, version: int = 0) -> pb.Mapping:
        """Answers a version of the mapping, the latest by default."""
        return (await self._call(self._stub.GetMapping, pb.GetMappingRequest(migration_id=migration_id, version=version))).mapping

    async def edit_mapping(self, migration_id: str, mapping_yaml: str, *, base_digest: str = "") -> pb.Mapping:
        """Stores a new version; takes confirmation and approval back."""
        request = pb.EditMappingRequest(
            migration_id=migration_id, mapping_yaml=mapping_yaml, base_digest=base_digest, request_id=_request_id(), actor=self._actor
        )
        return (await self._call(self._stub.EditMapping, request)).mapping

    async def get_mapping_workbook(self, migration_id: str) -> pb.GetMappingWorkbookResponse:
        """L-02: the latest mapping as sheets a person reads and edits, and what moves where."""
        return await self._call(self._stub.GetMappingWorkbook, pb.GetMappingWorkbookRequest(migration_id=migration_id), timeout_seconds=900.0)

    async def check_mapping_workbook(
        self, migration_id: str, changes: Sequence[transformer_pb.MappingChange], *, base_version: int = 0
    ) -> pb.CheckMappingWorkbookResponse:
        """What edited cells make of the latest mapping; stores nothing."""
        request = pb.CheckMappingWorkbookRequest(migration_id=migration_id, base_version=base_version, changes=changes)
        return await self._call(self._stub.CheckMappingWorkbook, request, timeout_seconds=900.0)

    async def confirm_mapping(self, migration_id: str, mapping_digest: str) -> pb.Migration:
        """L-02: confirms exactly the mapping of this digest."""
        request = pb.ConfirmMappingRequest(migration_id=migration_id, mapping_digest=mapping_digest, request_id=_request_id(), actor=self._actor)
        return (await self._call(self._stub.ConfirmMapping, request)).migration

    async def apply_schema(self, migration_id: str) -> pb.Run:
        """L-04, L-05: matches users and creates what the mapping needs."""
        request = pb.ApplySchemaRequest(migration_id=migration_id, request_id=_request_id(), actor=self._actor)
        return (await self._call(self._stub.ApplySchema, request)).run

    async def run_sample(self, migration_id: str, size: int = 0) -> pb.Run:
        """L-08: loads a sample and computes its diff. `size` 0: the default of 150 source records."""
        request = pb.RunSampleRequest(migration_id=migration_id, size=size, request_id=_request_id(), actor=self._actor)
        return (await self._call(self._stub.RunSample, request)).run

    async def iterate_diff(self, migration_id: str, page_size: int = 200) -> AsyncIterator[pb.GetDiffResponse]:
        """Pages through the diff of the last sample; every page repeats the digests and totals."""
        token = ""
        while True:
            request = pb.GetDiffRequest(migration_id=migration_id, page_size=page_size, page_token=token)
            response = await self._call(self._stub.GetDiff, request)
            yield response
            token = response.next_page_token
            if not token:
                return

    async def approve(self, migration_id: str, diff_digest: str) -> pb.Migration:
        """L-09: approves the diff of exactly this mapping."""
        request = pb.ApproveMigrationRequest(migration_id=migration_id, diff_digest=diff_digest, request_id=_request_id(), actor=self._actor)
        return (await self._call(self._stub.ApproveMigration, request)).migration

    async def start_load(self, migration_id: str) -> pb.Run:
        """L-10: starts the full load."""
        request = pb.StartLoadRequest(migration_id=migration_id, request_id=_request_id(), actor=self._actor)
        return (await self._call(self._stub.StartLoad, request)).run

    async def run_delta(
        self, migration_id: str, *, conflicts: Sequence[str] = (), deletions: Sequence[str] = (), includes_rolled_back: bool = False
    ) -> pb.Run:
        """L-11: picks up what changed in the source, and on request what partial rollbacks took back.

        Policies given hold for this delta instead of the mapping's, see `RunDeltaRequest`.
        """
        request = pb.RunDeltaRequest(
            migration_id=migration_id,
            request_id=_request_id(),
            actor=self._actor,
            conflicts=conflicts,
            deletions=deletions,
            includes_rolled_back=includes_rolled_back,
        )
        return (await self._call(self._stub.RunDelta, request)).run

    async def reconcile(self, migration_id: str, *, file_sample_size: int = 0, relation_sample_size: int = 0) -> pb.Run:
        """L-13: reads everything back and compares. Sizes of samples: 0 by confidence, -1 all, -2 none."""
        request = pb.ReconcileRequest(
            migration_id=migration_id,
            request_id=_request_id(),
            actor=self._actor,
            file_sample_size=file_sample_size,
            relation_sample_size=relation_sample_size,
        )
        return (await self._call(self._stub.Reconcile, request)).run

    async def get_reconciliation(self, migration_id: str) -> pb.GetReconciliationResponse:
        """L-13: what the last reconciliation found, with the proof that it stands in the signed trail."""
        return await self._call(self._stub.GetReconciliation, pb.GetReconciliationRequest(migration_id=migration_id), timeout_seconds=600.0)

    async def iterate_mismatches(self, migration_id: str) -> AsyncIterator[pb.ListMismatchesResponse]:
        """Pages through the mismatches of the last reconciliation; every page repeats the totals."""
        token = ""
        while True:
            response = await self._call(
                self._stub.ListMismatches, pb.ListMismatchesRequest(migration_id=migration_id, page_size=500, page_token=token)
            )
            yield response
            token = response.next_page_token
            if not token:
                return

    async def repair(
        self, migration_id: str, keys: Sequence[str] = (), *, kind: str = "", is_all: bool = False, validate_only: bool = False
    ) -> pb.RepairMismatchesResponse:
        """L-13: brings mismatches back to what was loaded, by key, or all (of a kind); with `validate_only` says what it would do."""
        request = pb.RepairMismatchesRequest(
            migration_id=migration_id,
            request_id="" if validate_only else _request_id(),
            actor=self._actor,
            selection=pb.MismatchSelection(keys=keys, kind=kind, is_all=is_all),
            validate_only=validate_only,
        )
        return await self._call(self._stub.RepairMismatches, request, timeout_seconds=600.0)

    async def accept_mismatches(self, migration_id: str, keys: Sequence[str] = (), *, kind: str = "", is_all: bool = False) -> int:
        """L-13: keeps what stands in Pipedrive; answers how many records that were."""
        request = pb.AcceptMismatchesRequest(
            migration_id=migration_id,
            request_id=_request_id(),
            actor=self._actor,
            selection=pb.MismatchSelection(keys=keys, kind=kind, is_all=is_all),
        )
        return (await self._call(self._stub.AcceptMismatches, request, timeout_seconds=600.0)).accepted_count

    async def plan_rollback(self, migration_id: str, scope: pb.TakeBackScope | None = None) -> pb.PlanRollbackResponse:
        """L-15: says what a rollback would do and cost."""
        return await self._call(self._stub.PlanRollback, pb.PlanRollbackRequest(migration_id=migration_id, scope=scope))

    async def iterate_kept(self, migration_id: str) -> AsyncIterator[pb.KeptRecord]:
        """L-15: yields what rollbacks kept in Pipedrive, and why."""
        token = ""
        while True:
            response = await self._call(self._stub.ListKept, pb.ListKeptRequest(migration_id=migration_id, page_size=1000, page_token=token))
            for record in response.records:
                yield record
            token = response.next_page_token
            if not token:
                return

    async def rollback(self, migration_id: str, scope: pb.TakeBackScope | None = None) -> pb.Run:
        """L-15: takes everything back, or a part; starts a run."""
        request = pb.RollbackMigrationRequest(migration_id=migration_id, request_id=_request_id(), actor=self._actor, scope=scope)
        return (await self._call(self._stub.RollbackMigration, request)).run

    # --- looking ----------------------------------------------------------------------------------------------------

    async def iterate_review_items(self, migration_id: str, *, reason: str = "", includes_resolved: bool = False) -> AsyncIterator[pb.ReviewItem]:
        """L-16: review items, oldest first."""
        token = ""
        while True:
            request = pb.ListReviewItemsRequest(
                migration_id=migration_id, reason=reason, includes_resolved=includes_resolved, page_size=500, page_token=token
            )
            response = await self._call(self._stub.ListReviewItems, request)
            for item in response.review_items:
                yield item
            token = response.next_page_token
            if not token:
                return

    async def resolve_review_items(
        self, migration_id: str, *, resolution: str, review_item_ids: Sequence[str] = (), reason: str = "", candidate: str = ""
    ) -> int:
        """Resolves the named items, or all open items of `reason`; answers how many. `candidate` says with which record `match` matches."""
        request = pb.ResolveReviewItemsRequest(
            migration_id=migration_id,
            review_item_ids=review_item_ids,
            reason=reason,
            resolution=resolution,
            actor=self._actor,
            request_id=_request_id(),
            candidate=candidate,
        )
        return (await self._call(self._stub.ResolveReviewItems, request)).resolved_count

    async def get_record(self, migration_id: str, key: str) -> pb.GetRecordResponse:
        """Answers the whole journey of one record, by mapped key or `{entity}/{id}`."""
        return await self._call(self._stub.GetRecord, pb.GetRecordRequest(migration_id=migration_id, key=key))

    async def iterate_records(
        self, migration_id: str, *, state: str = "", source_entity: str = "", target_entity: str = "", reason: str = ""
    ) -> AsyncIterator[pb.RecordView]:
        """Records by state, entity or reason; with state `rejected` this is the skip file."""
        token = ""
        while True:
            request = pb.ListRecordsRequest(
                migration_id=migration_id,
                state=state,
                source_entity=source_entity,
                target_entity=target_entity,
                reason=reason,
                page_size=1000,
                page_token=token,
            )
            response = await self._call(self._stub.ListRecords, request)
            for record in response.records:
                yield record
            token = response.next_page_token
            if not token:
                return

    async def erase_payloads(
        self,
        migration_id: str,
        *,
        key: str = "",
        text: str = "",
        is_everything: bool = False,
        with_rollback_data: bool = False,
        reason: str,
        is_dry_run: bool = False,
    ) -> pb.ErasePayloadsResponse:
        """Erases the personal data the ledger keeps of a record, of every record that holds a text, or of a closed migration."""
        request = pb.ErasePayloadsRequest(
            migration_id=migration_id,
            with_rollback_data=with_rollback_data,
            reason=reason,
            is_dry_run=is_dry_run,
            request_id=_request_id(),
            actor=self._actor,
        )
        if key:
            request.key = key
        if text:
            request.text = text
        if is_everything:
            request.is_everything = True
        return await self._call(self._stub.ErasePayloads, request, timeout_seconds=900.0)

    async def export_audit(self, migration_id: str, after_sequence: int = 0) -> AsyncIterator[pb.Event]:
        """L-14: the audit trail in order."""
        request = pb.ExportAuditRequest(migration_id=migration_id, after_sequence=after_sequence)
        try:
            async for response in self._stub.ExportAudit(request, timeout=STREAM_DEADLINE_SECONDS):
                for event in response.events:
                    yield event
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc_error(error) from error

    async def export_audit_lines(self, migration_id: str, after_sequence: int = 0) -> AsyncIterator[bytes]:
        """L-14: the audit trail as the lines of a file that `transload.audit.verifier` verifies, signed heads included."""
        request = pb.ExportAuditRequest(migration_id=migration_id, after_sequence=after_sequence)
        yield files.export_line(migration_id)
        try:
            async for response in self._stub.ExportAudit(request, timeout=STREAM_DEADLINE_SECONDS):
                for event in response.events:
                    yield files.event_line(_event_data(event), event.payload_json)
                for head in response.heads:
                    yield files.head_line(_head(head))
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc_error(error) from error

    async def get_audit_head(self, migration_id: str) -> AuditHead:
        """L-14: signs how far the trail reaches. Keep its `public_key` apart, to check later files by."""
        response = await self._call(self._stub.GetAuditHead, pb.GetAuditHeadRequest(migration_id=migration_id))
        return _head(response.head)

    async def prove_record(self, migration_id: str, key: str) -> bytes:
        """L-14: the proof of one record's journey as a file that `transload.audit.verifier` verifies."""
        request = pb.ProveRecordRequest(migration_id=migration_id, key=key)
        response = await self._call(self._stub.ProveRecord, request, timeout_seconds=600.0)
        proven = [(_event_data(one.event), one.event.payload_json, list(one.path)) for one in response.events]
        return files.proof_bytes(migration_id, response.source_key, _head(response.head), proven)

    async def reconciliation_statement(self, migration_id: str) -> bytes:
        """L-13: the last reconciliation as a file that `transload.audit.verifier` verifies: in words, with its proof."""
        found = await self.get_reconciliation(migration_id)
        event, payload = _event_data(found.event.event), found.event.event.payload_json
        proof = files.proof_bytes(migration_id, event["source_key"], _head(found.head), [(event, payload, list(found.event.path))])
        return statement.statement_bytes(event, payload, proof)

    async def verify_audit(self, migration_id: str) -> pb.VerifyAuditResponse:
        """Walks the hash chain in the ledger."""
        request = pb.VerifyAuditRequest(migration_id=migration_id)
        return await self._call(self._stub.VerifyAudit, request, timeout_seconds=600.0)

    async def export_reference_files(self, migration_id: str) -> AsyncIterator[tuple[str, bytes]]:
        """L-12: the reference exports as (file name, next bytes)."""
        request = pb.ExportReferenceFilesRequest(migration_id=migration_id)
        try:
            async for response in self._stub.ExportReferenceFiles(request, timeout=STREAM_DEADLINE_SECONDS):
                yield response.file_name, response.content
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc_error(error) from error

    async def watch(self, migration_id: str, *, until_idle: bool = False, after_event_sequence: int = -1) -> AsyncIterator[pb.WatchMigrationResponse]:
        """Streams progress. Survives a restart of the ledger: the stream is opened again where it stopped."""
        failures = 0
        while True:
            request = pb.WatchMigrationRequest(migration_id=migration_id, until_idle=until_idle, after_event_sequence=after_event_sequence)
            try:
                async for response in self._stub.WatchMigration(request, timeout=STREAM_DEADLINE_SECONDS):
                    failures = 0
                    if response.events:
                        after_event_sequence = response.events[-1].sequence
                    yield response
            except grpc.aio.AioRpcError as error:
                failure = errors.from_rpc_error(error)
                if failure.code is not grpc.StatusCode.UNAVAILABLE or failures >= len(RETRY_DELAYS_SECONDS):
                    raise failure from error
                await asyncio.sleep(RETRY_DELAYS_SECONDS[failures])
                failures += 1
            else:
                return

    async def wait(self, migration_id: str, on_progress: Callable[[pb.WatchMigrationResponse], None] | None = None) -> pb.Migration:
        """Waits until no run is active or the migration is paused by a person or an error; answers the migration as it then stands."""
        async for response in self.watch(migration_id, until_idle=True):
            if on_progress is not None:
                on_progress(response)
        return await self.get_migration(migration_id)

    async def _call(self, method: Callable[..., Awaitable[Response]], request: Any, timeout_seconds: float | None = None) -> Response:
        """Calls with a deadline; repeats while the ledger is away, which `request_id` makes harmless."""
        for delay_seconds in (*RETRY_DELAYS_SECONDS, None):
            try:
                return await method(request, timeout=timeout_seconds or self._timeout_seconds)
            except grpc.aio.AioRpcError as error:
                failure = errors.from_rpc_error(error)
                if failure.code is not grpc.StatusCode.UNAVAILABLE or delay_seconds is None:
                    raise failure from error
                await asyncio.sleep(delay_seconds)
        raise AssertionError  # the last turn of the loop returns or raises


def _itself(channel: grpc.aio.Channel) -> grpc.aio.Channel:
    return channel


def _request_id() -> str:
    return str(uuid.uuid4())


def _event_data(event: pb.Event) -> dict[str, Any]:
    """An event as it stands in files."""
    data = {name: getattr(event, name) for name in files.EVENT_FIELDS if name != "event_time"}
    return data | {"event_time": format_time(event.event_time.ToDatetime(tzinfo=UTC))}


def _head(head: pb.AuditHead) -> AuditHead:
    return AuditHead(**{field.name: getattr(head, field.name) for field in head.DESCRIPTOR.fields})
