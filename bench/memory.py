"""Peak memory of each service with ten times the records, against the small account (goal: at most 1.2 times)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import psutil

from bench.installation import Installation, installation
from transload.embedded.stack import SERVICES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SMALL_CLIENT_COUNT = 150
LARGE_CLIENT_COUNT = 1500
SAMPLE_SECONDS = 0.1


async def run() -> dict[str, float]:
    """Runs a whole migration twice."""
    small = await _peaks(SMALL_CLIENT_COUNT)
    large = await _peaks(LARGE_CLIENT_COUNT)
    figures: dict[str, float] = {}
    for name in SERVICES:
        figures[f"{name}, MiB at {SMALL_CLIENT_COUNT} clients"] = small[name]
        figures[f"{name}, MiB at {LARGE_CLIENT_COUNT} clients"] = large[name]
        figures[f"{name}, ratio (goal 1.2)"] = large[name] / small[name]
    return figures


async def _peaks(client_count: int) -> dict[str, float]:
    """Highest resident set of each service over audit, schema, sample, load, delta and reconciliation, in MiB."""
    async with installation(client_count=client_count) as bench, _watch(bench) as peaks:
        await bench.prepare()
        await bench.step(bench.client.start_load)
        await bench.step(bench.client.reconcile)
        await bench.source.control("POST", "mutate", {"seed": 1})
        await bench.step(bench.client.run_delta)
    return peaks


@contextlib.asynccontextmanager
async def _watch(bench: Installation) -> AsyncIterator[dict[str, float]]:
    """Samples the resident sets while the block runs."""
    peaks = dict.fromkeys(SERVICES, 0.0)

    async def sample() -> None:
        while True:
            for name in SERVICES:
                pid = bench.stack.pid(name)
                with contextlib.suppress(psutil.NoSuchProcess):
                    if pid is not None:
                        peaks[name] = max(peaks[name], psutil.Process(pid).memory_info().rss / 2**20)
            await asyncio.sleep(SAMPLE_SECONDS)

    task = asyncio.create_task(sample())
    try:
        yield peaks
    finally:
        task.cancel()
