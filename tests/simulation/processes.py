"""Processes that live in one loop: whatever runs belongs to one incarnation of a process, and nothing of a killed one runs again."""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


@dataclass(slots=True, eq=False)
class Incarnation:
    """A process from its start to its end.

    Attributes:
        name: of the process, the same after a restart.
        number: 1 for the first start.
        paused_until: virtual time before which nothing of it runs.
        clock_offset_seconds: how far its wall clock is from the true time.
        on_death: what the world around does when it dies: connections break, database handles close.
    """

    name: str
    number: int
    is_alive: bool = True
    paused_until: float = 0.0
    clock_offset_seconds: float = 0.0
    on_death: list[Callable[[], None]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.name}#{self.number}"


OWNER: Final[ContextVar[Incarnation | None]] = ContextVar("simulated_process", default=None)
"""The incarnation that runs now; None is the world itself: network, servers of others, the one who judges."""

_IS_OURS: Final[ContextVar[bool]] = ContextVar("simulated_world", default=False)
"""Marks contexts made here; product code may start tasks in empty ones, which still belong to its process."""
_WORLD: Final = contextvars.Context()
_WORLD.run(_IS_OURS.set, True)  # noqa: FBT003 - the only argument of `set`


def world_context() -> contextvars.Context:
    """Answer a context that belongs to no process."""
    return _WORLD.copy()


def claim(context: contextvars.Context | None) -> None:
    """Give an empty context that product code made to the process that runs now."""
    if context is not None and not context.get(_IS_OURS):
        context.run(OWNER.set, OWNER.get())
        context.run(_IS_OURS.set, True)  # noqa: FBT003


def in_world(callback: Callable[..., Any], *args: Any) -> None:
    """Let the world do something in a turn of its own."""
    asyncio.get_running_loop().call_soon(callback, *args, context=world_context())


def in_world_later(seconds: float, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
    """Let the world do something in a while, whatever becomes of the process that asks for it."""
    return asyncio.get_running_loop().call_later(seconds, callback, *args, context=world_context())


def context_of(incarnation: Incarnation) -> contextvars.Context:
    """Answer a context of an incarnation."""
    context = world_context()
    context.run(OWNER.set, incarnation)
    return context


@dataclass(slots=True, eq=False)
class Process:
    """Something that can be started, killed and started again.

    Attributes:
        name: of the process.
        main: what it runs; it ends when the event is set.
    """

    name: str
    main: Callable[[asyncio.Event], Coroutine[Any, Any, None]]
    clock_offset_seconds: float = 0.0
    incarnation: Incarnation | None = None
    starts: int = 0
    _task: asyncio.Task[None] | None = None
    _stop: asyncio.Event | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has been started and neither ended nor killed."""
        return self.incarnation is not None and self.incarnation.is_alive

    def start(self) -> Incarnation:
        """Start it."""
        self.starts += 1
        incarnation = Incarnation(self.name, self.starts, clock_offset_seconds=self.clock_offset_seconds)
        self.incarnation = incarnation
        self._stop = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self.main(self._stop), name=str(incarnation), context=context_of(incarnation))
        return incarnation

    def kill(self) -> None:
        """End it as a power cut would: nothing of it runs again, not even its clean-up."""
        incarnation = self.incarnation
        if incarnation is None or not incarnation.is_alive:
            return
        incarnation.is_alive = False
        for callback in incarnation.on_death:
            callback()
        incarnation.on_death.clear()

    def abandon(self) -> None:
        """Give it up when the simulation is over and no loop runs: only what it holds of the machine is given back."""
        if self.incarnation is not None:
            self.incarnation.is_alive = False
            for callback in self.incarnation.on_death:
                with suppress(RuntimeError):
                    callback()

    def pause(self, until: float) -> None:
        """Let nothing of it run before a time."""
        if self.incarnation is not None:
            self.incarnation.paused_until = max(self.incarnation.paused_until, until)

    async def stop(self) -> None:
        """Ask it to end and wait until it has."""
        if self.is_running and self._stop is not None and self._task is not None:
            self._stop.set()
            await asyncio.wait([self._task])
            self.kill()

    def end(self) -> BaseException | str | None:
        """Say how it ended by itself; None while it runs."""
        if self._task is None or not self._task.done():
            return None
        if self._task.cancelled():
            return "cancelled"
        return self._task.exception() or "returned"
