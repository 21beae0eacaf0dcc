"""The way between processes: how long anything takes, and what the way does to it. All of it drawn from the seed."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulation.processes import in_world_later

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.simulation.trace import Trace


@dataclass(slots=True)
class Latency:
    """How long a message takes: mostly `usual_seconds`, at times up to `slow_seconds`."""

    usual_seconds: float = 0.004
    slow_seconds: float = 0.5
    slow_share: float = 0.0

    def draw(self, draw: Random) -> float:
        """Draw the time of one message."""
        if self.slow_share and draw.random() < self.slow_share:
            return draw.random() * self.slow_seconds
        return draw.random() * self.usual_seconds


@dataclass(slots=True)
class Network:
    """Carries messages.

    Attributes:
        draw: source of all chance on the way.
        lost_share: part of the calls that fail: half before they arrive, half after they were served.
        hits: how often each kind of fault really hit.
    """

    draw: Random
    trace: Trace
    latency: Latency = field(default_factory=Latency)
    lost_share: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)

    def carry(self, deliver: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        """Deliver something after the time it takes, whatever becomes of the sender."""
        return in_world_later(self.seconds(), deliver, *args)

    def is_lost(self) -> bool:
        """Draw whether a message is lost."""
        is_lost = self.lost_share > 0 and self.draw.random() < self.lost_share / 2
        self.hits["lossy"] += is_lost
        return is_lost

    def seconds(self) -> float:
        """Draw the time of one message."""
        seconds = self.latency.draw(self.draw)
        self.hits["slow"] += seconds > self.latency.usual_seconds
        return seconds

    async def hop(self) -> None:
        """Take the time of one message."""
        await asyncio.sleep(self.seconds())
