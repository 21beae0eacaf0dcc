"""One simulation: a seed in, a verdict out."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, TextIO

from tests.simulation.journey import Journey, Plan
from tests.simulation.loop import EndlessError, SimulatedLoop, StuckError
from tests.simulation.processes import world_context
from tests.simulation.stand_ins import stand_ins
from tests.simulation.trace import LogNotes, Trace
from tests.simulation.world import World, prepare, remove, run_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(slots=True)
class Verdict:
    """What became of a seed."""

    seed: int
    problems: list[str]
    digest: str = ""
    virtual_seconds: float = 0.0
    cpu_seconds: float = 0.0
    steps: int = 0
    facts: dict[str, object] = field(default_factory=dict)


def simulate(
    seed: int,
    *,
    plan: Plan | None = None,
    output: TextIO | None = None,
    buries: bool = True,
    journey: Callable[[World, Plan], Journey] = Journey,
) -> Verdict:
    """Run one seed to its end and judge it; `journey` makes what is done. Without `buries` its remains stay in memory until the process ends."""
    prepare()
    with _no_garbage(buries=buries):
        return _simulate(seed, plan, output, journey)


def _simulate(seed: int, plan: Plan | None, output: TextIO | None, journey: Callable[[World, Plan], Journey]) -> Verdict:
    began = time.process_time()
    draw = Random(seed)
    plan = plan or Plan.drawn(draw)
    loop = SimulatedLoop(Random(draw.getrandbits(64)))
    trace = Trace(loop.time, output=output)
    folder = run_folder()
    try:
        with _quiet(trace):
            problems, facts = _run(plan, draw, loop, trace, folder, make=journey)
            _let_go(loop)
    finally:
        remove(folder)
    seconds = round(time.process_time() - began, 3)
    return Verdict(seed, problems, trace.digest(), round(loop.time(), 1), seconds, loop.steps, facts | {"plan": str(plan)})


def _run(
    plan: Plan, draw: Random, loop: SimulatedLoop, trace: Trace, folder: Path, *, make: Callable[[World, Plan], Journey]
) -> tuple[list[str], dict[str, object]]:
    problems: list[str] = []
    world = loop.run_until_complete(_made(draw, loop, trace, plan, folder))
    with stand_ins(world):
        journey = make(world, plan)
        try:
            loop.run_until_complete(loop.create_task(_bounded(journey), context=world_context()))
        except StuckError:
            problems.append("stuck: nobody does anything any more")
        except EndlessError as error:
            problems.append(f"endless: {error}; at {journey.where()}")
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed failed
            problems.append(f"{type(error).__name__}: {error}")
            trace.show(traceback.format_exc())
        for process in world.processes.values():
            process.abandon()
    problems += journey.problems
    problems += [_describe(problem) for problem in loop.problems if not isinstance(problem.get("exception"), asyncio.CancelledError)]
    return problems, journey.facts


async def _made(draw: Random, loop: SimulatedLoop, trace: Trace, plan: Plan, folder: Path) -> World:
    """Make the world while the loop runs: it asks for the time."""
    return World(draw, loop, trace, plan.size, folder)


async def _bounded(journey: Journey) -> None:
    async with asyncio.timeout(journey.seconds_max):
        await journey.run()


def _describe(problem: dict[str, object]) -> str:
    return f"{problem.get('message')}: {problem.get('exception')!r}"


def _let_go(loop: SimulatedLoop) -> None:
    """Drop what the killed processes left standing."""
    loop.set_exception_handler(lambda _loop, _context: None)
    loop.tasks.clear()
    loop.drop_all()
    loop.close()


@contextmanager
def _quiet(trace: Trace) -> Iterator[None]:
    """Lead the logs of product code into the trace."""
    notes = LogNotes(trace)
    loggers = [logging.getLogger(name) for name in ("services", "transload", "asyncio", "sqlalchemy", "opentelemetry")]
    before = [(one.level, one.propagate, list(one.handlers)) for one in loggers]
    for one in loggers:
        one.setLevel(logging.INFO if one.name in {"services", "transload"} else logging.CRITICAL)
        one.propagate = False
        one.handlers[:] = [notes]
    try:
        yield
    finally:
        for one, (level, propagate, handlers) in zip(loggers, before, strict=True):
            one.setLevel(level)
            one.propagate = propagate
            one.handlers[:] = handlers


@contextmanager
def _no_garbage(*, buries: bool) -> Iterator[None]:
    """Keep the collector still: what it finalizes, and when, would depend on memory. Afterwards the dead are buried without a word."""
    was_enabled = gc.isenabled()
    gc.disable()
    if not buries:
        yield
        return
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
    finally:
        logging.disable(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while gc.collect():
                pass  # what refuses to end is looked at again
        logging.disable(logging.NOTSET)
        sys.unraisablehook = hook
        if was_enabled:
            gc.enable()
