"""Doors between processes of this machine: a TCP connection passes while its door is open, and breaks when it is shut."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")
CHUNK_BYTES = 65536
CLOSE_SECONDS_MAX = 10


class Door:
    """Listens on a port and passes what comes on to another port, both ways."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.is_open = True
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def hang(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Break what passes and let nothing through."""
        self.is_open = False
        for writer in self._writers:
            writer.transport.abort()

    async def remove(self) -> None:
        """Stop listening."""
        await self.shut()
        if self._server is not None:
            self._server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.is_open:
                there_reader, there = await asyncio.open_connection("127.0.0.1", self._target_port)
                self._writers.add(there)
                await asyncio.gather(self._carry(reader, there), self._carry(there_reader, writer))
        except OSError:
            pass  # nobody listens there now
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while content := await source.read(CHUNK_BYTES):
                sink.write(content)
                await sink.drain()
        sink.transport.abort()
        self._writers.discard(sink)


class Doorkeeper:
    """Keeps doors in a thread of its own, so that they work whatever the test does meanwhile. Use `with`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._doors: list[Door] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for door in self._doors:
            self._run(door.remove())
        self._run(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS_MAX)
        self._loop.close()

    def door(self, target_port: int) -> Door:
        """Hang a door in front of a port."""
        door = Door(target_port)
        self._run(door.hang())
        self._doors.append(door)
        return door

    def shut(self, door: Door) -> None:
        """Let nothing through from now on."""
        self._run(door.shut())

    def open(self, door: Door) -> None:
        """Let connections through again; whoever wants one opens another."""
        door.is_open = True

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(doing, self._loop)
        return future.result(CLOSE_SECONDS_MAX)
