"""A way to PostgreSQL that breaks when a test wants it to: before a message gets there, or after it did and before the answer comes back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

COMMIT = b"COMMIT"
"""Stands in what asyncpg sends to commit."""


class Cut(Enum):
    """When a connection breaks."""

    BEFORE = auto()
    """The server never sees the message."""
    AFTER = auto()
    """The server has done what it says, and its answer is lost."""


class CuttingProxy:
    """Passes connections on.

    Attributes:
        url: where to connect, with the database's name.
        decide: asked for every piece a client sends whether its connection breaks there.
        cut_count: how many broke.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 0
        self._parts = parts
        self.url = ""
        self.decide: Callable[[bytes], Cut | None] = lambda _: None
        self.cut_count = 0

    def cut_once(self, mark: bytes, cut: Cut) -> None:
        """Break the next connection that sends `mark`, and then no more."""

        def decide(data: bytes) -> Cut | None:
            if mark not in data:
                return None
            self.decide = lambda _: None
            return cut

        self.decide = decide

    async def start(self) -> asyncio.Server:
        """Begin to listen."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = urlunsplit(self._parts._replace(netloc=f"postgres@127.0.0.1:{port}"))
        return server

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.close()
            return
        is_deaf = asyncio.Event()

        async def send() -> None:
            while data := await reader.read(65536):
                cut = self.decide(data)
                if cut is not None:
                    self.cut_count += 1
                if cut is Cut.BEFORE:
                    return
                if cut is Cut.AFTER:
                    is_deaf.set()
                upstream_writer.write(data)

        async def answer() -> None:
            while data := await upstream_reader.read(65536):
                if is_deaf.is_set():
                    return
                writer.write(data)

        pumps = [asyncio.create_task(send()), asyncio.create_task(answer())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in (writer, upstream_writer):
                end.transport.abort()
                with suppress(OSError):
                    await end.wait_closed()


@asynccontextmanager
async def cutting_proxy(url: str) -> AsyncIterator[CuttingProxy]:
    """Stand between clients and the server of a `postgresql://` URL."""
    proxy = CuttingProxy(url)
    server = await proxy.start()
    try:
        yield proxy
    finally:
        server.close()
