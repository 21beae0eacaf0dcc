"""Time as a dependency: code that waits or stamps takes a `Clock`, so that tests need no sleeps."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
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
