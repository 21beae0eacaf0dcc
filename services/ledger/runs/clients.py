"""The ports spoken over gRPC. The channel's interceptor turns failed calls into `TransloadError`s."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from services.common.canonical import digest
from services.common.errors import NotFoundError
from services.ledger.codec import to_timestamp
from transload.v1 import extractor_service_pb2 as extractor_pb
from transload.v1 import loader_service_pb2 as loader_pb
from transload.v1 import quota_service_pb2 as quota_pb
from transload.v1 import transformer_service_pb2 as transformer_pb
from transload.v1.extractor_service_pb2_grpc import ExtractorServiceStub
from transload.v1.loader_service_pb2_grpc import LoaderServiceStub
from transload.v1.quota_service_pb2_grpc import QuotaServiceStub
from transload.v1.transformer_service_pb2_grpc import TransformerServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
    from datetime import datetime

    from grpc import aio

    from services.common.staging import Staging

CALL_SECONDS = 20.0
# A look at the budget never waits for Pipedrive.
QUOTA_SECONDS = 3.0
# Calls that read the whole snapshot, or list all of Pipedrive's schema within its request window.
LONG_CALL_SECONDS = 900.0
STREAM_SECONDS = 6 * 3600.0


class GrpcExtractor:
    """`ExtractorService` as a port."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub: ExtractorServiceStub = ExtractorServiceStub(channel)

    async def check_source(self, connector: str, connection: str) -> None:
        """Raise unless the connection's credentials can read the source."""
        await self._stub.CheckSource(extractor_pb.CheckSourceRequest(connector=connector, connection=connection), timeout=CALL_SECONDS * 3)

    async def describe_source(self, connector: str) -> Sequence[extractor_pb.SourceEntity]:
        """List the entities of a connector in dependency order."""
        response = await self._stub.DescribeSource(extractor_pb.DescribeSourceRequest(connector=connector), timeout=CALL_SECONDS)
        return list(response.entities)

    async def start_extraction(self, spec: extractor_pb.ExtractionSpec) -> None:
        """Start an extraction or go on with it; repeating changes nothing."""
        await self._stub.StartExtraction(extractor_pb.StartExtractionRequest(spec=spec), timeout=CALL_SECONDS)

    async def get_extraction(self, extraction_id: str) -> extractor_pb.GetExtractionResponse | None:
        """Say what the extractor does for an extraction; None: it does not work on it."""
        try:
            return await self._stub.GetExtraction(extractor_pb.GetExtractionRequest(extraction_id=extraction_id), timeout=CALL_SECONDS)
        except NotFoundError:
            return None

    async def cancel_extraction(self, extraction_id: str) -> None:
        """Stop an extraction; one that does not run is no error."""
        try:
            await self._stub.CancelExtraction(extractor_pb.CancelExtractionRequest(extraction_id=extraction_id), timeout=CALL_SECONDS)
        except NotFoundError:
            return


class GrpcTransformer:
    """`TransformerService` as a port."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub: TransformerServiceStub = TransformerServiceStub(channel)

    async def propose_mapping(
        self, snapshot: transformer_pb.Snapshot, target_json: bytes, overrides_yaml: str
    ) -> transformer_pb.ProposeMappingResponse:
        """Build the mapping of a migration."""
        request = transformer_pb.ProposeMappingRequest(snapshot=snapshot, target_json=target_json, overrides_yaml=overrides_yaml)
        return await self._stub.ProposeMapping(request, timeout=LONG_CALL_SECONDS)

    async def validate_mapping(
        self, mapping_yaml: str, snapshot: transformer_pb.Snapshot | None, target_json: bytes
    ) -> transformer_pb.ValidateMappingResponse:
        """Check a mapping."""
        request = transformer_pb.ValidateMappingRequest(mapping_yaml=mapping_yaml, snapshot=snapshot, target_json=target_json)
        return await self._stub.ValidateMapping(request, timeout=LONG_CALL_SECONDS)

    async def compile_schema(
        self, mapping_yaml: str, *, conflicts: Sequence[str] = (), deletions: Sequence[str] = ()
    ) -> transformer_pb.CompileSchemaResponse:
        """List the schema records a mapping needs, what it does with each entity, and its policies for deltas with those given instead."""
        request = transformer_pb.CompileSchemaRequest(mapping_yaml=mapping_yaml, conflicts=conflicts, deletions=deletions)
        return await self._stub.CompileSchema(request, timeout=CALL_SECONDS)

    async def profile_source(
        self,
        snapshot: transformer_pb.Snapshot,
        target_json: bytes,
        mapping_yaml: str,
        on_progress: Callable[[int], Awaitable[None]],
        *,
        connector_json: str = "",
    ) -> bytes:
        """Profile the snapshot; answers the report as JSON and tells the number of records profiled so far."""
        request = transformer_pb.ProfileSourceRequest(
            snapshot=snapshot, target_json=target_json, mapping_yaml=mapping_yaml, connector_json=connector_json
        )
        report = b""
        async for response in self._stub.ProfileSource(request, timeout=STREAM_SECONDS):
            report = response.report_json or report
            await on_progress(response.record_count)
        return report

    async def plan_tokens(
        self,
        snapshot: transformer_pb.Snapshot,
        mapping_yaml: str,
        target_json: bytes,
        sample_size: int,
        on_progress: Callable[[int], Awaitable[None]],
    ) -> bytes:
        """Plan what the migration spends; answers the plan as JSON and tells the number of records mapped so far."""
        request = transformer_pb.PlanTokensRequest(snapshot=snapshot, mapping_yaml=mapping_yaml, target_json=target_json, sample_size=sample_size)
        plan = b""
        async for response in self._stub.PlanTokens(request, timeout=STREAM_SECONDS):
            plan = response.plan_json or plan
            await on_progress(response.record_count)
        return plan

    async def describe_mapping(self, snapshot: transformer_pb.Snapshot, mapping_yaml: str, target_json: bytes) -> bytes:
        """Write a mapping as a workbook; answers it as JSON."""
        request = transformer_pb.DescribeMappingRequest(snapshot=snapshot, mapping_yaml=mapping_yaml, target_json=target_json)
        workbook = b""
        async for response in self._stub.DescribeMapping(request, timeout=STREAM_SECONDS):
            workbook = response.workbook_json or workbook
        return workbook

    async def revise_mapping(
        self, snapshot: transformer_pb.Snapshot, mapping_yaml: str, target_json: bytes, changes: Sequence[transformer_pb.MappingChange]
    ) -> transformer_pb.ReviseMappingResponse:
        """Answer what edited cells make of a mapping."""
        request = transformer_pb.ReviseMappingRequest(snapshot=snapshot, mapping_yaml=mapping_yaml, target_json=target_json, changes=changes)
        return await self._stub.ReviseMapping(request, timeout=STREAM_SECONDS)

    async def select_sample(self, snapshot: transformer_pb.Snapshot, mapping_yaml: str, size: int) -> transformer_pb.SelectSampleResponse:
        """Choose the sample."""
        request = transformer_pb.SelectSampleRequest(snapshot=snapshot, mapping_yaml=mapping_yaml, size=size)
        return await self._stub.SelectSample(request, timeout=LONG_CALL_SECONDS)

    async def preview_records(
        self, snapshot: transformer_pb.Snapshot, manifest_digest: str, source_keys: Sequence[str]
    ) -> Sequence[transformer_pb.PreviewedRecord]:
        """Map some source records field by field; at most 200 keys."""
        request = transformer_pb.PreviewRecordsRequest(snapshot=snapshot, manifest_digest=manifest_digest, source_keys=source_keys)
        response = await self._stub.PreviewRecords(request, timeout=LONG_CALL_SECONDS)
        return list(response.records)

    async def export_reference(self, snapshot: transformer_pb.Snapshot, mapping_yaml: str) -> AsyncIterator[transformer_pb.ExportReferenceResponse]:
        """Stream the reference exports in chunks."""
        request = transformer_pb.ExportReferenceRequest(snapshot=snapshot, mapping_yaml=mapping_yaml)
        async for response in self._stub.ExportReference(request, timeout=STREAM_SECONDS):
            yield response


class GrpcLoader:
    """`LoaderService` as a port."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub: LoaderServiceStub = LoaderServiceStub(channel)
        self._quota: QuotaServiceStub = QuotaServiceStub(channel)

    async def inspect_target(self, connection: str) -> loader_pb.InspectTargetResponse:
        """Look at the target account."""
        return await self._stub.InspectTarget(loader_pb.InspectTargetRequest(connection=connection), timeout=LONG_CALL_SECONDS)

    async def get_quota(self, connection: str) -> quota_pb.GetQuotaResponse:
        """Say how the budget of a target stands now."""
        return await self._quota.GetQuota(quota_pb.GetQuotaRequest(connection=connection), timeout=QUOTA_SECONDS)

    async def read_back(
        self,
        connection: str,
        target_entity: str,
        *,
        target_ids: Sequence[str] = (),
        parent_ids: Sequence[str] = (),
        edited_since: datetime | None = None,
        is_newest_first: bool = False,
        is_rollback: bool = False,
    ) -> AsyncIterator[loader_pb.ReadBackResponse]:
        """Read records of the target in canonical form, page by page; no ids at all: the whole list, or what was changed since a time."""
        request = loader_pb.ReadBackRequest(
            connection=connection,
            target_entity=target_entity,
            target_ids=target_ids,
            parent_ids=parent_ids,
            edited_since=to_timestamp(edited_since),
            is_newest_first=is_newest_first,
            is_rollback=is_rollback,
        )
        async for response in self._stub.ReadBack(request, timeout=STREAM_SECONDS):
            yield response

    async def list_back(
        self,
        connection: str,
        target_entity: str,
        *,
        changed_since: datetime,
        page_token: str = "",
        first_target_id: str = "",
        is_archived: bool = False,
    ) -> AsyncGenerator[loader_pb.ReadBackResponse, None]:
        """List what was changed since, page by page from a token on; each page has the token to go on after it."""
        request = loader_pb.ReadBackRequest(
            connection=connection,
            target_entity=target_entity,
            changed_since=to_timestamp(changed_since),
            page_token=page_token,
            first_target_id=first_target_id,
            is_archived=is_archived,
        )
        async for response in self._stub.ReadBack(request, timeout=STREAM_SECONDS):
            yield response

    async def digest_files(self, connection: str, target_ids: Sequence[str]) -> AsyncIterator[loader_pb.DigestFilesResponse]:
        """Download files, at most 100, and answer the digests of their bytes."""
        request = loader_pb.DigestFilesRequest(connection=connection, target_ids=target_ids)
        async for response in self._stub.DigestFiles(request, timeout=STREAM_SECONDS):
            yield response


class StagingSelections:
    """Keeps selections in the staging store as `selections/{digest}`."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging

    async def put_selection(self, source_keys: Sequence[str]) -> str:
        """Store a list of source keys, sorted and each once, and answer its digest."""
        content = await asyncio.to_thread(lambda: orjson.dumps(sorted(set(source_keys))))
        name = digest(content)
        await self._staging.put_blob(f"selections/{name}", content)
        return name
