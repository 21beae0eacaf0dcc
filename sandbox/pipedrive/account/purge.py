"""Purging of the trash: records that were deleted 30 days ago are gone, by the account's clock."""

import math
from datetime import datetime

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import time_text

_DAY_SECONDS = 86_400
_KEPT = frozenset({"user", "field", "pipeline", "stage", "activity_type", "change", "conversion"})
"""Kinds that stay: what the company is set up with, and the server's own bookkeeping."""
_PARTS: dict[str, tuple[tuple[str, str], ...]] = {
    "deal": (("deal_product", "deal_id"), ("discount", "deal_id"), ("installment", "deal_id"), ("participant", "deal_id")),
    "person": (("participant", "person_id"), ("picture", "person_id")),
    "product": (("product_variation", "product_id"), ("product_image", "product_id")),
    "note": (("comment", "note_id"),),
}
"""What goes with a record, and the column that names it (assumed)."""


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
                    self._remove(kind, record["id"])
                else:
                    self._next = min(self._next, datetime.fromisoformat(record["update_time"]).timestamp() + self._seconds)

    def _remove(self, kind: str, record_id: int) -> None:
        """Remove a record with its parts, unless a line of a deal still names it."""
        store = self._account.store
        if store[kind].get(record_id) is None:
            return  # it went with another
        if kind == "product" and any(not line["is_deleted"] for line in store["deal_product"].find("product_id", record_id)):
            return
        for part, column in _PARTS.get(kind, ()):
            for record in store[part].find(column, record_id):
                store.remove(part, record["id"])
        store.remove(kind, record_id)
