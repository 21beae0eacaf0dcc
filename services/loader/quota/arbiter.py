"""The arbiter: the budgets of all target connections (G-03). Who may call Pipedrive now stands in `budget`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from services.loader.quota.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.common.clock import Clock
    from services.loader.quota.settings import QuotaSettings


class Arbiter:
    """The budgets of all target connections."""

    def __init__(self, *, settings: QuotaSettings, clock: Clock, has_terms: bool = False) -> None:
        """Begins.

        Args:
            settings: the rules.
            clock: for tests.
            has_terms: the ledger gives budgets to one arbiter at a time and somebody (`Keeper`) asks it; else there must be no other arbiter.
        """
        self._has_terms = has_terms
        self._settings = settings
        self._clock = clock
        self._budgets: dict[str, Budget] = {}
        self._started = clock.monotonic()
        # A lease of the arbiter before must not be mistaken for one of ours.
        self._incarnation = uuid.uuid4().hex[:8]

    def budget(self, connection: str) -> Budget:
        """Answers the budget of a connection, begun at the smallest plan's limits."""
        budget = self._budgets.get(connection)
        if budget is None:
            budget = self._budgets[connection] = Budget(
                name=connection,
                settings=self._settings,
                clock=self._clock,
                started=self._started,
                incarnation=self._incarnation,
                has_terms=self._has_terms,
            )
        return budget

    @property
    def budgets(self) -> Mapping[str, Budget]:
        """The budgets asked for so far, by connection."""
        return self._budgets
