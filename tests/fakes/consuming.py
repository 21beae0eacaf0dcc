"""A consumer's handler under the test's hand, and bounded waiting for what another process does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from services.common.backoff import Backoff
from services.common.consumer import Consumer, ConsumerPolicy
from services.common.jetstream import Bus
from services.common.streams import TRANSFORMER, ConsumerSpec

POLL_SECONDS = 0.01
WAIT_SECONDS_MAX = 8.0
QUICK = ConsumerPolicy(transient=Backoff(0.05, 0.2), held=Backoff(0.05, 0.2), bug_deliveries_max=4, refused_deliveries_max=3)


async def until(condition: Callable[[], bool], *, seconds_max: float = WAIT_SECONDS_MAX) -> None:
    """Waits on real processes until `condition` holds."""
    async with asyncio.timeout(seconds_max):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def consuming(consumer: Consumer) -> AsyncIterator[None]:
    """Runs a consumer while the block runs, then drains it."""
    running = asyncio.create_task(consumer.run())
    try:
        yield
    finally:
        consumer.stop()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            await running


class Recorder:
    """A handler that keeps what it was given and fails as told: `failures` once each, in turn; `endless` at every delivery."""

    def __init__(self) -> None:
        self.handled: list[bytes] = []
        self.tried: list[bytes] = []
        self.buried: list[bytes] = []
        self.failures: dict[bytes, list[Exception]] = {}
        self.endless: dict[bytes, Exception] = {}
        self.work: Callable[[bytes], Awaitable[None]] | None = None

    async def handle(self, payload: bytes) -> None:
        self.tried.append(payload)
        if self.work is not None:
            await self.work(payload)
        if payload in self.endless:
            raise self.endless[payload]
        if self.failures.get(payload):
            raise self.failures[payload].pop(0)
        self.handled.append(payload)

    async def bury(self, payload: bytes, error: Exception) -> None:
        del error
        self.buried.append(payload)

    def consumer(self, bus: Bus, spec: ConsumerSpec = TRANSFORMER, *, concurrency: int = 3, buries: bool = True) -> Consumer:
        return Consumer(bus, spec, self.handle, concurrency=concurrency, on_buried=self.bury if buries else None, policy=QUICK)
