"""Puts simulated adapters where product code looks for the real ones, and chance and time under the seed. The one place for both."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import uuid
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import grpc
from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.pool import Pool

import services.common.bus_connection
import services.common.grpc_client
import services.common.grpc_server
import services.common.staging
import services.extractor.http
import services.ledger.coordinator
import services.ledger.sql.engine
import services.ledger.sql.ledger
import services.loader.bootstrap
import services.loader.quota.keeper
import services.transformer.sample
import services.transformer.servicer
from services.common.backoff import Backoff
from services.common.clock import SystemClock
from services.extractor.connectors.stel_order import reading
from services.extractor.connectors.stel_order.client import StelClient
from services.transformer.mapping.document import Mapping
from services.transformer.mapping.reading import load_mapping
from services.transformer.plan import MappingPlan
from tests.simulation import fast_sql
from tests.simulation.http import PipedriveHttp, SourceTransport
from tests.simulation.nats_server import SimulatedClient
from tests.simulation.processes import OWNER
from tests.simulation.small import small_mapping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from random import Random

    from services.transformer.manifest import Manifest
    from tests.simulation.world import World

EPOCH: Final = datetime(2025, 11, 3, 5, 56, tzinfo=UTC)
"""What true clocks show when a simulation begins: four minutes before midnight in Chicago."""

REST_SECONDS: Final = 0.2
"""How long the coordinator rests between two looks: some times as long as a look takes, and here looks take no time at all."""

LOOK_SECONDS: Final = 0.25
"""How long the arbiter's keeper waits between two looks at what is due: looking twenty times a second at nothing was a tenth of all turns."""


def true_time() -> datetime:
    """Answer the time in the world."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def own_time() -> datetime:
    """Answer the time as the process that runs now sees it."""
    owner = OWNER.get()
    return true_time() + timedelta(seconds=owner.clock_offset_seconds if owner is not None else 0.0)


@contextmanager
def stand_ins(world: World) -> Iterator[None]:
    """Run product code in a simulated world while the block runs."""
    with ExitStack() as stack:

        def put(target: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(target, name, value))

        time_and_chance(put, world.draw)
        _memory(put)
        put(grpc.aio, "insecure_channel", world.wire.insecure_channel)
        put(grpc.aio, "server", world.wire.server)
        put(services.common.bus_connection, "Client", type("Client", (SimulatedClient,), {"store": world.nats}))
        put(services.common.staging, "obstore", world.objects)
        put(services.common.staging, "from_url", lambda _url: None)
        put(services.extractor.http, "OnceTransport", lambda: SourceTransport(world.source, world.network, world.source_breakage))
        put(services.loader.bootstrap, "http_client", _pipedrive_client(world))
        put(services.ledger.sql.ledger, "upgrade", _leave_the_schema)
        put(services.ledger.coordinator, "REST_SECONDS_MIN", REST_SECONDS)
        put(services.loader.quota.keeper, "_LOOK_SECONDS", LOOK_SECONDS)
        put(services.ledger.sql.engine, "create_engine", _engine_that_remembers)
        put(Connection, "execute", fast_sql.execute)
        if world.size.is_small:
            put(services.transformer.sample, "SIZE_MAX", 1)  # a sample that shows everything would be the whole account
            put(services.transformer.servicer, "connector_mapping_text", lambda _connector: small_mapping())
        put(reading, "PAGE_SIZE", world.size.source_page)
        put(StelClient.page, "__kwdefaults__", {**(StelClient.page.__kwdefaults__ or {}), "limit": world.size.source_page})
        stack.enter_context(mock.patch.dict(os.environ, world.environ))
        stack.enter_context(world.database.in_force())
        stack.enter_context(_connections_die_with_their_process())
        yield


def time_and_chance(put: Any, draw: Random) -> None:
    """Put every clock and every source of chance of product code under a seed; `put` is `setattr` that is taken back."""
    _time(put)
    _chance(put, draw)


def _time(put: Any) -> None:
    def monotonic() -> float:
        return asyncio.get_running_loop().time()

    async def sleep(_clock: object, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    put(SystemClock, "now", lambda _clock: own_time())
    put(SystemClock, "monotonic", lambda _clock: monotonic())
    put(SystemClock, "sleep", sleep)
    put(services.common.grpc_client, "time", SimpleNamespace(monotonic=monotonic))
    put(services.common.grpc_server, "time", SimpleNamespace(monotonic=monotonic))


def _chance(put: Any, draw: Random) -> None:
    import secrets  # noqa: PLC0415

    delay_seconds = Backoff.delay_seconds

    put(uuid, "uuid4", lambda: uuid.UUID(int=draw.getrandbits(128), version=4))
    put(secrets, "token_bytes", lambda count=32: draw.randbytes(count))
    put(Backoff, "delay_seconds", lambda backoff, attempt: delay_seconds(dataclasses.replace(backoff, rng=draw), attempt))


@lru_cache(maxsize=512)
def _remembered_mapping(text: str) -> Mapping:
    return load_mapping(text)


@lru_cache(maxsize=512)
def _remembered_plan(mapping_id: int) -> MappingPlan:
    return MappingPlan(_MAPPINGS[mapping_id])


_MAPPINGS: Final[dict[int, Mapping]] = {}
"""Mappings whose plans are remembered; kept, so that their ids stay theirs."""


def _plan(mapping: Mapping, manifest: Manifest | None = None) -> MappingPlan:
    if manifest is not None:
        return MappingPlan(mapping, manifest)
    _MAPPINGS[id(mapping)] = mapping
    return _remembered_plan(id(mapping))


def _memory(put: Any) -> None:
    """Remember what is worked out of a mapping's text from one simulation to the next: pure functions, and half of the processor time."""
    for name, module in list(sys.modules.items()):
        if name.startswith("services.transformer."):
            if getattr(module, "load_mapping", None) is load_mapping:
                put(module, "load_mapping", _remembered_mapping)
            if getattr(module, "MappingPlan", None) is MappingPlan:
                put(module, "MappingPlan", _plan)


def _pipedrive_client(world: World) -> Any:
    @asynccontextmanager
    async def http_client(*, connections_max: int, timeout_seconds: float) -> AsyncIterator[PipedriveHttp]:
        del connections_max
        yield PipedriveHttp(world.pipedrive, world.network, world.target_breakage, timeout_seconds=timeout_seconds)

    return http_client


async def _leave_the_schema(database: Any) -> None:
    """The file is a copy of one that Alembic has brought up to date; doing so again takes as long as half a migration."""
    del database


_DIALECTS: Final[list[Dialect]] = []
_COMPILED: Final[dict[Any, Any]] = {}
"""Compiled statements of all engines there ever were: a ledger that is started anew compiles nothing again."""


def _engine_that_remembers(*args: Any, **kwargs: Any) -> Engine:
    engine = create_engine(*args, **kwargs)
    if not _DIALECTS:
        engine.connect().close()
        engine.dispose()
        _DIALECTS.append(engine.dialect)
    engine.dialect = engine.pool._dialect = _DIALECTS[0]
    engine._compiled_cache = _COMPILED
    return engine


@contextmanager
def _connections_die_with_their_process() -> Iterator[None]:
    """Close a process's database handles at its death, which rolls back what it had not committed."""

    def connected(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA busy_timeout=0")  # nobody else can let go of a lock while we wait in the only thread
        owner = OWNER.get()
        if owner is not None:
            owner.on_death.append(connection.close)

    event.listen(Pool, "connect", connected)
    try:
        yield
    finally:
        event.remove(Pool, "connect", connected)
