"""The faults that the simulated Pipedrive plays, also by chance."""

import random
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.common import faults


@dataclass(slots=True)
class Rule(faults.Rule):
    """When and how requests fail: as for every simulator, and by chance."""

    KINDS: ClassVar[tuple[str, ...]] = ("error_before", "error_after", "cut_before", "cut_after", "slow", "status", "empty_200")

    probability: float | None = None
    """Chance for each matching request, drawn from `seed`."""
    seed: int = 0
    draw: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check and compile."""
        faults.Rule.__post_init__(self)
        self.draw = random.Random(self.seed)

    def is_drawn(self) -> bool:
        """Draw for one request; always true without a probability."""
        return self.probability is None or self.draw.random() < self.probability
