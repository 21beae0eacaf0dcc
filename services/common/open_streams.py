"""The streams a server answers now: so many and no more, and who does not read makes room for who does.

A stream holds at most one message that its client has not taken (gRPC's flow control keeps us from writing the next), so what a server keeps for
slow clients is bounded by the number of streams.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from services.common import telemetry
from services.common.errors import UnavailableError

_LOG = telemetry.get_logger(__name__)

STREAMS_MAX: Final = 1_000
STALLED_SECONDS: Final = 60.0
"""A client that took nothing of what waits for it for so long may lose its place, not before: a terminal may be stopped for a while."""


@dataclass(slots=True, eq=False)
class OpenStream:
    """One of them.

    Attributes:
        method: path of the RPC.
        task: what answers it.
        offered: monotonic time since when a message waits to be taken; None while we make the next one.
    """

    method: str
    task: asyncio.Task[object] | None
    offered: float | None = field(default=None)


class OpenStreams:
    """All of a server."""

    def __init__(self, streams_max: int = STREAMS_MAX, stalled_seconds: float = STALLED_SECONDS) -> None:
        self._streams_max = streams_max
        self._stalled_seconds = stalled_seconds
        self._open: set[OpenStream] = set()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, method: str) -> OpenStream:
        """Take a place for the stream the current task answers.

        Raises:
            UnavailableError: there are too many, and all of them are read.
        """
        if len(self._open) >= self._streams_max:
            self._make_room()
        stream = OpenStream(method, asyncio.current_task())
        self._open.add(stream)
        return stream

    def leave(self, stream: OpenStream) -> None:
        """Give the place back."""
        self._open.discard(stream)

    def cancel_all(self) -> None:
        """Cancel what answers them."""
        for stream in self._open:
            if stream.task is not None:
                stream.task.cancel()

    def _make_room(self) -> None:
        """End the stream whose client has read nothing for the longest time."""
        now = time.monotonic()
        offered = [(stream.offered, stream) for stream in self._open if stream.offered is not None and stream.task is not None]
        since, stalled = min(offered, key=lambda one: one[0], default=(now, None))
        if stalled is None or stalled.task is None or now - since < self._stalled_seconds:
            raise UnavailableError(f"{len(self._open)} streams are open here and none of them is stalled; ask again later")
        _LOG.warning("stream.cut", method=stalled.method, stalled_seconds=round(now - since))
        self._open.discard(stalled)
        stalled.task.cancel()
