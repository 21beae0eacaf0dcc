"""Keeps the terms of the budgets this arbiter grants from, and notes in the ledger what must outlive it.

A term counts from before the question was sent, so it ends here no later than in the ledger. While the ledger does not answer, terms run out and
nothing is granted; nothing could be settled either.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from services.common import telemetry
from services.common.errors import TransloadError

if TYPE_CHECKING:
    from services.common.clock import Clock
    from services.loader.quota.arbiter import Arbiter
    from services.loader.quota.budget import Budget
    from services.loader.quota.settings import QuotaSettings
    from services.loader.quota.tokens import Kept

_LOG = telemetry.get_logger(__name__)
_LOOK_SECONDS: Final = 0.05
# Nobody has asked for a while: the first call may wait so long for a term.
_IDLE_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 1.0
_RENEW_SHARE: Final = 1 / 3


@dataclass(frozen=True, slots=True)
class Term:
    """What the ledger answered.

    Attributes:
        is_granted: whether we may grant.
        kept: at the beginning of a term what the arbiter before left; None: there was none.
        idle_seconds: how long ago its term ended.
        is_same_replica: it ran under our own name.
        retry_seconds: not granted: ask again then.
    """

    is_granted: bool
    kept: Kept | None = None
    idle_seconds: float = 0.0
    is_same_replica: bool = False
    retry_seconds: float = 0.0


class Terms(Protocol):
    """Where terms come from (the ledger)."""

    async def hold_budget(self, connection: str, *, term_seconds: float, kept: Kept | None) -> Term:
        """Begins a term (no `kept`) or renews it and notes `kept`. Raises TransloadError."""
        ...


class Keeper:
    """Renews the terms of all budgets that were asked for."""

    def __init__(self, *, arbiter: Arbiter, terms: Terms, settings: QuotaSettings, clock: Clock) -> None:
        self._arbiter = arbiter
        self._terms = terms
        self._settings = settings
        self._clock = clock
        self._due: dict[str, float] = {}
        self._begun: set[str] = set()
        # Begun, but nothing was noted since.
        self._unnoted: set[str] = set()

    async def run(self) -> None:
        """Keeps until cancelled."""
        while True:
            await self.keep_due()
            is_used = any(budget.is_used or budget.wants_note for budget in self._arbiter.budgets.values())
            await self._clock.sleep(_LOOK_SECONDS if is_used else _IDLE_SECONDS)

    def has_due(self) -> bool:
        """Answer whether anything is due now."""
        now = self._clock.monotonic()
        return any(self._is_due(name, budget, now) for name, budget in self._arbiter.budgets.items())

    async def keep_due(self) -> None:
        """Begins, renews and notes what is due now."""
        now = self._clock.monotonic()
        due = [(name, budget) for name, budget in self._arbiter.budgets.items() if self._is_due(name, budget, now)]
        await asyncio.gather(*(self._keep(name, budget) for name, budget in due))

    def _is_due(self, name: str, budget: Budget, now: float) -> bool:
        is_begun = name in self._begun
        return (now >= self._due.get(name, now) and (budget.is_used or not is_begun or name in self._unnoted)) or (budget.wants_note and is_begun)

    async def _keep(self, name: str, budget: Budget) -> None:
        asked = self._clock.monotonic()
        kept = budget.kept() if name in self._begun else None
        try:
            term = await self._terms.hold_budget(name, term_seconds=self._settings.term_seconds, kept=kept)
        except TransloadError as error:
            _LOG.warning("quota.term_not_renewed", connection=name, reason=error.reason)
            self._due[name] = asked + _RETRY_SECONDS
            return
        until = asked + self._settings.term_seconds
        if not term.is_granted:
            if name in self._begun or name not in self._due:
                _LOG.warning("quota.held_by_another_arbiter", connection=name)
            self._begun.discard(name)
            budget.lose_term()
            self._due[name] = self._clock.monotonic() + min(max(term.retry_seconds, _LOOK_SECONDS), _RETRY_SECONDS)
            return
        if kept is not None:
            self._unnoted.discard(name)
            budget.renew_term(kept, until=until)
        else:
            self._begun.add(name)
            self._unnoted.add(name)
            budget.begin_term(term.kept, idle_seconds=term.idle_seconds, is_same_replica=term.is_same_replica)
        # What will outlive us is noted at once: nothing is granted before.
        self._due[name] = asked if kept is None else asked + self._settings.term_seconds * _RENEW_SHARE
