"""The faults that the simulated STEL Order plays."""

from dataclasses import dataclass
from typing import ClassVar

from sandbox.common import faults


@dataclass(slots=True)
class Rule(faults.Rule):
    """When and how calls fail. The path is matched with its query (`/app/clients?start=500`)."""

    KINDS: ClassVar[tuple[str, ...]] = ("status", "cut_before", "cut", "slow", "broken_json", "not_json")
    """`status` answers `status` and `body`; `cut_before` closes without a byte, `cut` in the middle of the body; `slow` answers after
    `seconds`; `broken_json` answers half of the JSON with status 200; `not_json` answers an HTML page with status 200."""
