"""What a page consists of, and how long lists are cut into pages."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sandbox.pipedrive.pages.derived import Order
from sandbox.pipedrive.pages.reader import Reader
from sandbox.pipedrive.store.store import Record

Query = dict[str, str]
ROWS = 50
_DIGITS_MAX = 15
_LETTERS_MAX = 60
"""Names in some scripts begin with thousands of characters."""
_AFTER_ALL = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Page:
    """A page before it is rendered."""

    template: str
    title: str
    section: str
    """Entry of the navigation it belongs to."""
    values: dict[str, Any] = field(default_factory=dict)


Show = Callable[[Reader, Query], Page]
ShowOne = Callable[[Reader, Query, int], Page | None]


@dataclass(frozen=True, slots=True)
class Slice:
    """One page of a list, with the links to its neighbours."""

    records: list[Record]
    previous: str
    next: str
    first: int
    """Position of the first record, from 1."""
    total: int

    @property
    def last(self) -> int:
        """Position of the last record."""
        return self.first + len(self.records) - 1


def integer(query: Query, name: str) -> int | None:
    """Return a whole number of the query, None when it is missing or none."""
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else None


def link(path: str, **query: Any) -> str:
    """Return an address with the parameters that have a value."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def slice_of(reader: Reader, kind: str, order: Order, path: str, query: Query, **kept: Any) -> Slice:
    """Return the page of an order that `after`, `before` or `at` (ids) names; an unknown id means the first page.

    A page hangs on a record and not on a number, so that it stays where it is while records come and go.
    """
    start = 0
    table = reader.store[kind]
    for name, step in (("after", 1), ("before", -ROWS), ("at", 0)):
        record_id = integer(query, name)
        position = order.position(table.get(record_id)) if record_id is not None else None
        if position is not None:
            start = max(0, position + step)
            break
    ids = order.ids(start, ROWS)
    records = [table.records[record_id] for record_id in ids]
    previous = link(path, before=ids[0], **kept) if ids and start > 0 else ""
    following = link(path, after=ids[-1], **kept) if ids and start + len(ids) < len(order) else ""
    return Slice(records, previous, following, start + 1, len(order))


def letters(order: Order, path: str) -> list[tuple[str, str]]:
    """Return the first letters of an order of names, each with the address of the page that starts with it."""
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(order) and len(found) < _LETTERS_MAX:
        letter = order.key_at(position)[:1]
        if letter.isprintable() and not letter.isspace():
            found.append((letter.upper(), link(path, at=order.ids(position, 1)[0])))
        position = order.first_at(letter + _AFTER_ALL)
    return found
