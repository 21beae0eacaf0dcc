"""What product code relies on of gRPC, shown on sockets and on the simulated wire alike: through our own server and channel."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol
from unittest import mock

import grpc
import pytest

from services.common import errors, grpc_client
from services.common.grpc_server import LIVENESS, serve
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.processes import Incarnation, context_of
from tests.simulation.rpc import Wire
from tests.simulation.stand_ins import time_and_chance
from tests.simulation.trace import Trace
from transload.v1 import loader_service_pb2 as pb
from transload.v1 import loader_service_pb2_grpc as stubs
from transload.v1.loader_service_pb2 import TargetRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    Scenario = Callable[[str], Coroutine[Any, Any, None]]


class Run(Protocol):
    def __call__(self, scenario: Scenario, /) -> None: ...


@pytest.fixture(params=["sockets", "simulated"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario, given where to listen."""

    def on_sockets(scenario: Scenario) -> None:
        asyncio.run(scenario("127.0.0.1:0"))

    def simulated(scenario: Scenario) -> None:
        loop = SimulatedLoop(Random(1))
        wire = Wire(Network(Random(2), Trace(loop.time)))
        with ExitStack() as stack:

            def put(target: Any, name: str, value: Any) -> None:
                stack.enter_context(mock.patch.object(target, name, value))

            time_and_chance(put, Random(3))
            put(grpc.aio, "insecure_channel", wire.insecure_channel)
            put(grpc.aio, "server", wire.server)
            try:
                loop.run_until_complete(loop.create_task(scenario("server:1"), context=context_of(Incarnation("server", 1))))
            finally:
                loop.drop_all()
                loop.close()

    return simulated if request.param == "simulated" else on_sockets


@dataclass
class Loader(stubs.LoaderServiceServicer):
    """Answers as told."""

    error: Exception | None = None
    seconds: float = 0.0
    count: int = 3
    failures: int = 0
    calls: int = 0
    ended: list[str] = field(default_factory=list)

    async def InspectTarget(self, request: pb.InspectTargetRequest, context: Any) -> pb.InspectTargetResponse:
        del context
        self.calls += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        if self.calls <= self.failures:
            raise errors.UnavailableError("not yet")
        if self.error is not None:
            raise self.error
        return pb.InspectTargetResponse(target_json=request.connection.encode())

    async def DigestFiles(self, request: pb.DigestFilesRequest, context: Any) -> AsyncIterator[pb.DigestFilesResponse]:
        del context
        for target_id in request.target_ids:
            yield pb.DigestFilesResponse(target_id=target_id)

    async def ReadBack(self, request: pb.ReadBackRequest, context: Any) -> AsyncIterator[pb.ReadBackResponse]:
        del context
        try:
            for number in range(self.count):
                await asyncio.sleep(self.seconds)
                yield pb.ReadBackResponse(records=[TargetRecord(target_id=f"{request.target_entity}/{number}")])
            if self.error is not None:
                raise self.error
        finally:
            self.ended.append("ended")


def inspect(connection: str = "crm") -> pb.InspectTargetRequest:
    return pb.InspectTargetRequest(connection=connection)


async def talk(listen: str, loader: Loader, scenario: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    async with (
        serve(listen, [(stubs.add_LoaderServiceServicer_to_server, loader)]) as server,
        grpc_client.channel(server.address) as channel,
    ):
        await scenario(stubs.LoaderServiceStub(channel))


def test_a_call_is_answered(run: Run) -> None:
    async def scenario(listen: str) -> None:
        async def calls(stub: Any) -> None:
            answers = await asyncio.gather(*(stub.InspectTarget(inspect(f"c{number}")) for number in range(5)))
            assert [answer.target_json for answer in answers] == [f"c{number}".encode() for number in range(5)]

        await talk(listen, Loader(), calls)

    run(scenario)


def test_an_error_keeps_class_reason_and_metadata(run: Run) -> None:
    async def scenario(listen: str) -> None:
        async def calls(stub: Any) -> None:
            with pytest.raises(errors.TargetRejectedError, match="refuses") as caught:
                await stub.InspectTarget(inspect())
            assert (caught.value.reason, caught.value.metadata["code"]) == ("TARGET_CAPPED", "fields")

        await talk(listen, Loader(errors.TargetRejectedError("Pipedrive refuses", reason="TARGET_CAPPED", metadata={"code": "fields"})), calls)

    run(scenario)


def test_what_is_not_available_is_asked_again(run: Run) -> None:
    loader = Loader(failures=2)

    async def scenario(listen: str) -> None:
        async def calls(stub: Any) -> None:
            await stub.InspectTarget(inspect())

        await talk(listen, loader, calls)

    run(scenario)
    assert loader.calls == 3


def test_asking_again_has_an_end(run: Run) -> None:
    loader = Loader(failures=99)

    async def scenario(listen: str) -> None:
        async def calls(stub: Any) -> None:
            with pytest.raises(errors.UnavailableError, match="not yet"):
                await stub.InspectTarget(inspect())

        await talk(listen, loader, calls)

    run(scenario)
    assert loader.calls == 5


def test_a_call_past_its_deadline_is_unavailable_and_its_handler_ends(run: Run) -> None:
    loader = Loader(seconds=30.0)

    async def scenario(listen: str) -> None:
        async def calls(stub: Any) -> None:
            with pytest.raises(errors.UnavailableError):
                await stub.InspectTarget(inspect(), timeout=0.3)
            await asyncio.sleep(0.5)

        await talk(listen, loader, calls)

    run(scenario)
    assert loader.ended == ["cancelled"]


def test_a_caller_who_goes_away_ends_the_handler(run: Run) -> None:
    loader = Loader(seconds=30.0)

    async def scenario(listen: str) -> None:
        async def calls(stub: Any) -> None:
            call = asyncio.create_task(stub.InspectTarget(inspect()))
            await asyncio.sleep(0.3)
            call.cancel()
            await asyncio.sleep(0.5)

        await talk(listen, loader, calls)

    run(scenario)
    assert loader.ended == ["cancelled"]


def test_a_stream_keeps_its_order_and_has_its_end(run: Run) -> None:
    async def scenario(listen: str) -> None:
        async def calls(stub: Any) -> None:
            ids = [record.target_id async for page in stub.ReadBack(pb.ReadBackRequest(target_entity="deal")) for record in page.records]
            assert ids == [f"deal/{number}" for number in range(50)]

        await talk(listen, Loader(count=50), calls)

    run(scenario)


def test_a_stream_that_fails_gives_what_came_before(run: Run) -> None:
    async def scenario(listen: str) -> None:
        async def calls(stub: Any) -> None:
            pages = aiter(stub.ReadBack(pb.ReadBackRequest(target_entity="deal")))
            for _ in range(3):
                await anext(pages)
            with pytest.raises(errors.RateLimitedError):
                await anext(pages)

        await talk(listen, Loader(errors.RateLimitedError("slow down", retry_after_seconds=7.0, reason="TARGET_QUOTA_EXHAUSTED")), calls)

    run(scenario)


def test_nobody_there_is_unavailable(run: Run) -> None:
    async def scenario(listen: str) -> None:
        async with serve(listen, [(stubs.add_LoaderServiceServicer_to_server, Loader())]) as server:
            address = server.address
        async with grpc_client.channel(address) as channel:
            with pytest.raises(errors.UnavailableError):
                await stubs.LoaderServiceStub(channel).InspectTarget(inspect(), timeout=5.0)

    run(scenario)


def test_a_server_that_stops_breaks_its_calls_off(run: Run) -> None:
    async def scenario(listen: str) -> None:
        async with (
            serve(listen, [(stubs.add_LoaderServiceServicer_to_server, Loader(seconds=30.0))]) as server,
            grpc_client.channel(server.address) as channel,
        ):
            call = asyncio.ensure_future(stubs.LoaderServiceStub(channel).InspectTarget(inspect(), timeout=8.0))
            await asyncio.sleep(0.3)
            await server.stop(0.0)
            with pytest.raises(errors.UnavailableError):
                await call

    run(scenario)


def test_a_server_is_alive_before_it_serves(run: Run) -> None:
    async def scenario(listen: str) -> None:
        async with serve(listen, [(stubs.add_LoaderServiceServicer_to_server, Loader())]) as server, grpc_client.channel(server.address) as channel:
            await grpc_client.ping(channel)
            assert not await grpc_client.is_serving(channel)
            assert await grpc_client.is_serving(channel, service=LIVENESS)
            await server.set_serving(True)
            assert await grpc_client.is_serving(channel)

    run(scenario)
