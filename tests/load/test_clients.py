"""Many clients at once, and clients that open streams and never read, against a real installation with one small migration."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import pytest_asyncio
from grpc import aio

from bench.api_clients import put_load
from tests.e2e.harness import Rehearsal, installation
from tests.fuzz.installed import Method, served_methods
from transload.v1 import loader_service_pb2, transformer_service_pb2
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENTS = 50
NEVER_READING = 12
"""Of each method."""
CALL_SECONDS = 60.0
MEMORY_MIB_MAX = 40.0
"""What a service may grow by while they stay as they are and everybody else works on: one message waits for each of them, and no second one."""
NEVER_READS = [("grpc.enable_http_proxy", 0), ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 5), ("grpc.use_local_subchannel_pool", 1)]
"""A window of five bytes: the first message does not fit, and nobody makes room."""


@dataclass
class Loaded:
    """A migration that was loaded, and the methods of its installation."""

    rehearsal: Rehearsal
    methods: list[Method]
    mapping_yaml: str

    def process(self, name: str) -> psutil.Process:
        pid = self.rehearsal.installation.stack.pid(name)
        assert pid is not None
        return psutil.Process(pid)

    def name_of(self, method: Method) -> str:
        return next(name for name, address in self.rehearsal.installation.stack.addresses.items() if address == method.address)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def loaded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Loaded]:
    async with installation(tmp_path_factory.mktemp("load")) as installed, installed.rehearsal(size=4) as rehearsal:
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        methods = await served_methods(installed.stack.addresses)
        mapping = await rehearsal.client.get_mapping(rehearsal.migration_id)
        yield Loaded(rehearsal, methods, mapping.mapping_yaml)


def streams_of(loaded: Loaded, file_ids: list[str]) -> dict[str, Any]:
    """Return a sensible request for every method that answers with a stream."""
    migration_id = loaded.rehearsal.migration_id
    target = f"{migration_id}-target"
    snapshot = transformer_service_pb2.Snapshot(migration_id=migration_id, connector="stel_order")
    described: dict[str, Any] = {"snapshot": snapshot, "mapping_yaml": loaded.mapping_yaml}
    return {
        "/transload.v1.MigrationService/WatchMigration": pb.WatchMigrationRequest(migration_id=migration_id),
        "/transload.v1.MigrationService/ExportAudit": pb.ExportAuditRequest(migration_id=migration_id),
        "/transload.v1.MigrationService/ExportReferenceFiles": pb.ExportReferenceFilesRequest(migration_id=migration_id),
        "/transload.v1.TransformerService/ProfileSource": transformer_service_pb2.ProfileSourceRequest(**described),
        "/transload.v1.TransformerService/PlanTokens": transformer_service_pb2.PlanTokensRequest(**described),
        "/transload.v1.TransformerService/DescribeMapping": transformer_service_pb2.DescribeMappingRequest(**described),
        "/transload.v1.TransformerService/ExportReference": transformer_service_pb2.ExportReferenceRequest(**described),
        "/transload.v1.LoaderService/ReadBack": loader_service_pb2.ReadBackRequest(connection=target, target_entity="organization"),
        "/transload.v1.LoaderService/DigestFiles": loader_service_pb2.DigestFilesRequest(connection=target, target_ids=file_ids),
    }


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_many_clients_meet_no_error_and_leave_nothing_behind(loaded: Loaded) -> None:
    stack, ledger = loaded.rehearsal.installation.stack, loaded.process("ledger")
    before = ledger.num_fds()
    load = await put_load(stack.addresses["ledger"], ledger.pid, loaded.rehearsal.migration_id, clients=CLIENTS, rounds=3)
    assert load.errors == []
    assert len(load.seconds) == CLIENTS * 3 * 8
    assert load.growth() < 1.3, load.memory_mib
    await loaded.rehearsal.until(lambda: _is_below(ledger, before + 10), what="the handles of clients that left", seconds_max=20)


async def _is_below(process: psutil.Process, handles: int) -> bool:
    return process.num_fds() <= handles


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_clients_that_never_read_hold_up_nobody(loaded: Loaded) -> None:
    files = [record.target_id for record in await loaded.rehearsal.records() if record.target_entity == "file" and record.target_id]
    requests = streams_of(loaded, files[:2])
    streaming = [method for method in loaded.methods if method.is_stream]
    assert {method.path for method in streaming} == set(requests), "a new stream needs a request here"
    async with AsyncExitStack() as exits:
        stuck = []
        for method in streaming:
            channel = await exits.enter_async_context(aio.insecure_channel(method.address, options=NEVER_READS))
            stuck += [_open(channel, method, requests[method.path]) for _ in range(NEVER_READING)]
        for call in stuck:
            # One that is refused, because its service was busy, is no concern here.
            with suppress(aio.AioRpcError):
                await call.wait_for_connection()
        await _read_all(streaming, requests)
        memory = {name: loaded.process(name).memory_info().rss for name in ("ledger", "transformer", "loader")}
        assert (await loaded.rehearsal.migration()).migration_id == loaded.rehearsal.migration_id
        # The whole way of work goes on, too: read, mapped, loaded.
        await loaded.rehearsal.step("delta")
        await _read_all(streaming, requests)
        for name, before in memory.items():
            grown = (loaded.process(name).memory_info().rss - before) / 2**20
            assert grown < MEMORY_MIB_MAX, f"{name} grew by {grown:.0f} MiB for clients that do not read"
        assert sum(not call.done() for call in stuck) > len(stuck) / 2, "hardly any stream was stuck: nothing was shown"
        for call in stuck:
            call.cancel()


async def _read_all(methods: list[Method], requests: dict[str, Any]) -> None:
    """Read every stream to its end."""
    for method in methods:
        async with aio.insecure_channel(method.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            reading = _open(channel, method, requests[method.path])
            count = 0
            async for _ in reading:
                count += 1
                if method.path.endswith("/WatchMigration"):
                    break  # it has no end of its own
            reading.cancel()
        assert count or method.path.endswith("/DigestFiles"), f"{method.path} answered nothing"


def _open(channel: aio.Channel, method: Method, request: Any) -> Any:
    call = channel.unary_stream(method.path, request_serializer=lambda one: one.SerializeToString(), response_deserializer=lambda raw: raw)
    return call(request, timeout=CALL_SECONDS * 3)
