from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import aio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.common import errors, grpc_client
from services.common.grpc_server import LIVENESS, Server, serve
from services.common.open_streams import OpenStreams
from tests.fakes.consuming import until
from transload.errors import from_rpc_error
from transload.v1 import loader_service_pb2 as pb
from transload.v1 import loader_service_pb2_grpc as stubs

NAME = "transload.v1.LoaderService"


class Loader(stubs.LoaderServiceServicer):
    """Does what the test says."""

    def __init__(self, act: Callable[[], Awaitable[None]]) -> None:
        self._act = act

    async def InspectTarget(self, request: pb.InspectTargetRequest, context: aio.ServicerContext[Any, Any]) -> pb.InspectTargetResponse:
        await self._act()
        return pb.InspectTargetResponse()

    async def DigestFiles(self, request: pb.DigestFilesRequest, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[pb.DigestFilesResponse]:
        for target_id in request.target_ids:
            yield pb.DigestFilesResponse(target_id=target_id)

    async def ReadBack(self, request: pb.ReadBackRequest, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[pb.ReadBackResponse]:
        yield pb.ReadBackResponse()
        await self._act()
        yield pb.ReadBackResponse()


@asynccontextmanager
async def serving(act: Callable[[], Awaitable[None]], listen: str = "127.0.0.1:0") -> AsyncIterator[Server]:
    async with serve(listen, [(stubs.add_LoaderServiceServicer_to_server, Loader(act))]) as server:
        yield server


async def nothing() -> None:
    return None


def failing(error: Exception) -> Callable[[], Awaitable[None]]:
    async def act() -> None:
        raise error

    return act


@asynccontextmanager
async def stub_of(server: Server, **options: Any) -> AsyncIterator[Any]:
    async with grpc_client.channel(server.address, **options) as channel:
        yield stubs.LoaderServiceStub(channel)


class Talker(Loader):
    """Answers with as much as is taken."""

    def __init__(self) -> None:
        super().__init__(nothing)
        self.made = 0
        self.ended = 0

    async def DigestFiles(self, request: pb.DigestFilesRequest, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[pb.DigestFilesResponse]:
        try:
            for _ in range(1_000):
                self.made += 1
                yield pb.DigestFilesResponse(target_id="x" * 100_000)
        finally:
            self.ended += 1


@asynccontextmanager
async def never_reading(address: str, count: int) -> AsyncIterator[list[Any]]:
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 5), ("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(address, options=options) as channel:
        calls = [stubs.LoaderServiceStub(channel).DigestFiles(pb.DigestFilesRequest()) for _ in range(count)]
        yield calls
        for call in calls:
            call.cancel()


async def test_no_more_is_made_for_a_client_than_it_takes() -> None:
    talker = Talker()
    async with serve("127.0.0.1:0", [(stubs.add_LoaderServiceServicer_to_server, talker)]) as server:
        async with never_reading(server.address, 3):
            await until(lambda: talker.made == 3)
            async with stub_of(server) as reader:
                assert len([one async for one in reader.DigestFiles(pb.DigestFilesRequest())]) == 1_000
            assert talker.made == 3 + 1_000, "one message waits for each, and no second one"
        await until(lambda: talker.ended == 4)


async def test_a_stalled_stream_makes_room_for_one_that_is_read() -> None:
    talker, streams = Talker(), OpenStreams(streams_max=2, stalled_seconds=0.0)
    async with serve("127.0.0.1:0", [(stubs.add_LoaderServiceServicer_to_server, talker)], streams=streams) as server:
        async with never_reading(server.address, 2), stub_of(server) as reader:
            await until(lambda: talker.made == 2)
            assert len([one async for one in reader.DigestFiles(pb.DigestFilesRequest())]) == 1_000
            await until(lambda: talker.ended == 2)  # the reader, and who made room for it
            assert len(streams) == 1
        await until(lambda: len(streams) == 0)


async def test_where_no_stream_is_stalled_one_too_many_is_refused() -> None:
    talker, streams = Talker(), OpenStreams(streams_max=2, stalled_seconds=60.0)
    async with serve("127.0.0.1:0", [(stubs.add_LoaderServiceServicer_to_server, talker)], streams=streams) as server:
        async with never_reading(server.address, 2), aio.insecure_channel(server.address) as channel:
            await until(lambda: talker.made == 2)
            with pytest.raises(aio.AioRpcError) as refused:
                await stubs.LoaderServiceStub(channel).DigestFiles(pb.DigestFilesRequest()).read()
        assert from_rpc_error(refused.value).reason == "UNAVAILABLE"


async def test_an_error_arrives_as_the_class_that_was_raised() -> None:
    raised = errors.TargetRejectedError("Pipedrive refuses", reason="TARGET_CAPPED", metadata={"code": "fields"})
    async with serving(failing(raised)) as server, stub_of(server) as stub:
        with pytest.raises(errors.TargetRejectedError, match="Pipedrive refuses") as caught:
            await stub.InspectTarget(pb.InspectTargetRequest())
    assert (caught.value.reason, caught.value.metadata) == ("TARGET_CAPPED", {"code": "fields"})


async def test_an_error_in_the_middle_of_a_stream_arrives_after_what_came_before() -> None:
    async with serving(failing(errors.RateLimitedError("wait", retry_after_seconds=3))) as server, stub_of(server) as stub:
        stream = stub.ReadBack(pb.ReadBackRequest())
        assert await anext(stream) == pb.ReadBackResponse()
        with pytest.raises(errors.RateLimitedError) as caught:
            await anext(stream)
    assert caught.value.retry_after_seconds == 3


async def test_other_programs_see_status_reason_and_pause() -> None:
    async with serving(failing(errors.RateLimitedError("wait", retry_after_seconds=3))) as server, aio.insecure_channel(server.address) as plain:
        with pytest.raises(aio.AioRpcError) as caught:
            await stubs.LoaderServiceStub(plain).InspectTarget(pb.InspectTargetRequest())
    seen = from_rpc_error(caught.value)
    assert (seen.code, seen.reason, seen.retry_after_seconds) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TARGET_QUOTA_EXHAUSTED", 3)


async def test_a_bug_tells_the_caller_nothing_and_the_log_everything(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(failing(ValueError("token=s3cret"))) as server, stub_of(server) as stub:
        with caplog.at_level(logging.ERROR), pytest.raises(errors.TransloadError) as caught:
            await stub.InspectTarget(pb.InspectTargetRequest())
    assert "s3cret" not in str(caught.value)
    assert caught.value.reason == "INTERNAL"
    assert "rpc.failed" in caplog.text


async def test_every_call_has_a_deadline() -> None:
    hang = asyncio.Event()

    async def act() -> None:
        await hang.wait()

    async with serving(act) as server, stub_of(server, unary_deadline_seconds=0.3) as stub:
        async with asyncio.timeout(5):
            with pytest.raises(errors.UnavailableError):
                await stub.InspectTarget(pb.InspectTargetRequest())


async def test_a_servicer_passes_on_what_remains_of_its_deadline() -> None:
    remaining: list[float] = []

    async def act() -> None:
        remaining.append(grpc_client._remaining(20.0))

    async with serving(act) as server, stub_of(server) as stub:
        await stub.InspectTarget(pb.InspectTargetRequest(), timeout=10.0)
    assert 1.0 < remaining[0] < 10.0  # not the default of 20 s; gRPC rounds what it sends, and connecting takes its time


def test_a_passed_on_deadline_leaves_time_to_report_the_failure() -> None:
    token = grpc_client.deadline.set(grpc_client.Deadline(time.monotonic() + 5.0))
    try:
        assert grpc_client._remaining(20.0) <= 5.0 - grpc_client.DEADLINE_MARGIN_SECONDS
        assert grpc_client._remaining(1.0) == 1.0
    finally:
        grpc_client.deadline.reset(token)


async def test_what_a_servicer_leaves_running_inherits_no_deadline() -> None:
    remaining: list[float] = []
    answered = asyncio.Event()

    async def background() -> None:
        await answered.wait()
        remaining.append(grpc_client._remaining(20.0))

    async def act() -> None:
        tasks.append(asyncio.create_task(background()))

    tasks: list[asyncio.Task[None]] = []
    async with serving(act) as server, stub_of(server) as stub:
        await stub.InspectTarget(pb.InspectTargetRequest(), timeout=1.0)
        answered.set()
        await tasks[0]
    assert remaining == [20.0]


async def test_stopping_lets_calls_end_and_sends_watchers_elsewhere() -> None:
    hang = asyncio.Event()
    started = asyncio.Event()

    async def act() -> None:
        started.set()
        await hang.wait()

    async with serving(act) as server, aio.insecure_channel(server.address) as plain:
        stub: Any = stubs.LoaderServiceStub(plain)
        call = asyncio.ensure_future(stub.InspectTarget(pb.InspectTargetRequest()))
        stream = stub.ReadBack(pb.ReadBackRequest())
        await stream.read()
        await started.wait()
        stopping = asyncio.create_task(server.stop(5.0))
        with pytest.raises(aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        hang.set()
        assert await call == pb.InspectTargetResponse()
        async with asyncio.timeout(2):
            await stopping


async def test_a_call_is_repeated_while_the_peer_restarts() -> None:
    async with serving(nothing) as first:
        address = first.address
        async with grpc_client.channel(address) as channel:
            stub: Any = stubs.LoaderServiceStub(channel)
            await stub.InspectTarget(pb.InspectTargetRequest())
            await first.stop(0)
            calling = asyncio.create_task(stub.InspectTarget(pb.InspectTargetRequest()))
            async with serving(nothing, address):
                await calling


async def test_an_absent_peer_is_unavailable() -> None:
    async with serving(nothing) as server:
        address = server.address
    async with grpc_client.channel(address) as channel:
        stub: Any = stubs.LoaderServiceStub(channel)
        with pytest.raises(errors.UnavailableError):
            await stub.InspectTarget(pb.InspectTargetRequest())
        with pytest.raises(errors.UnavailableError):
            await grpc_client.ping(channel)


async def test_health_says_not_serving_until_told_and_liveness_always_serves() -> None:
    async with serving(nothing) as server, grpc_client.channel(server.address) as channel:
        assert not await grpc_client.is_serving(channel)
        assert not await grpc_client.is_serving(channel, service=NAME)
        assert await grpc_client.is_serving(channel, service=LIVENESS)
        await grpc_client.ping(channel)
        await server.set_serving(is_serving=True)
        assert await grpc_client.is_serving(channel)
        assert await grpc_client.is_serving(channel, service=NAME)
        await server.set_serving(is_serving=False)
        assert not await grpc_client.is_serving(channel)


async def test_reflection_names_our_service() -> None:
    async def requests() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME)

    async with serving(nothing) as server, aio.insecure_channel(server.address) as plain:
        answers = [answer async for answer in reflection_pb2_grpc.ServerReflectionStub(plain).ServerReflectionInfo(requests())]
    assert NAME in {service.name for service in answers[0].list_services_response.service}
    files = [FileDescriptorProto.FromString(raw) for raw in answers[1].file_descriptor_response.file_descriptor_proto]
    assert "transload/v1/loader_service.proto" in {file.name for file in files}


async def test_a_taken_port_is_refused() -> None:
    async with serving(nothing) as server:
        with pytest.raises(errors.ConfigurationError, match="cannot be bound"):
            async with serving(nothing, server.address):
                pass


async def test_waiting_for_a_service_that_never_comes_ends() -> None:
    async with serving(nothing) as server:
        with pytest.raises(errors.UnavailableError, match="was not ready within"):
            await grpc_client.wait_until_serving(server.address, timeout_seconds=0.2)


def test_a_call_is_one_trace_on_both_sides() -> None:
    """In a process of its own, because a tracer provider is set once for good."""
    script = """
import asyncio, os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
from services.common import errors, grpc_client, telemetry
from services.common.grpc_server import serve
from transload.v1 import loader_service_pb2 as pb, loader_service_pb2_grpc as stubs
class Loader(stubs.LoaderServiceServicer):
    async def InspectTarget(self, request, context):
        with telemetry.tracer().start_as_current_span("unary work"):
            return pb.InspectTargetResponse()
    async def ReadBack(self, request, context):
        with telemetry.tracer().start_as_current_span("stream work"):
            yield pb.ReadBackResponse()
        raise errors.UnavailableError("away")
async def main():
    async with serve("127.0.0.1:0", [(stubs.add_LoaderServiceServicer_to_server, Loader())]) as server:
        async with grpc_client.channel(server.address) as channel:
            stub = stubs.LoaderServiceStub(channel)
            with telemetry.tracer().start_as_current_span("outer"):
                await stub.InspectTarget(pb.InspectTargetRequest())
                try:
                    async for _ in stub.ReadBack(pb.ReadBackRequest()):
                        pass
                except errors.UnavailableError:
                    pass
    spans = exporter.get_finished_spans()
    by_name = {(span.name, span.kind.name): span for span in spans}
    assert len({span.context.trace_id for span in spans}) == 1, [(s.name, s.context.trace_id) for s in spans]
    unary, stream = "transload.v1.LoaderService/InspectTarget", "transload.v1.LoaderService/ReadBack"
    assert by_name[unary, "SERVER"].parent.span_id == by_name[unary, "CLIENT"].context.span_id
    assert by_name["unary work", "INTERNAL"].parent.span_id == by_name[unary, "SERVER"].context.span_id
    assert by_name["stream work", "INTERNAL"].parent.span_id == by_name[stream, "SERVER"].context.span_id
    assert by_name[unary, "SERVER"].attributes["rpc.grpc.status_code"] == "OK"
    assert by_name[stream, "SERVER"].attributes["rpc.grpc.status_code"] == "UNAVAILABLE"
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
