"""Growing pauses between attempts: doubled, capped, and jittered so that replicas do not come back in step."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

# 2**64 times any base is past every cap we use; without the limit a long outage would overflow the float.
_DOUBLINGS_MAX = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays for attempt 1, 2, 3, ...: half fixed, half random ("equal jitter"), so a pause is never near zero.

    Attributes:
        base_seconds: longest delay after the first attempt.
        cap_seconds: longest delay ever.
        rng: source of the jitter; tests pass a seeded one.
    """

    base_seconds: float = 0.5
    cap_seconds: float = 60.0
    rng: random.Random = field(default_factory=random.Random, compare=False, repr=False)

    def delay_seconds(self, attempt: int) -> float:
        """Answers the pause after `attempt` failures (1 is the first), between half of and the whole doubled base, at most the cap."""
        doublings = min(max(attempt, 1) - 1, _DOUBLINGS_MAX)
        ceiling = min(self.cap_seconds, self.base_seconds * 2.0**doublings)
        return ceiling * (0.5 + self.rng.random() / 2)
