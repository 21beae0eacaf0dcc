"""What is refused is counted, logged and, where it concerns a migration, told to whoever keeps the trail.

A flood of calls makes no flood of lines.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from services.common import instruments, telemetry
from services.common.access.roles import RULES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from services.common.errors import TransloadError

_LOG = telemetry.get_logger(__name__)
LOG_SECONDS: Final = 10.0
"""At most one line of a kind in so long; it says how many there were since the one before."""
_KINDS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call of somebody known that was refused.

    Attributes:
        actor: who called.
        migration_id: what it concerned; empty: no migration, or the request named none.
        reason: `ErrorReason` name without prefix.
        facts: `rpc`, and what would have been needed.
    """

    actor: str
    migration_id: str
    reason: str
    facts: Mapping[str, str] = field(default_factory=dict)


class Refusals:
    """Counts and logs refusals."""

    def __init__(self, on_known: Callable[[Refusal], Awaitable[None]] | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Prepares. `on_known` is told refusals of known callers; it must keep a flood from doing harm and raises nothing."""
        self._on_known = on_known
        self._monotonic = monotonic
        self._counter = instruments.counter(instruments.REFUSALS)
        self._muted: dict[tuple[str, str], _Muted] = {}

    def unknown(self, method: str, error: TransloadError) -> None:
        """Notes a call of nobody known."""
        self._note(method, error.reason, "")

    async def known(self, refusal: Refusal, method: str) -> None:
        """Notes a call of somebody known who may not."""
        self._note(method, refusal.reason, refusal.actor)
        if self._on_known is not None:
            await self._on_known(refusal)

    def _note(self, method: str, reason: str, actor: str) -> None:
        # A stranger may call whatever it likes by any name; only names of ours become labels.
        rpc = method.rpartition("/")[2] if method in RULES else "other"
        self._counter.add(1, {instruments.REASON: reason, "rpc.method": rpc})
        now = self._monotonic()
        if len(self._muted) > _KINDS_MAX:
            self._muted.clear()
        muted = self._muted.setdefault((reason, actor), _Muted())
        muted.count += 1
        if now < muted.until:
            return
        _LOG.warning("access.refused", reason=reason, method=rpc, actor=actor, calls=muted.count)
        muted.count, muted.until = 0, now + LOG_SECONDS


@dataclass(slots=True)
class _Muted:
    until: float = 0.0
    count: int = 0
