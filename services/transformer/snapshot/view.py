"""Look-ups in a snapshot: the records of one migration as the pages up to a sequence tell them."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import orjson

from services.transformer.snapshot.envelope import Envelope, envelope_of
from services.transformer.snapshot.values import ValueIndex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


# Every query sees, of each record, the version with the highest sequence up to the view's own (`:until`).
_GET = """
SELECT r.entity, r.source_id, r.sequence, r.position, r.envelope FROM record r
WHERE r.entity = ? AND r.source_id = ? AND r.sequence <= ? ORDER BY r.sequence DESC LIMIT 1
"""
_VERSIONS = """
SELECT r.source_id, r.sequence, r.position FROM record r
WHERE r.entity = ? AND r.source_id IN (SELECT value FROM json_each(?)) AND r.sequence <= ? ORDER BY r.sequence
"""
# A child counts where its newest version is the one that points to the parent: a version that was replaced may have pointed elsewhere.
_CHILDREN = """
SELECT r.entity, r.source_id, r.sequence, r.position, r.envelope FROM link l
JOIN record r ON r.entity = l.entity AND r.source_id = l.source_id AND r.sequence = l.sequence
WHERE l.entity = ? AND l.field = ? AND l.parent_id = ? AND l.sequence <= ?
AND NOT EXISTS (SELECT 1 FROM record n WHERE n.entity = r.entity AND n.source_id = r.source_id AND n.sequence > r.sequence AND n.sequence <= ?)
ORDER BY CAST(l.source_id AS INTEGER), l.source_id
"""
_ITERATE = """
SELECT r.entity, r.source_id, r.sequence, r.position, r.envelope, r.row FROM record r
WHERE r.entity = :entity AND r.row > :after AND r.sequence <= :until
AND NOT EXISTS (SELECT 1 FROM record n WHERE n.entity = r.entity AND n.source_id = r.source_id AND n.sequence > r.sequence AND n.sequence <= :until)
ORDER BY r.row LIMIT :limit
"""
_ENTITIES = "SELECT DISTINCT entity FROM page WHERE sequence <= :until ORDER BY entity"
_COUNT = "SELECT COUNT(DISTINCT source_id) FROM record WHERE entity = :entity AND sequence <= :until"
_ITERATE_ROWS = 200
_CACHE_RECORDS = 4096
_CACHE_BYTES = 2 * 1024 * 1024
"""JSON of the records a view remembers; decoded they take several times as much."""
_CACHE_LINKS = 4096
_CACHE_LINKED = 64
"""Longest list of children a view remembers."""


class SnapshotView:
    """The records of one migration as the pages up to `sequence` tell them. Safe to use from several threads."""

    def __init__(self, path: Path, *, migration_id: str, sequence: int) -> None:
        self.migration_id = migration_id
        self.sequence = sequence
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA query_only = ON")
        self._lock = threading.Lock()
        self._reader_count = 0
        self._cache: OrderedDict[tuple[str, str], tuple[Envelope | None, int]] = OrderedDict()
        self._cache_bytes = 0
        self._links: OrderedDict[tuple[tuple[str, ...], str, str], Sequence[tuple[str, str]]] = OrderedDict()
        self._values = ValueIndex()

    def close(self) -> None:
        """Give the file handle back."""
        with self._lock:
            self._connection.close()
        self._values.close()

    def __del__(self) -> None:
        # A view that was forgotten while somebody still read it is closed by its last reader.
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self._connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Make one transaction of the look-ups inside, which spares each the taking and giving back of a lock on the file."""
        with self._lock:
            if self._reader_count == 0:
                self._connection.execute("BEGIN")
            self._reader_count += 1
        try:
            yield
        finally:
            with self._lock, contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
                self._reader_count -= 1
                if self._reader_count == 0:
                    self._connection.execute("COMMIT")

    def get(self, entity: str, source_id: str) -> Envelope | None:
        """Answer the newest version of a record, None when the snapshot has no such record."""
        with self._lock:
            return self._newest(entity, source_id)

    def _newest(self, entity: str, source_id: str) -> Envelope | None:
        key = (entity, source_id)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key][0]
        row = self._connection.execute(_GET, (entity, source_id, self.sequence)).fetchone()
        if row is not None:
            return self._remember(row)
        self._keep(key, None, 0)
        return None

    def _remember(self, row: tuple[Any, ...]) -> Envelope:
        envelope = _from_row(row)
        self._keep((envelope.entity, envelope.id), envelope, len(row[4]))
        return envelope

    def _keep(self, key: tuple[str, str], envelope: Envelope | None, size: int) -> None:
        self._cache[key] = (envelope, size)
        self._cache_bytes += size
        while len(self._cache) > _CACHE_RECORDS or self._cache_bytes > _CACHE_BYTES:
            _, (_, dropped) = self._cache.popitem(last=False)
            self._cache_bytes -= dropped

    def current(self, envelopes: Sequence[Envelope]) -> list[Envelope]:
        """Answer those of a page's records that no later page of the snapshot (and no later place of the page) holds again, in their order."""
        if not envelopes:
            return []
        names = orjson.dumps([one.id for one in envelopes]).decode()
        with self._lock:
            rows = self._connection.execute(_VERSIONS, (envelopes[0].entity, names, self.sequence)).fetchall()
        newest = {source_id: (sequence, position) for source_id, sequence, position in rows}
        return [one for one in envelopes if newest.get(one.id, (one.sequence, one.position)) == (one.sequence, one.position)]

    def children(self, entity: str | Sequence[str], field_name: str, parent_id: str) -> list[Envelope]:
        """Answer the records of one or several entities whose `field_name` holds `parent_id`, by entity and id (as a number where it is one).

        Fields that can be asked for are those `link_values` finds.
        """
        entities = (entity,) if isinstance(entity, str) else tuple(entity)
        key = (entities, field_name, parent_id)
        with self._lock:
            known = self._links.get(key)
            if known is not None:
                self._links.move_to_end(key)
                return [child for name, source_id in known if (child := self._newest(name, source_id)) is not None]
            found = [
                self._taken(row)
                for name in sorted(set(entities))
                for row in self._connection.execute(_CHILDREN, (name, field_name, parent_id, self.sequence, self.sequence))
            ]
            if len(found) <= _CACHE_LINKED:
                self._links[key] = tuple((child.entity, child.id) for child in found)
                if len(self._links) > _CACHE_LINKS:
                    self._links.popitem(last=False)
        return found

    def _taken(self, row: tuple[Any, ...]) -> Envelope:
        """Answer the record of a row that was read, the one that is remembered if it is."""
        known = self._cache.get((row[0], row[1]))
        return known[0] if known is not None and known[0] is not None else self._remember(row)

    def find(self, entity: str, field_name: str, value: str, *, loosely: bool = False) -> list[Envelope]:
        """Answer the records that hold a value in any field, in a list also; capitals and blanks do not count, `loosely` nor do marks.

        The first time an entity is asked for a field costs reading the entity once; what is remembered of it lies on disk, not in memory.
        """
        return [
            found
            for source_id in self._values.find(self, entity, field_name, value, loosely=loosely)
            if (found := self.get(entity, source_id)) is not None
        ]

    def iterate(self, entity: str) -> Iterator[Envelope]:
        """Go through the newest versions of all records of `entity` in the order they were read; reads a few hundred rows at a time."""
        after = 0
        while True:
            rows = self._query(_ITERATE, {"entity": entity, "after": after, "until": self.sequence, "limit": _ITERATE_ROWS})
            for row in rows:
                yield _from_row(row)
            if len(rows) < _ITERATE_ROWS:
                return
            after = rows[-1][5]

    def entities(self) -> list[str]:
        """Answer the names of all entities with at least one page, sorted."""
        return [row[0] for row in self._query(_ENTITIES, {"until": self.sequence})]

    def count(self, entity: str) -> int:
        """Answer how many different records of `entity` the snapshot holds."""
        rows = self._query(_COUNT, {"entity": entity, "until": self.sequence})
        return int(rows[0][0])

    def _query(self, statement: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()


def _from_row(row: tuple[Any, ...]) -> Envelope:
    return envelope_of(row[0], orjson.loads(row[4]), sequence=row[2], position=row[3])
