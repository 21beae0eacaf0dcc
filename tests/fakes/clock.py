"""Time that passes when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta


class FakeClock:
    """A `Clock` under the test's hand.

    With `is_automatic` a sleep moves the time on and returns at once; without, it ends when `advance` reaches its end.
    `slept_seconds` lists every sleep asked for.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), *, is_automatic: bool = False) -> None:
        self.slept_seconds: list[float] = []
        self._start = start
        self._elapsed_seconds = 0.0
        self._is_automatic = is_automatic
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """Answers the wall clock."""
        return self._start + timedelta(seconds=self._elapsed_seconds)

    def monotonic(self) -> float:
        """Answers the seconds since the start."""
        return self._elapsed_seconds

    async def sleep(self, seconds: float) -> None:
        """Waits as the mode says."""
        self.slept_seconds.append(seconds)
        if seconds <= 0 or self._is_automatic:
            self._elapsed_seconds += max(0.0, seconds)
            await asyncio.sleep(0)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_seconds + seconds, next(self._order), done))
        await done

    def advance(self, seconds: float) -> None:
        """Moves the time on and wakes whoever slept until then, earliest first. They run at the test's next `await`."""
        self._elapsed_seconds += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed_seconds:
            _, _, done = heapq.heappop(self._sleepers)
            if not done.done():
                done.set_result(None)

    def jump(self, seconds: float) -> None:
        """Moves the wall clock alone, as when somebody sets it."""
        self._start += timedelta(seconds=seconds)

    @property
    def sleeper_count(self) -> int:
        """How many wait now."""
        return sum(1 for _, _, done in self._sleepers if not done.done())
