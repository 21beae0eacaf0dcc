"""An event loop on virtual time whose every choice comes from one seeded source: no selectors, no threads, no waiting.

What is ready runs in drawn order, not in the order it became ready; time stands still while anything is ready and then jumps to the next timer.
Work that product code hands to a thread runs in the loop itself, at a drawn moment. Whatever belongs to a process that was killed never runs again.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.database import DeadError
from tests.simulation.processes import OWNER, claim, world_context

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context
    from random import Random


STEPS_MAX: Final = 2_000_000
"""Callbacks after which a simulation counts as endless; a usual one takes 30,000."""


class StuckError(Exception):
    """Nothing is ready and no timer runs: everybody waits for somebody else."""


class EndlessError(Exception):
    """It goes on and on."""


class RealInputOutputError(Exception):
    """Something asked for a socket, a process or a signal."""


class SimulatedFuture(asyncio.Future[Any]):
    """A future whose hash does not depend on its address, so that sets of futures have the same order in every process."""

    _numbers = itertools.count()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._number = next(self._numbers)

    def __hash__(self) -> int:
        return self._number

    __eq__ = object.__eq__


class SimulatedTask(asyncio.Task[Any]):
    """A task whose hash does not depend on its address; gone with its process without a word."""

    _numbers = itertools.count()

    def __init__(self, coroutine: Coroutine[Any, Any, Any], **kwargs: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(coroutine, **kwargs)
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._number

    __eq__ = object.__eq__


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs one simulation.

    Attributes:
        steps: callbacks run so far.
        steps_max: of them, before a simulation counts as endless.
        on_step: what the world does once so many callbacks have run; taken away when it is done.
    """

    def __init__(self, draw: Random) -> None:
        super().__init__()
        SimulatedTask._numbers = itertools.count()
        SimulatedFuture._numbers = itertools.count()
        self._draw = draw
        self._now = 0.0
        self._runnable: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.Handle]] = []
        self._timer_numbers = itertools.count()
        self.steps = 0
        self.steps_max = STEPS_MAX
        self.on_step: tuple[int, Callable[[], None]] | None = None
        self.tasks: list[SimulatedTask] = []
        self.problems: list[dict[str, Any]] = []
        self.set_task_factory(self._new_task)  # type: ignore[arg-type]  # the stubs know no context
        self.set_exception_handler(lambda _loop, context: self.problems.append(context))

    def leap(self, seconds: float) -> None:
        """Let time pass in which nobody does anything; what was due meanwhile is overdue."""
        self._now += seconds

    def time(self) -> float:
        """Virtual seconds since the simulation began."""
        return self._now

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future."""
        return SimulatedFuture(loop=self)

    def _new_task(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **kwargs: Any) -> SimulatedTask:
        claim(kwargs.get("context"))
        task = SimulatedTask(coroutine, loop=loop, **kwargs)
        self.tasks.append(task)
        return task

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        """Make a callback ready."""
        handle = asyncio.Handle(callback, args, self, context)
        self._runnable.append(handle)
        return handle

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        """Make a callback ready; there is only one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.TimerHandle:  # type: ignore[override]
        """Make a callback ready in `delay` seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.TimerHandle:  # type: ignore[override]
        """Make a callback ready at a time."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._timer_numbers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it; it is passed over when its time comes."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run thread work in the loop, in a turn of its own."""
        del executor
        future = self.create_future()
        self.call_soon(_run_inline, future, func, args)
        return future

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """Nobody sends signals here."""

    def remove_signal_handler(self, sig: int) -> bool:
        """Nobody sends signals here."""
        del sig
        return True

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Drop it, as a process that ends does."""

    def _process_events(self, event_list: Any) -> None:
        raise RealInputOutputError

    def _write_to_self(self) -> None:
        """There is no selector to wake."""

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise RealInputOutputError("create_connection")

    async def create_server(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise RealInputOutputError("create_server")

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise RealInputOutputError("getaddrinfo")

    def drop_all(self) -> None:
        """Forget what is ready and what waits."""
        self._runnable.clear()
        self._timers.clear()

    def _run_once(self) -> None:
        runnable, timers = self._runnable, self._timers
        if not runnable:
            while timers and timers[0][2]._cancelled:
                heapq.heappop(timers)
            if not timers:
                raise StuckError
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            runnable.append(heapq.heappop(timers)[2])
        position = int(self._draw.random() * len(runnable)) if len(runnable) > 1 else 0
        handle = runnable[position]
        last = runnable.pop()
        if position < len(runnable):
            runnable[position] = last
        if handle._cancelled:
            return
        owner = handle._context.get(OWNER)  # type: ignore[attr-defined]
        if owner is not None:
            if not owner.is_alive:
                return
            if owner.paused_until > self._now:
                heapq.heappush(timers, (owner.paused_until, next(self._timer_numbers), handle))
                return
        self.steps += 1
        if self.steps > self.steps_max:
            raise EndlessError(f"no end after {self.steps_max} callbacks")
        if self.on_step is not None and self.steps >= self.on_step[0]:
            self.call_soon(self.on_step[1], context=world_context())
            self.on_step = None
        handle._run()


def _run_inline(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if future.cancelled():
        return
    try:
        answer = func(*args)
    except DeadError:
        return  # the process is no more; nobody waits
    except Exception as error:  # noqa: BLE001 - handed to whoever waits, as a thread pool does
        if not future.cancelled():
            future.set_exception(error)
    else:
        if not future.cancelled():
            future.set_result(answer)
