"""`TransformerService`: requests in, domain calls, answers out. Everything that reads records runs beside the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import orjson

from services.common.canonical import canonical_json, digest
from services.common.clock import SystemClock
from services.common.errors import InvalidRequestError, MappingError
from services.transformer import exports, load_plan, sample
from services.transformer.compile import compile_schema, dispositions
from services.transformer.delta import compile_policy
from services.transformer.documents import read_connector_options, read_target
from services.transformer.lint import lint
from services.transformer.mapping.reading import connector_mapping_text, load_mapping
from services.transformer.matching import compile_matching
from services.transformer.names import named
from services.transformer.preview import preview
from services.transformer.profile.report import profile_source
from services.transformer.propose import propose
from services.transformer.workbook.describe import describe
from services.transformer.workbook.revise import Change, revise
from transload.v1 import transformer_service_pb2 as pb
from transload.v1.transformer_service_pb2_grpc import TransformerServiceServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from grpc import aio

    from services.common.clock import Clock
    from services.transformer.plans import Plans
    from services.transformer.snapshot.index import SnapshotIndex
    from services.transformer.snapshot.view import SnapshotView

Result = TypeVar("Result")

PREVIEW_KEYS_MAX: Final = 200
CHANGES_MAX: Final = 10_000
SAMPLE_SIZE_DEFAULT: Final = 150
SAMPLE_SIZE_MAX: Final = 500
HANDS: Final = 4
"""Long answers (profile, plan, workbook) that are worked out at once; the next ones wait their turn, and tell their callers that they go on."""
CHUNK_BYTES: Final = 64 * 1024
PROGRESS_SECONDS: Final = 1.0


class Store(Protocol):
    """Staging."""

    async def put_blob(self, name: str, data: bytes) -> None:
        """Write a blob."""


class TransformerServicer(TransformerServiceServicer):
    """Answers questions about mappings and what they do with a migration's records."""

    def __init__(self, *, index: SnapshotIndex, plans: Plans, store: Store, clock: Clock | None = None) -> None:
        self._index = index
        self._plans = plans
        self._store = store
        self._clock = clock or SystemClock()
        # Apart from the threads everything else needs: callers that ask for much, or leave while it is made, must not keep the migrations waiting.
        self._hands = ThreadPoolExecutor(HANDS, thread_name_prefix="answers")

    def close(self) -> None:
        """Begin nothing more. What runs cannot be stopped, and nobody waits for it."""
        self._hands.shutdown(wait=False, cancel_futures=True)

    async def ProposeMapping(self, request: pb.ProposeMappingRequest, context: aio.ServicerContext[Any, Any]) -> pb.ProposeMappingResponse:  # noqa: N802
        """Build the mapping of a migration."""
        del context
        view = await self._view(request.snapshot)
        base = connector_mapping_text(request.snapshot.connector)
        target = read_target(request.target_json)
        text = await asyncio.to_thread(propose, base, view, target, request.overrides_yaml, today=self._clock.now().date())
        mapping = load_mapping(text)
        findings = await asyncio.to_thread(lint, mapping, named(view, mapping), target)
        return pb.ProposeMappingResponse(mapping_yaml=text, mapping_digest=mapping.digest, findings=findings)

    async def ValidateMapping(self, request: pb.ValidateMappingRequest, context: aio.ServicerContext[Any, Any]) -> pb.ValidateMappingResponse:  # noqa: N802
        """Check a mapping; one that cannot be read is a finding, not a failure."""
        del context
        try:
            mapping = load_mapping(request.mapping_yaml)
        except MappingError as error:
            return pb.ValidateMappingResponse(findings=[pb.MappingFinding(severity=pb.FINDING_SEVERITY_ERROR, message=error.message)])
        view = named(await self._view(request.snapshot), mapping) if request.HasField("snapshot") else None
        findings = await asyncio.to_thread(lint, mapping, view, read_target(request.target_json))
        return pb.ValidateMappingResponse(findings=findings, mapping_digest=mapping.digest)

    async def CompileSchema(self, request: pb.CompileSchemaRequest, context: aio.ServicerContext[Any, Any]) -> pb.CompileSchemaResponse:  # noqa: N802
        """List what a mapping needs in Pipedrive."""
        del context
        mapping = load_mapping(request.mapping_yaml)
        return pb.CompileSchemaResponse(
            records=compile_schema(mapping),
            dispositions=dispositions(mapping),
            delta_policy=compile_policy(mapping, conflicts=request.conflicts, deletions=request.deletions),
            matching_json=canonical_json(matching) if (matching := compile_matching(mapping)) else b"",
        )

    async def ProfileSource(  # noqa: N802
        self, request: pb.ProfileSourceRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.ProfileSourceResponse]:
        """Profile the frozen pages; a message a second tells that it goes on."""
        del context
        mapping = load_mapping(request.mapping_yaml or connector_mapping_text(request.snapshot.connector))
        view = named(await self._view(request.snapshot), mapping)
        options = read_connector_options(request.connector_json)
        target = read_target(request.target_json)
        async with self._beside(profile_source, view, mapping, target, options=options) as work:
            async for _ in _seconds_until(work):
                yield pb.ProfileSourceResponse()
            report = await work
        count = await asyncio.to_thread(lambda: sum(view.count(entity) for entity in view.entities()))
        yield pb.ProfileSourceResponse(record_count=count, report_json=canonical_json(report))

    async def PlanTokens(self, request: pb.PlanTokensRequest, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[pb.PlanTokensResponse]:  # noqa: N802
        """Plan what a migration spends; a message a second tells that it goes on."""
        del context
        size = _sample_size(request.sample_size)
        mapping, target, told = load_mapping(request.mapping_yaml), read_target(request.target_json), [0]
        view = named(await self._view(request.snapshot), mapping)
        async with self._beside(
            load_plan.plan_load, view, mapping, target, sample_size=size, progress=lambda count: told.__setitem__(0, count)
        ) as work:
            async for _ in _seconds_until(work):
                yield pb.PlanTokensResponse(record_count=told[0])
            plan = await work
        yield pb.PlanTokensResponse(record_count=told[0], plan_json=canonical_json(plan))

    async def DescribeMapping(  # noqa: N802
        self, request: pb.DescribeMappingRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.DescribeMappingResponse]:
        """Write a mapping as a workbook; a message a second tells that it goes on."""
        del context
        view = named(await self._view(request.snapshot), load_mapping(request.mapping_yaml))
        target, told = read_target(request.target_json), [0]
        async with self._beside(describe, request.mapping_yaml, view, target, progress=lambda count: told.__setitem__(0, count)) as work:
            async for _ in _seconds_until(work):
                yield pb.DescribeMappingResponse(record_count=told[0])
            workbook = await work
        yield pb.DescribeMappingResponse(record_count=told[0], workbook_json=canonical_json(workbook))

    async def ReviseMapping(self, request: pb.ReviseMappingRequest, context: aio.ServicerContext[Any, Any]) -> pb.ReviseMappingResponse:  # noqa: N802
        """Answer what edited cells make of a mapping."""
        del context
        if len(request.changes) > CHANGES_MAX:
            raise InvalidRequestError(f"changes: {len(request.changes)} given, at most {CHANGES_MAX}")
        view = named(await self._view(request.snapshot), load_mapping(request.mapping_yaml))
        changes = [Change(one.sheet, one.row, one.column, one.value) for one in request.changes]
        revision = await asyncio.to_thread(revise, request.mapping_yaml, view, read_target(request.target_json), changes)
        return pb.ReviseMappingResponse(
            revisions=[
                pb.MappingRevision(path=one.path, old_value=one.old, new_value=one.new, problem=one.problem, allowed=one.allowed)
                for one in revision.outcomes
            ],
            mapping_yaml=revision.text,
            mapping_digest=revision.digest,
            findings=revision.findings,
            problems=revision.problems,
        )

    async def SelectSample(self, request: pb.SelectSampleRequest, context: aio.ServicerContext[Any, Any]) -> pb.SelectSampleResponse:  # noqa: N802
        """Choose the sample and keep it in staging."""
        del context
        size = _sample_size(request.size)
        mapping = load_mapping(request.mapping_yaml)
        view = named(await self._view(request.snapshot), mapping)
        selection = await asyncio.to_thread(sample.select_sample, view, mapping, size)
        content = orjson.dumps(sorted(set(selection.source_keys)))
        name = digest(content)
        await self._store.put_blob(f"selections/{name}", content)
        return pb.SelectSampleResponse(
            selection_digest=name, record_count=len(selection.source_keys), source_keys=selection.source_keys, coverage=selection.coverage
        )

    async def PreviewRecords(self, request: pb.PreviewRecordsRequest, context: aio.ServicerContext[Any, Any]) -> pb.PreviewRecordsResponse:  # noqa: N802
        """Map some records field by field."""
        del context
        if len(request.source_keys) > PREVIEW_KEYS_MAX:
            raise InvalidRequestError(f"source_keys: {len(request.source_keys)} given, at most {PREVIEW_KEYS_MAX}")
        plan = await self._plans.get(request.manifest_digest)
        view = named(await self._view(request.snapshot), plan.mapping)
        records = await asyncio.to_thread(lambda: list(preview(plan, view, request.source_keys)))
        return pb.PreviewRecordsResponse(records=records)

    async def ExportReference(  # noqa: N802
        self, request: pb.ExportReferenceRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.ExportReferenceResponse]:
        """Stream the reference exports in chunks, made while they are read."""
        del context
        mapping = load_mapping(request.mapping_yaml)
        view = named(await self._view(request.snapshot), mapping)
        parts: Iterator[tuple[str, bytes]] = iter(await asyncio.to_thread(exports.write_exports, view, mapping))
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            name, content = part
            for start in range(0, max(len(content), 1), CHUNK_BYTES):
                yield pb.ExportReferenceResponse(file_name=name, content=content[start : start + CHUNK_BYTES])

    @asynccontextmanager
    async def _beside(self, act: Callable[..., Result], *args: Any, **kwargs: Any) -> AsyncIterator[asyncio.Future[Result]]:
        """Let work run beside the event loop while the block runs. When the caller leaves, what has not begun never begins."""
        work = asyncio.get_running_loop().run_in_executor(self._hands, partial(act, *args, **kwargs))
        try:
            yield work
        finally:
            work.cancel()

    async def _view(self, snapshot: pb.Snapshot) -> SnapshotView:
        if not snapshot.migration_id:
            raise InvalidRequestError("snapshot.migration_id is required")
        if snapshot.sequence < 0:
            raise InvalidRequestError("snapshot.sequence: must not be negative")
        return await self._index.ensure(snapshot.migration_id, snapshot.sequence)


async def _seconds_until(work: asyncio.Future[Any]) -> AsyncIterator[None]:
    """Yields every second until the work is done."""
    while not work.done():
        await asyncio.wait({work}, timeout=PROGRESS_SECONDS)
        if not work.done():
            yield None


def _sample_size(wanted: int) -> int:
    size = wanted or SAMPLE_SIZE_DEFAULT
    if not 1 <= size <= SAMPLE_SIZE_MAX:
        raise InvalidRequestError(f"size must be 1 to {SAMPLE_SIZE_MAX}, not {size}")
    return size
