"""Several addresses of one service as one channel: calls go where the last one was answered, and on to the next address when that is away.

For a service of which one replica is at work and others stand by. Every call of our contracts may be repeated, so asking the next address is safe.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
from grpc import aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

PAUSES_SECONDS: Final = (0.1, 0.2, 0.4, 0.8)
"""Between two rounds through all addresses."""
ATTEMPT_SECONDS: Final = 5.0
"""How long one address may take over a call while there are others: a process that was stopped holds its connections and answers nothing."""
_AWAY: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


def addresses_of(address: str) -> tuple[str, ...]:
    """Answers the addresses of a list with commas."""
    return tuple(part.strip() for part in address.split(",") if part.strip()) or (address,)


class SeveralChannels:
    """Stands for a channel, as far as stubs and generated code use one."""

    def __init__(self, channels: Sequence[Callable[[], aio.Channel]]) -> None:
        """Takes, for each address, what answers its channel in force."""
        self._channels = tuple(channels)
        self._current = 0

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Answers a call that is repeated at the other addresses while one is away."""

        async def invoke(request: Any, *, timeout: float | None = None, **options: Any) -> Any:  # noqa: ASYNC109 - gRPC's own name
            end = None if timeout is None else time.monotonic() + timeout
            for pause in (*PAUSES_SECONDS, None):
                for place in range(len(self._channels)):
                    index, channel = self._current, self._channels[self._current]()
                    left = None if end is None else end - time.monotonic()
                    bound = left if left is None or place == len(self._channels) - 1 else min(left, max(ATTEMPT_SECONDS, left / 2))
                    try:
                        return await channel.unary_unary(method, *args, **kwargs)(request, timeout=bound, **options)
                    except aio.AioRpcError as error:
                        failure = error
                    if failure.code() not in _AWAY:
                        raise failure
                    self._move_on(index)
                    if end is not None and time.monotonic() >= end:
                        raise failure
                if pause is None or (end is not None and time.monotonic() + pause >= end):
                    raise failure
                await asyncio.sleep(pause)
            raise AssertionError  # the last turn of the loop returns or raises

        return invoke

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Answers a stream from the first address that has one to give; once something came, a stream that breaks is the caller's to open again."""

        def invoke(request: Any, **options: Any) -> _Stream:
            def begin() -> tuple[Any, Callable[[], None]]:
                index = self._current
                stream = self._channels[index]().unary_stream(method, *args, **kwargs)(request, **options)
                return stream, lambda: self._move_on(index)

            return _Stream(begin, len(self._channels))

        return invoke

    def as_channel(self) -> aio.Channel:
        """Answers itself as what generated code wants."""
        return cast("aio.Channel", self)

    def _move_on(self, index: int) -> None:
        """Goes on to the next address, unless another call has done so already."""
        if self._current == index:
            self._current = (index + 1) % len(self._channels)


class _Stream:
    """A stream that is begun at the next address while nothing has come and the one before is away."""

    def __init__(self, begin: Callable[[], tuple[Any, Callable[[], None]]], address_count: int) -> None:
        """Begins at the address in use.

        Args:
            begin: begins a stream there; answers it, and what tells that this address is away.
            address_count: how many there are to try.
        """
        self._begin = begin
        self._left_count = address_count
        self._stream, self._leave = begin()

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            has_begun = False
            try:
                async for response in self._stream:
                    has_begun = True
                    yield response
            except aio.AioRpcError as error:
                if error.code() in _AWAY:
                    self._leave()
                self._left_count -= 1
                if has_begun or error.code() is not grpc.StatusCode.UNAVAILABLE or self._left_count <= 0:
                    raise
            else:
                return
            self._stream, self._leave = self._begin()

    def cancel(self) -> bool:
        """Ends the stream."""
        return bool(self._stream.cancel())
