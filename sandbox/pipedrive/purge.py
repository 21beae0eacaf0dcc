"""Purging of the trash: records that were deleted 30 days ago are gone, by the account's clock."""

import math
from datetime import datetime

from sandbox.pipedrive.account import Account
from sandbox.pipedrive.clock import time_text

_DAY_SECONDS = 86_400
_KEPT = frozenset({"user", "field", "pipeline", "stage", "activity_type", "change", "conversion"})
"""Kinds that stay: what the company is set up with, and the server's own bookkeeping."""


class Purge:
    """Looks through the trash when something in it can be due, which is seldom."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._seconds = account.options.purge_days * _DAY_SECONDS
        self.clear()

    def clear(self) -> None:
        """Look through the trash at the next opportunity."""
        self._next = -math.inf
        self._jumps = -1

    def is_due(self) -> bool:
        """Whether something may have to go."""
        clock = self._account.clock
        return self._seconds > 0 and (clock.epoch() >= self._next or clock.jumps != self._jumps)

    def run(self) -> None:
        """Remove what has been in the trash long enough."""
        store, clock = self._account.store, self._account.clock
        now = clock.epoch()
        horizon = time_text(now - self._seconds)
        self._next, self._jumps = now + self._seconds, clock.jumps
        for kind, table in store.tables.items():
            if kind in _KEPT:
                continue
            trash = [record for record in table if record["is_deleted"]]
            for record in trash:
                if record["update_time"] <= horizon:
                    store.remove(kind, record["id"])
                else:
                    self._next = min(self._next, datetime.fromisoformat(record["update_time"]).timestamp() + self._seconds)
