"""Holds every record of the account once, in memory, with optional write-through to a SQLite file.

A record is a plain dict in the terms of API version 2, never changed in place: `put` replaces it. What a request changed is
written to the file in one transaction before the request is answered, so a killed process loses nothing that it acknowledged.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from sandbox.pipedrive.store.kinds import KINDS
from sandbox.pipedrive.store.state_file import StoreError, open_state

Record = dict[str, Any]

Observer = Callable[[str, Record | None, Record], None]
"""Is told of each record that is added or replaced: its kind, what it was before (None for a new one), what it is now."""


LAST_ID = "last_id:"
"""What the names of the highest ids of purged kinds begin with among the named values."""


class Table:
    """Records of one kind in order of their ids."""

    __slots__ = ("_indexes", "kind", "last_id", "order", "records")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.last_id = 0
        """Highest id ever given; it is not given again when its record is gone."""
        self.records: dict[int, Record] = {}
        self.order: list[int] = []
        self._indexes: dict[str, dict[Any, dict[int, None]]] = {column: {} for column in KINDS[kind].indexes}

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records.values())

    def get(self, record_id: int) -> Record | None:
        """Return a record, deleted or not."""
        return self.records.get(record_id)

    def next_id(self) -> int:
        """Return the id the next record gets."""
        return max(self.last_id, self.order[-1] if self.order else 0) + 1

    def put(self, record: Record) -> Record | None:
        """Add or replace a record; return what it was before."""
        record_id = record["id"]
        before = self.records.get(record_id)
        self.records[record_id] = record
        if before is None:
            self.order.append(record_id)
        for column, index in self._indexes.items():
            value = record.get(column)
            if before is not None:
                if before.get(column) == value:
                    continue
                index.get(before.get(column), {}).pop(record_id, None)
            if value is not None:
                index.setdefault(value, {})[record_id] = None
        return before

    def remove(self, record_id: int) -> None:
        """Forget a record."""
        record = self.records.pop(record_id)
        self.last_id = max(self.last_id, self.order[-1])
        del self.order[bisect_left(self.order, record_id)]
        for column, index in self._indexes.items():
            index.get(record.get(column), {}).pop(record_id, None)

    def find(self, column: str, value: Any) -> list[Record]:
        """Return the records whose indexed column has this value, by ascending id."""
        return [self.records[record_id] for record_id in sorted(self._indexes[column].get(value, ()))]

    def is_indexed(self, column: str) -> bool:
        """Whether `find` knows the column."""
        return column in self._indexes

    def after(self, record_id: int) -> Iterator[Record]:
        """Yield the records with a higher id, ascending."""
        for position in range(bisect_right(self.order, record_id), len(self.order)):
            yield self.records[self.order[position]]

    def before(self, record_id: int) -> Iterator[Record]:
        """Yield the records with a lower id, descending."""
        for position in range(bisect_left(self.order, record_id) - 1, -1, -1):
            yield self.records[self.order[position]]


class Store:
    """All tables, a few named values, and the bytes of files."""

    def __init__(self, path: Path | None = None) -> None:
        self.tables = {kind: Table(kind) for kind in KINDS}
        self.meta: dict[str, Any] = {}
        self.observers: list[Observer] = []
        self._path = path
        self._blobs: dict[str, bytes] = {}
        self._changed: list[tuple[str, Record]] = []
        self._removed: list[tuple[str, int]] = []
        self._changed_meta: set[str] = set()
        self._database = open_state(path) if path is not None else None
        if self._database is not None:
            self._load(self._database)

    def __getitem__(self, kind: str) -> Table:
        return self.tables[kind]

    def put(self, kind: str, record: Record) -> None:
        """Add or replace a record; it is durable after `commit`."""
        before = self.tables[kind].put(record)
        if self._database is not None:
            self._changed.append((kind, record))
        for observe in self.observers:
            observe(kind, before, record)

    def remove(self, kind: str, record_id: int) -> None:
        """Forget a record for good; durable after `commit`."""
        table = self.tables[kind]
        table.remove(record_id)
        self.set_meta(LAST_ID + kind, table.last_id)
        if self._database is not None:
            self._removed.append((kind, record_id))

    def set_meta(self, name: str, value: Any) -> None:
        """Set a named JSON value; it is durable after `commit`."""
        self.meta[name] = value
        if self._database is not None:
            self._changed_meta.add(name)

    def put_blob(self, digest: str, content: bytes) -> None:
        """Keep the bytes of a file under their SHA-256."""
        if self._database is None:
            self._blobs[digest] = content
        else:
            self._database.execute("INSERT OR IGNORE INTO blob VALUES (?, ?)", (digest, content))

    def get_blob(self, digest: str) -> bytes:
        """Return the bytes of a file."""
        if self._database is None:
            return self._blobs[digest]
        row = self._database.execute("SELECT content FROM blob WHERE digest = ?", (digest,)).fetchone()
        return bytes(row[0])

    def commit(self) -> None:
        """Make everything since the last commit durable."""
        if self._database is None or not (self._changed or self._removed or self._changed_meta):
            return
        run = self._database.execute
        run("BEGIN")
        for kind, record in self._changed:
            run("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", (kind, record["id"], orjson.dumps(record)))
        for removed in self._removed:
            run("DELETE FROM record WHERE kind = ? AND id = ?", removed)
        for name in self._changed_meta:
            run("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, orjson.dumps(self.meta[name])))
        run("COMMIT")
        self._changed.clear()
        self._removed.clear()
        self._changed_meta.clear()

    def clear(self) -> None:
        """Forget everything, in the file too."""
        self.tables = {kind: Table(kind) for kind in KINDS}
        self.meta.clear()
        self._blobs.clear()
        self._changed.clear()
        self._removed.clear()
        self._changed_meta.clear()
        if self._database is not None:
            self._database.executescript("BEGIN; DELETE FROM record; DELETE FROM meta; DELETE FROM blob; COMMIT;")

    def close(self) -> None:
        """Commit and release the file."""
        if self._database is not None:
            self.commit()
            self._database.close()
            self._database = None

    def _load(self, database: sqlite3.Connection) -> None:
        try:
            rows: Iterable[tuple[str, int, bytes]] = database.execute("SELECT kind, id, body FROM record ORDER BY kind, id")
            for kind, record_id, body in rows:
                record = orjson.loads(body)
                if record["id"] != record_id:
                    raise ValueError(f"in the place of {kind} {record_id} stands {record['id']}")
                self.tables[kind].put(record)
            for name, value in database.execute("SELECT name, value FROM meta"):
                self.meta[name] = orjson.loads(value)
                if name.startswith(LAST_ID):
                    self.tables[name.removeprefix(LAST_ID)].last_id = self.meta[name]
        except (sqlite3.Error, LookupError, TypeError, AttributeError, ValueError) as error:
            raise StoreError(f"the state file {self._path} is damaged ({error}); move it away to start with a new account") from error
        if any(self.tables["user"].get(user_id) is None for user_id in self.meta.get("tokens", {}).values()):
            raise StoreError(f"the state file {self._path} is damaged (tokens of no user); move it away to start with a new account")
        if "salt" not in self.meta and any(self.tables.values()):
            raise StoreError(f"the state file {self._path} is damaged (it has records of no account); move it away to start with a new account")
