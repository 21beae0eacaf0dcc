"""Shows a pause for quota while it lasts, with the time on the simulated account's clock, and counts how long it took."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from transload.cli.pacing import AccountClock, duration
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from transload.cli.progress import RunProgress
    from transload.embedded.simulators import Simulator

_LOOK_SECONDS: Final = 1.0
# Without a terminal every line stays, so they come ever more seldom.
_SAY_SECONDS_MIN: Final = 15.0
_SAY_SECONDS_MAX: Final = 600.0


class QuotaPause:
    """Follows one run. Use as an asynchronous context manager and pass `update` what the run says.

    Attributes:
        seconds: how long the run was paused for quota so far, in real seconds.
    """

    def __init__(self, target: Simulator, progress: RunProgress, say: Callable[[str], None]) -> None:
        self.seconds = 0.0
        self._target = target
        self._progress = progress
        self._say = say
        self._began = 0.0
        self._is_paused = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end()
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    def update(self, response: pb.WatchMigrationResponse) -> None:
        """Takes in one message of the stream."""
        if response.migration.pause_kind != pb.PAUSE_KIND_TARGET_QUOTA:
            self._end()
        elif not self._is_paused.is_set():
            self._began = time.monotonic()
            self._is_paused.set()

    def _end(self) -> None:
        if not self._is_paused.is_set():
            return
        self._is_paused.clear()
        took = time.monotonic() - self._began
        self.seconds += took
        self._say(f"  goes on after a pause for quota of {duration(took)}")

    async def _watch(self) -> None:
        while True:
            await self._is_paused.wait()
            day, say_at, pause = "", 0.0, _SAY_SECONDS_MIN
            while self._is_paused.is_set():
                with contextlib.suppress(httpx.HTTPError):  # a simulator that does not answer is told by the run itself
                    clock = account_clock(await self._target.control("GET", "clock"))
                    day = day or f"{clock.now:%Y-%m-%d}"
                    words = _words(clock, is_new_day=f"{clock.now:%Y-%m-%d}" != day)
                    if not self._progress.show_pause(words) and time.monotonic() >= say_at:
                        self._say(f"  {words}")
                        say_at, pause = time.monotonic() + pause, min(pause * 2, _SAY_SECONDS_MAX)
                await asyncio.sleep(_LOOK_SECONDS)


def account_clock(state: dict[str, Any]) -> AccountClock:
    """Reads the simulator's answer to `GET clock`."""
    return AccountClock(datetime.fromisoformat(state["now"]), float(state.get("speed", 1.0)))


def _words(clock: AccountClock, *, is_new_day: bool) -> str:
    if is_new_day:
        return f"paused for quota: a new day began on the sandbox's clock ({clock.now:%H:%M}); the next look at the budget finds it"
    return f"paused for quota, goes on at 00:00. The sandbox's clock: {clock.words()}"
