"""The faults that the simulated org plays."""

from dataclasses import dataclass
from typing import ClassVar

from sandbox.common import faults


@dataclass(slots=True)
class Rule(faults.Rule):
    """When and how calls fail. The path is matched with its query."""

    KINDS: ClassVar[tuple[str, ...]] = ("status", "cut", "slow", "broken_json", "expire", "lost_locator", "fail_job")
    """`status` answers `status` and `body`; `cut` closes without a byte; `slow` answers after `seconds`; `broken_json` answers half of the body
    with status 200; `expire` ends all sessions first; `lost_locator` forgets all open cursors first; `fail_job` lets a bulk job fail."""
