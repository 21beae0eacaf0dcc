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

    @property
    def started(self) -> datetime:
        """Answers the time it showed at first."""
        return self._now

    def monotonic(self) -> float:
        """Answers seconds since an arbitrary moment."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits; zero and less only give way to other tasks."""
        await self._clock.sleep(seconds)

    def end_of(self, moment: datetime, length: timedelta) -> datetime:
        """Answers when something is over that was to last until `moment`; see `lasting_until`."""
        return lasting_until(moment, length=length, now=self.now(), started=self._now)


def lasting_until(moment: datetime, *, length: timedelta, now: datetime, started: datetime) -> datetime:
    """Answers when something is over that was written down to last until `moment`, and that never lasts longer than `length`.

    What a process before this one wrote down it took from a clock that may have been set since: such a thing lasts its whole length from the start of
    ours, longer than it had to, never shorter.

    Args:
        moment: what was written down.
        length: how long such a thing lasts at most.
        now: what our steady clock shows.
        started: what it showed at first.
    """
    whole = started + length
    return moment if whole <= moment <= now + length else whole
