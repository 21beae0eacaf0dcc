"""Two ways to the simulated systems: the real HTTP clients over sockets, and the stand-ins of the simulation on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from random import Random
from typing import TYPE_CHECKING, Protocol

import httpx
import uvicorn

from sandbox.common.asgi import application
from sandbox.common.serve import SandboxProtocol, base_url, bind
from services.extractor.http import GetOnlyTransport, source_client
from services.loader.pipedrive.http import http_client
from tests.simulation.http import Breakage, PipedriveHttp, SourceTransport
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.processes import Incarnation, context_of
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from sandbox.common.asgi import Receive, Scope, Send
    from sandbox.pipedrive.gateway.app import PipedriveApp
    from sandbox.stel_order.control import Control
    from services.loader.pipedrive.http import Http

    Target = Callable[[Http, str], Coroutine[Any, Any, None]]
    Source = Callable[[httpx.AsyncClient, str], Coroutine[Any, Any, None]]

TIMEOUT_SECONDS = 0.6
"""Longest silence the clients of these tests bear."""


class Site(Protocol):
    """Where a contract is tried out."""

    def target(self, app: PipedriveApp, scenario: Target, *, breakage: str = "") -> None:
        """Run a scenario with a client of Pipedrive; `breakage` is what befalls every request on its way: `not_sent` or `cut_upload`."""
        ...

    def source(self, control: Control, scenario: Source) -> None:
        """Run a scenario with a client of the source."""
        ...


class RealSite:
    """aiohttp and httpx, over the loopback interface, to a real server."""

    def target(self, app: PipedriveApp, scenario: Target, *, breakage: str = "") -> None:
        """Run a scenario in real time."""

        async def run() -> None:
            servers: dict[str, Callable[[], AbstractAsyncContextManager[str]]] = {
                "": lambda: _served(application(app.handle)),
                "not_sent": _nobody,
                "cut_upload": _hangs_up,
            }
            async with servers[breakage]() as url, http_client(connections_max=4, timeout_seconds=TIMEOUT_SECONDS) as http:
                await scenario(http, url)

        asyncio.run(run())

    def source(self, control: Control, scenario: Source) -> None:
        """Run a scenario in real time."""

        async def run() -> None:
            async with _served(control) as url, source_client({"APIKEY": "k"}, timeout_seconds=TIMEOUT_SECONDS) as client:
                await scenario(client, url)

        asyncio.run(run())


class SimulatedSite:
    """The stand-ins."""

    def target(self, app: PipedriveApp, scenario: Target, *, breakage: str = "") -> None:
        """Run a scenario in virtual time."""
        broken = Breakage("way", **({breakage: 1.0} if breakage else {}))

        async def run(network: Network) -> None:
            await scenario(PipedriveHttp(app, network, broken, timeout_seconds=TIMEOUT_SECONDS), "http://target.test")

        _simulate(run)

    def source(self, control: Control, scenario: Source) -> None:
        """Run a scenario in virtual time."""

        async def run(network: Network) -> None:
            transport = GetOnlyTransport(SourceTransport(control, network, Breakage("way")))
            async with httpx.AsyncClient(transport=transport, headers={"APIKEY": "k"}, timeout=httpx.Timeout(TIMEOUT_SECONDS)) as client:
                await scenario(client, "http://source.test")

        _simulate(run)


def _simulate(run: Callable[[Network], Coroutine[Any, Any, None]]) -> None:
    loop = SimulatedLoop(Random(1))
    network = Network(Random(2), Trace(loop.time))
    try:
        loop.run_until_complete(loop.create_task(run(network), context=context_of(Incarnation("client", 1))))
    finally:
        loop.drop_all()
        loop.close()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the test's signals alone."""
        yield


@asynccontextmanager
async def _served(app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve an application in this very loop, with the protocol the simulators are served with."""
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, http=SandboxProtocol, lifespan="off", access_log=False, log_level="error", timeout_graceful_shutdown=1)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield base_url(listener)
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def _nobody() -> AsyncIterator[str]:
    """An address at which nobody listens."""
    listener = bind("127.0.0.1", 0)
    url = base_url(listener)
    listener.close()
    yield url


@asynccontextmanager
async def _hangs_up() -> AsyncIterator[str]:
    """A server that breaks the connection off when the body begins."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    opened = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with opened:
        yield f"http://127.0.0.1:{opened.sockets[0].getsockname()[1]}"
