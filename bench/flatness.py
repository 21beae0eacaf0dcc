"""Samples memory and handles of processes over time, and says whether they are flat: what a process keeps, and what it loses."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

MEBIBYTE: Final = 2**20
SLACK_MIB: Final = 8.0
"""An allocator keeps some pages more or less."""
GROWTH_MAX: Final = 1.10
HANDLES_SLACK: Final = 8


@dataclass(slots=True)
class Curve:
    """What one process held, sample by sample."""

    memory_mib: list[float] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)

    def add(self, process: psutil.Process) -> None:
        """Take a sample."""
        with process.oneshot():
            memory, handles = process.memory_info().rss / MEBIBYTE, process.num_fds()
        self.memory_mib.append(memory)
        self.handles.append(handles)

    def quarters(self) -> tuple[float, float, int, int]:
        """Answer the median memory, MiB, and the most handles of the second and of the last quarter; the first is for getting warm."""
        size = max(1, len(self.memory_mib) // 4)
        second, last = slice(size, 2 * size), slice(-size, None)
        medians = [statistics.median(self.memory_mib[part] or self.memory_mib) for part in (second, last)]
        most = [max(self.handles[part] or self.handles) for part in (second, last)]
        return medians[0], medians[1], most[0], most[1]

    def problem(self, name: str, *, growth_max: float = GROWTH_MAX) -> str:
        """Say what is not flat, nothing when all is."""
        before, after, few, many = self.quarters()
        if after > before * growth_max + SLACK_MIB:
            return f"{name} grew from {before:.0f} to {after:.0f} MiB"
        return f"{name} held {few} handles, then {many}" if many > max(few + HANDLES_SLACK, few * growth_max) else ""


@asynccontextmanager
async def watched(pids: Callable[[], Mapping[str, int | None]], *, every_seconds: float) -> AsyncIterator[dict[str, Curve]]:
    """Sample processes by name while the block runs; one that does not run now has no sample."""
    curves: dict[str, Curve] = {}

    def sample() -> None:
        for name, pid in pids().items():
            with suppress(psutil.NoSuchProcess):
                if pid is not None:
                    curves.setdefault(name, Curve()).add(psutil.Process(pid))

    async def keep_sampling() -> None:
        while True:
            sample()
            await asyncio.sleep(every_seconds)

    task = asyncio.create_task(keep_sampling())
    try:
        yield curves
    finally:
        task.cancel()
        sample()
