"""The index that search reads: records as they were a while ago, as seen in reality, where search follows changes by seconds."""

from collections import deque
from collections.abc import Iterable

from sandbox.pipedrive.account.account import NOBODY, Account
from sandbox.pipedrive.store.store import Record


class SearchIndex:
    """Shows the records of a kind as search knows them. Without a lag it is the store itself and costs nothing.

    The lag counts on the account's steady clock, so a wall clock that jumps does not confuse it. A deleted record stays in the index.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._lag = account.options.search_lag_seconds
        self._former: dict[str, dict[int, deque[tuple[float, Record | None]]]] = {}
        """What records were before each late change, and when that came, by kind and id; None where they were not there."""
        if self._lag > 0:
            account.store.observers.append(self._observe)

    def known(self, kind: str) -> Iterable[Record]:
        """Yield the records of a kind in order of their ids, each as the index has it."""
        former = self._former.get(kind)
        if not former:
            yield from self._account.store[kind]
            return
        horizon = self._account.clock.monotonic() - self._lag
        for record in self._account.store[kind]:
            changes = former.get(record["id"])
            while changes and changes[0][0] <= horizon:
                changes.popleft()
            if not changes:
                former.pop(record["id"], None)
                yield record
            elif (shown := changes[0][1]) is not None:
                yield shown

    def _observe(self, kind: str, before: Record | None, after: Record) -> None:
        if self._account.actor is NOBODY:
            self._former.clear()  # the account is filled anew, and known at once
            return
        self._former.setdefault(kind, {}).setdefault(after["id"], deque()).append((self._account.clock.monotonic(), before))
