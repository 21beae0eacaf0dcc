"""Who has which hands: batches for one Pipedrive company never take all there are, so that a slow company does not hold up the others.

A loader has `SPARE` times as many hands as one company may use. A batch for a company whose hands are all busy waits a moment with one of the others;
when the company does not get anything done meanwhile, the batch goes back to the queue, and the hand is free for another company.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from services.common.errors import ClaimHeldError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.common.clock import Clock

SPARE: Final = 2
_WAIT_SECONDS: Final = 1.0
_STILL_SECONDS: Final = 5.0
"""A company that finished no batch for so long stands still: nobody waits for its hands."""


class BusyTargetError(ClaimHeldError):
    """All hands of the batch's company are busy; nothing was begun."""


class Hands:
    """Hands of one process, by company."""

    def __init__(self, *, each_max: int, clock: Clock) -> None:
        """Begin.

        Args:
            each_max: hands of one company.
            clock: for tests.
        """
        self._each_max = each_max
        self._clock = clock
        self._busy: Counter[str] = Counter()
        self._freed: dict[str, float] = {}
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def of(self, company: str) -> AsyncIterator[None]:
        """Have a hand of a company while the block runs.

        Raises:
            BusyTargetError: there was none free.
        """
        if self._busy[company] >= self._each_max:
            await self._wait(company)
        self._busy[company] += 1
        try:
            yield
        finally:
            self._busy[company] -= 1
            if not self._busy[company]:
                del self._busy[company]
            self._freed[company] = self._clock.monotonic()
            async with self._changed:
                self._changed.notify_all()

    async def _wait(self, company: str) -> None:
        if self._clock.monotonic() - self._freed.get(company, float("-inf")) < _STILL_SECONDS:
            try:
                async with asyncio.timeout(_WAIT_SECONDS), self._changed:
                    await self._changed.wait_for(lambda: self._busy[company] < self._each_max)
            except TimeoutError:
                pass
            else:
                return
        raise BusyTargetError("all hands of this target are busy")
