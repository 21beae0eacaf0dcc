"""Rows that are equal as one, with how often they come: what a list of answers says of the questions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

TIMES_HEADING: Final = "Times"
_SCHEMA: Final = "CREATE TABLE row (content BLOB PRIMARY KEY, place INTEGER NOT NULL, times INTEGER NOT NULL) WITHOUT ROWID"
_ADD: Final = "INSERT INTO row VALUES (?, ?, 1) ON CONFLICT (content) DO UPDATE SET times = times + 1"


def distinct_rows(rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    """Yield each different row once, in the order they first come, with the number of times at its end.

    They are kept in a temporary file: different rows may be as many as records, and memory stays flat.
    """
    with closing(sqlite3.connect("", check_same_thread=False, isolation_level=None)) as disk:
        disk.execute(_SCHEMA)
        disk.execute("BEGIN")
        disk.executemany(_ADD, ((orjson.dumps(list(row), default=str), place) for place, row in enumerate(rows)))
        disk.execute("COMMIT")
        for content, times in disk.execute("SELECT content, times FROM row ORDER BY place"):
            yield [*orjson.loads(content), times]
