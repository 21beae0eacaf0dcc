"""Refused calls on the audit trail: who tried what, without letting who tries often fill the trail."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from services.common import telemetry
from services.common.errors import TransloadError
from services.ledger.domain import EventDraft

if TYPE_CHECKING:
    from services.common.access.refusals import Refusal
    from services.common.clock import Clock
    from services.ledger.repository import Ledger

_LOG = telemetry.get_logger(__name__)
REFUSED: Final = "access.refused"
WINDOW_SECONDS: Final = 60.0
"""After an event, the same refusal (caller, RPC, reason, migration) is only counted for so long; the next event has the count."""

_Key = tuple[str, str, str, str]


@dataclass(slots=True)
class _Held:
    refusal: Refusal
    until: float
    count: int = 0


class RefusalTrail:
    """Writes refusals of known callers on the trail of the migration they concern; strangers only reach log and metrics.

    Each kind of refusal is an event at once, and at most one a minute afterwards. A kind needs a caller of the list, an RPC and a migration there
    is, so the kinds are few. Counts not written yet are lost when the process dies; the log has had them.
    """

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._held: dict[_Key, _Held] = {}
        self._written: Counter[str] = Counter()
        self._flushing: asyncio.Task[None] | None = None

    def written_count(self, migration_id: str) -> int:
        """Answers how many events of refusals this process wrote: they are no progress of a run."""
        return self._written[migration_id]

    async def note(self, refusal: Refusal) -> None:
        """Writes a refusal, or counts it. Raises nothing: the call is refused whether or not it can be written."""
        if not refusal.migration_id:
            return
        key = (refusal.migration_id, refusal.actor, refusal.reason, refusal.facts.get("rpc", ""))
        now = self._clock.monotonic()
        held = self._held.get(key)
        if held is not None and now < held.until:
            held.count += 1
            if self._flushing is None or self._flushing.done():
                self._flushing = asyncio.get_running_loop().create_task(self._flush_later(held.until - now))
            return
        count = 1 + (held.count if held is not None else 0)
        # Held before the writing, so that those who come meanwhile are counted.
        self._held[key] = _Held(refusal, now + WINDOW_SECONDS)
        if not await self._write(refusal, count):
            del self._held[key]

    async def close(self) -> None:
        """Writes what is only counted yet."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
        await self._flush(until=float("inf"))

    async def _flush_later(self, seconds: float) -> None:
        """Writes counts once their minute is over, until there are none."""
        while seconds > 0:
            await self._clock.sleep(seconds)
            await self._flush(until=self._clock.monotonic())
            counted = [held.until for held in self._held.values() if held.count]
            seconds = max(1.0, min(counted) - self._clock.monotonic()) if counted else 0.0

    async def _flush(self, *, until: float) -> None:
        for key, held in [(key, held) for key, held in self._held.items() if held.until <= until]:
            if self._held.get(key) is held:
                del self._held[key]
                if held.count:
                    await self._write(held.refusal, held.count)

    async def _write(self, refusal: Refusal, count: int) -> bool:
        """Answers whether there is such a migration."""
        event = EventDraft(REFUSED, refusal.actor, result=refusal.reason, payload={**refusal.facts, "count": count})
        try:
            async with self._ledger.transaction() as transaction:
                if await transaction.get_migration(refusal.migration_id) is None:
                    return False
                await transaction.append_event(refusal.migration_id, event)
        except TransloadError as error:
            _LOG.error("access.refusal_not_written", migration_id=refusal.migration_id, problem=error.reason, **refusal.facts)
            return True
        self._written[refusal.migration_id] += 1
        return True
