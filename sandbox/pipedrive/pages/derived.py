"""What the pages derive from the store and keep up to date, so that no page walks over all records.

The first page to need an order or a pile builds it. From then on the store tells which records changed; they are taken in when the
next page is asked for. Until a page was asked for, nothing is kept.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import Any, Protocol

from sandbox.pipedrive.store.store import Record, Store, Table

_REBUILD_SHARE = 8
"""When more than one in so many records changed, building anew is cheaper than taking the changes in one by one."""
MONEY_SCALE = 10_000
"""Sums are kept as whole ten-thousandths, so that taking away what was added leaves exactly nothing."""


class View(Protocol):
    """Something derived from the records of one kind."""

    def build(self, table: Table) -> None:
        """Derive it anew."""

    def take(self, before: Record | None, record: Record) -> None:
        """Take in that a record is new, or is not any more what it was."""


@dataclass(slots=True)
class _Followed:
    """A view that was asked for, with what the records that changed since were before."""

    view: View
    table: Table
    changed: dict[int, Record | None] = field(default_factory=dict)


class Derived:
    """All views of one store, each brought up to date when it is asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._followed: dict[str, list[_Followed]] = {}

    def refresh(self, kind: str, view: View) -> None:
        """Bring a view of the records of a kind up to date; the first time it is built."""
        table = self._store[kind]
        followed = self._find(kind, view)
        changed = followed.changed
        # A store that was cleared has new tables, and what was purged is in none.
        is_outdated = followed.table is not table or not changed.keys() <= table.records.keys()
        if is_outdated or len(changed) * _REBUILD_SHARE > len(table):
            view.build(table)
            followed.table = table
        else:
            for record_id, before in changed.items():
                view.take(before, table.records[record_id])
        followed.changed = {}

    def _find(self, kind: str, view: View) -> _Followed:
        if not self._followed:
            self._store.observers.append(self._note)
        following = self._followed.setdefault(kind, [])
        for followed in following:
            if followed.view is view:
                return followed
        table = self._store[kind]
        view.build(table)
        following.append(_Followed(view, table))
        return following[-1]

    def _note(self, kind: str, before: Record | None, after: Record) -> None:
        for followed in self._followed.get(kind, ()):
            followed.changed.setdefault(after["id"], before)


class Order:
    """Records of one kind in an order of their own, those without a key left out."""

    def __init__(self, key: Callable[[Record], Any]) -> None:
        self._key = key
        self._sorted: list[tuple[Any, int]] = []

    def __len__(self) -> int:
        return len(self._sorted)

    def build(self, table: Table) -> None:
        """Derive the order anew."""
        key = self._key
        self._sorted = sorted((value, record["id"]) for record in table if (value := key(record)) is not None)

    def take(self, before: Record | None, record: Record) -> None:
        """Move a record to where it belongs now."""
        old = self._key(before) if before is not None else None
        new = self._key(record)
        if old == new:
            return
        if old is not None:
            del self._sorted[bisect_left(self._sorted, (old, record["id"]))]
        if new is not None:
            insort(self._sorted, (new, record["id"]))

    def position(self, record: Record | None) -> int | None:
        """Return where a record stands, None when it is not in the order."""
        value = self._key(record) if record is not None else None
        return None if record is None or value is None else bisect_left(self._sorted, (value, record["id"]))

    def first_at(self, value: Any) -> int:
        """Return the position of the first record with at least this key."""
        return bisect_left(self._sorted, (value, 0))

    def ids(self, start: int, count: int) -> list[int]:
        """Return the ids from a position on."""
        return [record_id for _, record_id in self._sorted[max(start, 0) : max(start, 0) + count]]

    def key_at(self, position: int) -> Any:
        """Return the key of the record at a position."""
        return self._sorted[position][0]


class Pile:
    """Ids in ascending order, and what their records are worth by currency, in ten-thousandths."""

    __slots__ = ("ids", "sums")

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.sums: dict[str, int] = {}


class Piles:
    """Records of one kind in piles, each counted and summed."""

    def __init__(self, key: Callable[[Record], Hashable]) -> None:
        self._key = key
        self._piles: dict[Hashable, Pile] = {}

    def build(self, table: Table) -> None:
        """Derive the piles anew."""
        self._piles = {}
        for record in table:
            self._add(self._key(record), record)

    def take(self, before: Record | None, record: Record) -> None:
        """Put a record on the pile it belongs to now."""
        if before is not None:
            self._remove(self._key(before), before)
        self._add(self._key(record), record)

    def _add(self, key: Hashable, record: Record) -> None:
        """Put a record on a pile; None is none."""
        if key is None:
            return
        pile = self._piles.get(key)
        if pile is None:
            pile = self._piles[key] = Pile()
        record_id = record["id"]
        if not pile.ids or pile.ids[-1] < record_id:
            pile.ids.append(record_id)
        else:
            insort(pile.ids, record_id)
        pile.sums[record["currency"]] = pile.sums.get(record["currency"], 0) + round(record["value"] * MONEY_SCALE)

    def _remove(self, key: Hashable, record: Record) -> None:
        if key is None:
            return
        pile = self._piles[key]
        del pile.ids[bisect_left(pile.ids, record["id"])]
        pile.sums[record["currency"]] -= round(record["value"] * MONEY_SCALE)

    def keys(self) -> Iterable[Hashable]:
        """Return the keys of all piles, empty ones included."""
        return self._piles.keys()

    def count(self, keys: Iterable[Hashable]) -> int:
        """Count the records of several piles."""
        return sum(len(pile.ids) for key in keys if (pile := self._piles.get(key)) is not None)

    def sums(self, keys: Iterable[Hashable]) -> dict[str, float]:
        """Sum the values of several piles by currency; the largest first, without those of nothing."""
        total: dict[str, int] = {}
        for key in keys:
            pile = self._piles.get(key)
            for currency, amount in pile.sums.items() if pile is not None else ():
                total[currency] = total.get(currency, 0) + amount
        return {currency: amount / MONEY_SCALE for currency, amount in sorted(total.items(), key=lambda item: -abs(item[1])) if amount}

    def newest(self, keys: Iterable[Hashable], count: int, before: int | None = None) -> list[int]:
        """Return the highest ids of several piles, descending, below `before`."""
        runs = [_descending(pile.ids, before) for key in keys if (pile := self._piles.get(key)) is not None]
        return list(islice(merge(*runs, reverse=True), count))

    def next_newer(self, keys: Iterable[Hashable], count: int, after: int) -> list[int]:
        """Return the next ids above `after`, descending: the page before the one that starts below it."""
        runs = [pile.ids[(start := bisect_right(pile.ids, after)) : start + count] for key in keys if (pile := self._piles.get(key)) is not None]
        return list(islice(merge(*runs), count))[::-1]


def _descending(ids: list[int], before: int | None) -> Iterator[int]:
    end = len(ids) if before is None else bisect_left(ids, before)
    return (ids[position] for position in range(end - 1, -1, -1))
