"""Time as a dependency: code that waits or stamps takes a `Clock`, so that tests need no sleeps."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """Answers the wall clock as an aware UTC time."""
        ...

    def monotonic(self) -> float:
        """Answers seconds that never run backwards; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits; zero and less only give way to other tasks."""
        ...


class SystemClock:
    """The real time."""

    def now(self) -> datetime:
        """Answers the wall clock as an aware UTC time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Answers seconds since an arbitrary moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits; zero and less only give way to other tasks."""
        await asyncio.sleep(max(0.0, seconds))


class SteadyClock:
    """The time a clock showed at first, carried on by its monotonic side: it drifts with the machine, but never jumps.

    For how long something may last, such as a claim. For what people read, and for moments others name, take the wall clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now = clock.now()
        self._monotonic = clock.monotonic()

    def now(self) -> datetime:
        """Answers the time as an aware UTC time."""
        return self._now + timedelta(seconds=self._clock.monotonic() - self._monotonic)

    def monotonic(self) -> float:
        """Answers seconds since an arbitrary moment."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits; zero and less only give way to other tasks."""
        await self._clock.sleep(seconds)
