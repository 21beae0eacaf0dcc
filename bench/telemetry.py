"""What telemetry costs: the same load with and without export, in turns within one run.

Where the processor binds (a stand-in without limits) processor seconds are compared, of the four services, from the start of the load to its end; the
collector is a process of its own that is not counted: it would stand elsewhere. Processor seconds and not the clock, because other programs on the
machine change the clock by more than what is measured here. Where Pipedrive's window binds, as in a real load, records a second are compared. The
turns alternate so that a machine that slows down does not favour either.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from bench.installation import MIGRATION_ID, installation
from transload.embedded import ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

CLIENT_COUNT = 150
TURNS = ("off", "scrape", "sampled", "push", "push", "sampled", "scrape", "off")
WINDOW_CLIENT_COUNT = 40
WINDOW_TURNS = ("off", "push", "push", "off")
WINDOW = ("--limits", "on", "--plan", "premium", "--seats", "100")
"""100 calls in 2 seconds, and more tokens than the load needs."""
SETTINGS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "TRANSLOAD_METRICS_LISTEN")
COLLECTOR = """
import asyncio, sys
from tests.fakes.collector import collector
async def main():
    async with collector() as kept:
        print(kept.endpoint, flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the records of a load cost, each on average."""

    processor_seconds: float
    """Of the four services."""
    seconds: float
    """By the clock."""


async def run() -> dict[str, float]:
    """Measures."""
    costs: dict[str, list[float]] = defaultdict(list)
    window: dict[str, list[float]] = defaultdict(list)
    async with _collector() as endpoint:
        for number, turn in enumerate(TURNS):
            cost = await _load(_environ(turn, endpoint, number), client_count=CLIENT_COUNT)
            costs[turn].append(cost.processor_seconds)
        for number, turn in enumerate(WINDOW_TURNS):
            cost = await _load(_environ(turn, endpoint, number), client_count=WINDOW_CLIENT_COUNT, target_arguments=WINDOW)
            window[turn].append(cost.seconds)
    off = statistics.mean(costs["off"])
    return {
        "processor seconds of a record: off, ms": off * 1000,
        "spread of the two turns without export": abs(costs["off"][0] - costs["off"][1]) / off,
        "metrics to scrape / off (goal 1.05)": statistics.mean(costs["scrape"]) / off,
        "a tenth of the traces, and metrics, pushed / off (goal 1.05)": statistics.mean(costs["sampled"]) / off,
        "traces and metrics pushed / off (goal 1.05)": statistics.mean(costs["push"]) / off,
        "records a second where a window of 100 binds: off": 1 / statistics.mean(window["off"]),
        "the same, traces and metrics pushed / off (goal 0.95)": statistics.mean(window["off"]) / statistics.mean(window["push"]),
    }


def _environ(turn: str, endpoint: str, number: int) -> dict[str, str]:
    push = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "no_proxy": "127.0.0.1"}
    return {
        "off": {},
        "push": push,
        "sampled": {**push, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
        "scrape": {"TRANSLOAD_METRICS_LISTEN": f"127.0.0.1:{_base_port(number)}"},
    }[turn]


async def _load(environ: dict[str, str], *, client_count: int, target_arguments: tuple[str, ...] = ()) -> Cost:
    before = {name: os.environ.pop(name, None) for name in SETTINGS}
    os.environ.update(environ)
    try:
        async with installation(client_count=client_count, target_arguments=target_arguments) as bench:
            await bench.prepare()
            known = await bench.client.get_summary(MIGRATION_ID)
            began, start = _processor_seconds(bench.stack.pid(name) for name in bench.stack.names), time.monotonic()
            await bench.step(bench.client.start_load)
            took = _processor_seconds(bench.stack.pid(name) for name in bench.stack.names) - began
            seconds = time.monotonic() - start
            summary = await bench.client.get_summary(MIGRATION_ID)
            count = sum(target.loaded_count for target in summary.targets) - sum(target.loaded_count for target in known.targets)
            return Cost(took / count, seconds / count)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _processor_seconds(pids: Iterable[int | None]) -> float:
    used = [psutil.Process(pid).cpu_times() for pid in pids if pid is not None]
    return float(sum(one.user + one.system for one in used))


def _base_port(number: int) -> int:
    """Answers the first of four free ports in a row."""
    first = 21_000 + 16 * number
    while not all(ports.is_free(first + more) for more in range(4)):
        first += 4
    return first


@asynccontextmanager
async def _collector() -> AsyncIterator[str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", COLLECTOR, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()
