"""Finds records by what stands in a field: sources name people, places and departments by their names instead of ids."""

from __future__ import annotations

import sqlite3
import threading
import unicodedata
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from services.transformer.snapshot.envelope import Envelope

_SCHEMA: Final = """
CREATE TABLE value (place INTEGER NOT NULL, value TEXT NOT NULL, source_id TEXT NOT NULL, PRIMARY KEY (place, value, source_id)) WITHOUT ROWID;
"""
_FIND: Final = "SELECT source_id FROM value WHERE place = ? AND value = ? ORDER BY CAST(source_id AS INTEGER), source_id LIMIT ?"
_ADD: Final = "INSERT OR IGNORE INTO value VALUES (?, ?, ?)"
FOUND_MAX: Final = 10_000
_ROWS: Final = 500
_KEPT: Final = 4096
"""Values remembered: the same few people and places stand in many records."""
_KEPT_IDS: Final = 16
"""Longest list of ids remembered."""


class Records(Protocol):
    """Where the records are."""

    def iterate(self, entity: str) -> Iterator[Envelope]:
        """Go through all records of an entity."""


class ValueIndex:
    """What stands in the fields that were asked for, in a file of its own that SQLite throws away. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._places: dict[tuple[str, str, bool], int] = {}
        self._known: OrderedDict[tuple[int, str], tuple[str, ...]] = OrderedDict()

    def find(self, records: Records, entity: str, field_name: str, value: str, *, loosely: bool = False) -> Sequence[str]:
        """Answer the ids of the records that are not deleted and hold the value; the first 10,000 at most.

        `loosely` compares letters and digits alone; what has none is never found that way.
        """
        wanted = bare(value) if loosely else plain(value)
        if not wanted:
            return []
        with self._lock:
            place = self._places.get((entity, field_name, loosely))
            if place is None:
                place = self._take_in(records, entity, field_name, bare if loosely else plain, loosely=loosely)
            key = (place, wanted)
            known = self._known.get(key)
            if known is None:
                known = tuple(row[0] for row in self._opened().execute(_FIND, (place, wanted, FOUND_MAX)))
                if len(known) <= _KEPT_IDS:
                    self._known[key] = known
                    if len(self._known) > _KEPT:
                        self._known.popitem(last=False)
            else:
                self._known.move_to_end(key)
        return known

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            self._places.clear()
            self._known.clear()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            # An empty name is a temporary database on disk, which goes with its connection.
            self._connection = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._connection.execute(_SCHEMA)
        return self._connection

    def _take_in(self, records: Records, entity: str, field_name: str, form: Callable[[str], str], *, loosely: bool) -> int:
        place = len(self._places) + 1
        connection = self._opened()
        rows: list[tuple[int, str, str]] = []
        connection.execute("BEGIN")
        try:
            for one in records.iterate(entity):
                if not one.is_deleted:
                    rows.extend((place, value, one.id) for value in _values(one.data, field_name, form))
                if len(rows) >= _ROWS:
                    connection.executemany(_ADD, rows)
                    rows.clear()
            connection.executemany(_ADD, rows)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        self._places[entity, field_name, loosely] = place
        return place


def plain(value: str) -> str:
    """Write a value as it is compared."""
    return " ".join(value.casefold().split())


def bare(value: str) -> str:
    """Write a value as it is compared loosely: letters and digits alone, without accents."""
    decomposed = unicodedata.normalize("NFKD", value.casefold())
    return "".join(character for character in decomposed if character.isalnum())


def _values(data: Mapping[str, object], field_name: str, form: Callable[[str], str]) -> Iterator[str]:
    found = data.get(field_name)
    for element in found if isinstance(found, list) else [found]:
        if isinstance(element, (str, int)) and not isinstance(element, bool) and (written := form(str(element))):
            yield written
