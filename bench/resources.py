"""Memory and processor time of each process over a whole migration: what the requests and limits of the Kubernetes manifests are taken from.

Without limits of the simulators, so that the services work as fast as they can: with a plan's limits they use the same memory and less processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from bench.installation import Installation, installation
from transload.embedded.stack import NATS, SERVICES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT_COUNT = 150
SAMPLE_SECONDS = 0.2
PEAK_SECONDS = 5.0
NAMES = (*SERVICES, NATS)


@dataclass(slots=True)
class Use:
    """What one process used.

    Attributes:
        memory_bytes: largest resident set.
        busy_seconds: processor time in all.
        cores_at_peak: processors busy on average over the busiest five seconds.
    """

    memory_bytes: int = 0
    busy_seconds: float = 0.0
    cores_at_peak: float = 0.0


async def run() -> dict[str, float]:
    """Runs a whole migration of an account as large as that of `make run`."""
    async with installation(client_count=CLIENT_COUNT) as bench:
        idle = {name: _process(bench, name).memory_info().rss for name in NAMES}
        async with _watch(bench) as uses:
            started = time.monotonic()
            await bench.prepare()
            await bench.step(bench.client.start_load)
            await bench.step(bench.client.reconcile)
            seconds = time.monotonic() - started
    figures: dict[str, float] = {}
    for name, use in uses.items():
        figures[f"{name}, MiB after its start"] = idle[name] / 2**20
        figures[f"{name}, MiB at most"] = use.memory_bytes / 2**20
        figures[f"{name}, cores on average"] = use.busy_seconds / seconds
        figures[f"{name}, cores in the busiest {PEAK_SECONDS:.0f} s"] = use.cores_at_peak
    return figures


def _process(bench: Installation, name: str) -> psutil.Process:
    pid = bench.stack.pid(name)
    assert pid is not None, f"{name} does not run"
    return psutil.Process(pid)


@contextlib.asynccontextmanager
async def _watch(bench: Installation) -> AsyncIterator[dict[str, Use]]:
    """Samples all processes while the block runs."""
    uses = {name: Use() for name in NAMES}
    processes = {name: _process(bench, name) for name in NAMES}
    begun = {name: _busy_seconds(process) for name, process in processes.items()}

    async def sample() -> None:
        marks = dict.fromkeys(NAMES, 0.0)
        marked = time.monotonic()
        while True:
            for name, process in processes.items():
                uses[name].memory_bytes = max(uses[name].memory_bytes, process.memory_info().rss)
                uses[name].busy_seconds = _busy_seconds(process) - begun[name]
            passed = time.monotonic() - marked
            if passed >= PEAK_SECONDS:
                for name, use in uses.items():
                    use.cores_at_peak = max(use.cores_at_peak, (use.busy_seconds - marks[name]) / passed)
                    marks[name] = use.busy_seconds
                marked += passed
            await asyncio.sleep(SAMPLE_SECONDS)

    task = asyncio.create_task(sample())
    try:
        yield uses
    finally:
        task.cancel()


def _busy_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
