"""Many clients at once on the API, each with its own connection: errors, times, and the memory of the ledger from round to round (goal: flat)."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psutil
from grpc import aio

from bench.flatness import MEBIBYTE
from bench.installation import MIGRATION_ID, installation
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2_grpc import MigrationServiceStub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CLIENTS: Final = 200
ROUNDS: Final = 8
CALL_SECONDS: Final = 60.0
_OPTIONS: Final = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


@dataclass(slots=True)
class Load:
    """What many clients met.

    Attributes:
        errors: refusals and broken calls, in words.
        seconds: how long each call took.
        memory_mib: resident set of the ledger after each round.
        handles: its open files after each round, while all clients are connected.
    """

    errors: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)

    def growth(self) -> float:
        """Memory after the last round against that after the second: the first is for getting warm."""
        return self.memory_mib[-1] / self.memory_mib[min(1, len(self.memory_mib) - 1)]


async def put_load(address: str, pid: int, migration_id: str, *, clients: int, rounds: int) -> Load:
    """Let so many clients call unary methods and read streams, all at once, round after round."""
    load = Load()
    process = psutil.Process(pid)
    async with AsyncExitStack() as exits:
        channels = [await exits.enter_async_context(aio.insecure_channel(address, options=list(_OPTIONS))) for _ in range(clients)]
        stubs = [MigrationServiceStub(channel) for channel in channels]
        for _ in range(rounds):
            await asyncio.gather(*(_round(stub, migration_id, load) for stub in stubs))
            load.memory_mib.append(process.memory_info().rss / MEBIBYTE)
            load.handles.append(process.num_fds())
    return load


async def _round(stub: Any, migration_id: str, load: Load) -> None:
    """One client's work: what a page of a dashboard or a script asks, and two streams beside it."""
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: _watch(stub, migration_id),
        lambda: _export(stub, migration_id),
        lambda: stub.GetMigration(pb.GetMigrationRequest(migration_id=migration_id), timeout=CALL_SECONDS),
        lambda: stub.ListMigrations(pb.ListMigrationsRequest(), timeout=CALL_SECONDS),
        lambda: stub.GetSummary(pb.GetSummaryRequest(migration_id=migration_id), timeout=CALL_SECONDS),
        lambda: stub.ListRecords(pb.ListRecordsRequest(migration_id=migration_id, page_size=100), timeout=CALL_SECONDS),
        lambda: stub.ListReviewItems(pb.ListReviewItemsRequest(migration_id=migration_id, page_size=100), timeout=CALL_SECONDS),
        lambda: stub.GetMapping(pb.GetMappingRequest(migration_id=migration_id), timeout=CALL_SECONDS),
    ]
    await asyncio.gather(*(_timed(call, load) for call in calls))


async def _timed(call: Callable[[], Awaitable[Any]], load: Load) -> None:
    began = time.monotonic()
    try:
        await call()
    except aio.AioRpcError as error:
        load.errors.append(f"{error.code().name}: {error.details()}")
    load.seconds.append(time.monotonic() - began)


async def _watch(stub: Any, migration_id: str) -> None:
    stream = stub.WatchMigration(pb.WatchMigrationRequest(migration_id=migration_id), timeout=CALL_SECONDS)
    await stream.read()  # a migration that rests has no second message for ten seconds
    stream.cancel()


async def _export(stub: Any, migration_id: str) -> None:
    async for _ in stub.ExportAudit(pb.ExportAuditRequest(migration_id=migration_id), timeout=CALL_SECONDS):
        pass


async def run() -> dict[str, float]:
    """Measures."""
    async with installation(client_count=20) as bench:
        await bench.prepare()
        await bench.step(bench.client.start_load)
        pid = bench.stack.pid("ledger")
        assert pid is not None
        load = await put_load(bench.stack.addresses["ledger"], pid, MIGRATION_ID, clients=CLIENTS, rounds=ROUNDS)
    slowest = statistics.quantiles(load.seconds, n=100)
    figures = {
        "clients": CLIENTS,
        "calls": len(load.seconds),
        "errors (goal 0)": len(load.errors),
        "seconds of a call, half": statistics.median(load.seconds),
        "seconds of a call, 99 of 100": slowest[-1],
        "ledger's memory, last round / second (goal 1.1)": load.growth(),
        "handles, last round / second": load.handles[-1] / load.handles[1],
    }
    return figures | {f"ledger, MiB after round {number}": memory for number, memory in enumerate(load.memory_mib, start=1)}
