"""What telemetry costs: processor seconds of the same load with and without export, in turns within one run.

Counted are the four services, from the start of the load to its end, and the collector is a process of its own that is not counted: it would stand
elsewhere. Processor seconds and not the clock, because other programs on the machine change the clock by more than what is measured here. The turns
alternate (off, on, on, off) so that a machine that slows down does not favour either.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psutil

from bench.installation import MIGRATION_ID, installation
from transload.embedded import ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

CLIENT_COUNT = 150
TURNS = ("off", "scrape", "push", "push", "scrape", "off")
SETTINGS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "TRANSLOAD_METRICS_LISTEN")
COLLECTOR = """
import asyncio, sys
from tests.fakes.collector import collector
async def main():
    async with collector() as kept:
        print(kept.endpoint, flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


async def run() -> dict[str, float]:
    """Measures."""
    seconds: dict[str, list[float]] = {}
    async with _collector() as endpoint:
        for number, turn in enumerate(TURNS):
            environ = {
                "off": {},
                "push": {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "no_proxy": "127.0.0.1"},
                "scrape": {"TRANSLOAD_METRICS_LISTEN": f"127.0.0.1:{_base_port(number)}"},
            }[turn]
            seconds.setdefault(turn, []).append(await _load(environ))
    off = statistics.mean(seconds["off"])
    return {
        "processor seconds of a record: off, ms": off * 1000,
        "spread of the two turns without export": abs(seconds["off"][0] - seconds["off"][1]) / off,
        "metrics to scrape / off (goal 1.05)": statistics.mean(seconds["scrape"]) / off,
        "traces and metrics pushed / off (goal 1.05)": statistics.mean(seconds["push"]) / off,
    }


async def _load(environ: dict[str, str]) -> float:
    """Answers the processor seconds the services took for each record of a load."""
    before = {name: os.environ.pop(name, None) for name in SETTINGS}
    os.environ.update(environ)
    try:
        async with installation(client_count=CLIENT_COUNT) as bench:
            await bench.prepare()
            known = await bench.client.get_summary(MIGRATION_ID)
            began = _processor_seconds(bench.stack.pid(name) for name in bench.stack.names)
            await bench.step(bench.client.start_load)
            took = _processor_seconds(bench.stack.pid(name) for name in bench.stack.names) - began
            summary = await bench.client.get_summary(MIGRATION_ID)
            count = sum(target.loaded_count for target in summary.targets) - sum(target.loaded_count for target in known.targets)
            return took / count
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _processor_seconds(pids: Iterable[int | None]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids if pid is not None]
    return float(sum(time.user + time.system for time in times))


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
