"""Slots of a rolling window; `arbiter.py` tells why holding them until after the answer keeps every window within its limit."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Window:
    """Slots of one rolling window: held by open leases, and cooling until their time (monotonic seconds)."""

    limit: int
    held: int = 0
    cooling_count: int = 0
    cooling: deque[tuple[float, int]] = field(default_factory=deque)

    def used(self, now: float) -> int:
        """Answers how many slots are taken."""
        # A slot whose time is exactly now still counts: whether the server's window includes its border is not known.
        while self.cooling and self.cooling[0][0] < now:
            self.cooling_count -= self.cooling.popleft()[1]
        return self.held + self.cooling_count

    def cool(self, until: float, count: int) -> None:
        """Keeps slots that are held no more until their time."""
        if count <= 0:
            return
        # Kept in order of time; a lost lease cools longer than those released after it.
        if self.cooling and self.cooling[-1][0] > until:
            self.cooling = deque(sorted([*self.cooling, (until, count)]))
        else:
            self.cooling.append((until, count))
        self.cooling_count += count

    def free_at(self, now: float, count: int) -> float:
        """Answers when `count` slots are free, counting only slots whose time is known; infinity when that is not enough."""
        free = self.limit - self.used(now)
        if free >= count:
            return now
        for until, cooling in self.cooling:
            free += cooling
            if free >= count:
                return until
        return math.inf
