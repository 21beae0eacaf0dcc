"""The snapshot index: every record of a migration's frozen pages, on disk, for look-ups.

Mapping a record needs other records (the name of a state, the contacts of a client, the document before this one). The index is derived from
the pages the ledger lists and the content staging holds; it may be deleted at any instant and is built again. A record read again by a later page
has several versions; a view sees the newest one up to the view's sequence, so that the same snapshot gives the same answers for ever.
Memory does not grow with the number of records.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from services.transformer.values import ValueIndex

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from transload.v1 import records_pb2

_SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS page (sequence INTEGER PRIMARY KEY, page_id TEXT NOT NULL, entity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
  row INTEGER PRIMARY KEY, entity TEXT NOT NULL, source_id TEXT NOT NULL, sequence INTEGER NOT NULL, position INTEGER NOT NULL,
  envelope BLOB NOT NULL, UNIQUE (entity, source_id, sequence));
CREATE INDEX IF NOT EXISTS record_by_entity ON record (entity, row);
CREATE TABLE IF NOT EXISTS link (
  entity TEXT NOT NULL, field TEXT NOT NULL, parent_id TEXT NOT NULL, source_id TEXT NOT NULL, sequence INTEGER NOT NULL,
  PRIMARY KEY (entity, field, parent_id, source_id, sequence)) WITHOUT ROWID;
"""
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
_LINK_FIELD = re.compile(r"(?:[-_]id|Id)$")
_LINK_LIST = re.compile(r"(?:[-_]ids|Ids)$")
_CHILD_ID = "id"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One raw record as a page holds it.

    `data` is the record exactly as the source gave it and must not be changed; file entities have the page's `file` object in it as well.
    """

    entity: str
    id: str
    data: Mapping[str, Any]
    is_deleted: bool = False
    is_archived: bool = False
    sequence: int = 0
    position: int = 0

    @property
    def source_key(self) -> str:
        """The record as `{entity}/{id}`."""
        return f"{self.entity}/{self.id}"


def parse_envelopes(entity: str, sequence: int, content: bytes) -> Iterator[Envelope]:
    """Read the envelopes of a page's uncompressed content, in order."""
    for position, raw in enumerate(orjson.loads(content)):
        yield envelope_of(entity, raw, sequence=sequence, position=position)


def envelope_of(entity: str, raw: Mapping[str, Any], *, sequence: int = 0, position: int = 0) -> Envelope:
    """Make an envelope from its JSON form."""
    file = raw.get("file")
    return Envelope(
        entity=entity,
        id=str(raw["id"]),
        data=raw["data"] if file is None else {**raw["data"], "file": file},
        is_deleted=bool(raw.get("is_deleted", False)),
        is_archived=bool(raw.get("is_archived", False)),
        sequence=sequence,
        position=position,
    )


class Lookup(Protocol):
    """What mapping, profile, sample and exports may ask of a snapshot. All answers leave deleted records in; callers look at `is_deleted`."""

    def get(self, entity: str, source_id: str) -> Envelope | None:
        """Answer the newest version of a record, None when the snapshot has no such record."""

    def children(self, entity: str | Sequence[str], field_name: str, parent_id: str) -> list[Envelope]:
        """Answer the records of one or several entities whose `field_name` holds `parent_id`, by entity and id (as a number where it is one)."""

    def find(self, entity: str, field_name: str, value: str, *, loosely: bool = False) -> list[Envelope]:
        """Answer the records that hold a value in any field, in a list also; capitals and blanks do not count, `loosely` nor do marks."""

    def iterate(self, entity: str) -> Iterator[Envelope]:
        """Go through the newest versions of all records of `entity` in the order they were read."""


class PageSource(Protocol):
    """Where the index learns which pages there are (the ledger)."""

    def list_pages(self, migration_id: str, *, after_sequence: int, until_sequence: int) -> AsyncIterator[records_pb2.Page]:
        """Go through pages by sequence."""


class PageStore(Protocol):
    """Where the content of pages is (staging)."""

    async def get_page(self, digest: str) -> bytes:
        """Answer the uncompressed content of a page."""


def link_values(data: Mapping[str, Any], references: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Find the references a raw record holds, as (field, id).

    A field among `references` is one, and a field whose name ends in `-id`, `_id` or `Id`. So is a list of numbers, of objects with an `id`, or of
    texts under a name that ends in `-ids`, `_ids` or `Ids` (field = the list's name), and a reference field inside the objects of a list
    (field = `{list}.{field}`).
    """
    seen: set[tuple[str, str]] = set()
    for name, value in data.items():
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            if value != "" and (name in references or _LINK_FIELD.search(name)):
                seen.add((name, str(value)))
        elif isinstance(value, list):
            for element in value:
                seen.update(_list_links(name, element))
    yield from sorted(seen)


def _list_links(name: str, element: object) -> Iterator[tuple[str, str]]:
    if isinstance(element, int) and not isinstance(element, bool):
        yield name, str(element)
    elif isinstance(element, str):
        if element and _LINK_LIST.search(name):
            yield name, element
    elif isinstance(element, dict):
        for inner, value in element.items():
            if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
                if inner == _CHILD_ID:
                    yield name, str(value)
                elif _LINK_FIELD.search(inner):
                    yield f"{name}.{inner}", str(value)


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


@dataclass(slots=True)
class _Migration:
    path: Path
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sequence: int = 0
    is_open: bool = False
    views: OrderedDict[int, SnapshotView] = field(default_factory=OrderedDict)


class SnapshotIndex:
    """Keeps the index files of the migrations in work, one SQLite file each; the longest unused file goes when there are too many.

    Args:
        folder: where the files are; created when missing.
        pages: lists the pages (the ledger).
        store: holds their content (staging).
        migrations_max: files kept, at least 1.
        views_max: snapshots of one migration kept open, at least 1.
    """

    def __init__(self, folder: Path, *, pages: PageSource, store: PageStore, migrations_max: int = 16, views_max: int = 4) -> None:
        self._folder = folder
        self._pages = pages
        self._store = store
        self._migrations_max = migrations_max
        self._views_max = views_max
        self._migrations: OrderedDict[str, _Migration] = OrderedDict()

    async def ensure(self, migration_id: str, sequence: int) -> SnapshotView:
        """Answer a view of the pages up to `sequence`, taking in those that are missing. 0 means all there are now.

        Raises:
            UnavailableError: the ledger or staging does not answer; what was taken in stays.
        """
        migration = self._migration(migration_id)
        async with migration.lock:
            if not migration.is_open:
                migration.sequence = await asyncio.to_thread(_open_file, migration.path)
                migration.is_open = True
            if sequence == 0 or migration.sequence < sequence:
                async for page in self._pages.list_pages(migration_id, after_sequence=migration.sequence, until_sequence=sequence):
                    content = await self._store.get_page(page.digest)
                    await asyncio.to_thread(_take_in, migration.path, page.sequence, page.page_id, page.entity, content)
                    migration.sequence = page.sequence
            return self._view(migration, migration_id, sequence or migration.sequence)

    async def evict(self, migration_id: str) -> None:
        """Forget a migration and delete its file; the next `ensure` builds it again."""
        migration = self._migrations.pop(migration_id, None)
        if migration is not None:
            async with migration.lock:
                self._drop(migration)

    def close(self) -> None:
        """Close every view; files stay."""
        for migration in self._migrations.values():
            _close_views(migration)
        self._migrations.clear()

    def _migration(self, migration_id: str) -> _Migration:
        migration = self._migrations.get(migration_id)
        if migration is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            migration = self._migrations[migration_id] = _Migration(path=self._folder / f"{migration_id}.db")
        self._migrations.move_to_end(migration_id)
        idle = [name for name, other in self._migrations.items() if name != migration_id and not other.lock.locked()]
        for name in idle[: max(0, len(self._migrations) - self._migrations_max)]:
            self._drop(self._migrations.pop(name))
        return migration

    def _view(self, migration: _Migration, migration_id: str, sequence: int) -> SnapshotView:
        view = migration.views.get(sequence)
        if view is None:
            view = migration.views[sequence] = SnapshotView(migration.path, migration_id=migration_id, sequence=sequence)
            if len(migration.views) > self._views_max:
                # Only forgotten, not closed: another task may be reading it. The handle goes with the last reference.
                migration.views.popitem(last=False)
        migration.views.move_to_end(sequence)
        return view

    @staticmethod
    def _drop(migration: _Migration) -> None:
        _close_views(migration)
        _delete_file(migration.path)
        migration.is_open = False


def _close_views(migration: _Migration) -> None:
    for view in migration.views.values():
        view.close()
    migration.views.clear()


def _delete_file(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    # NORMAL keeps the file whole across a power cut; the newest pages may be missing then and are taken in again.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _open_file(path: Path) -> int:
    """Open or create an index file and answer the sequence it reaches. A file that cannot be read or is of another version is built anew."""
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(_connect(path)) as connection:
        connection.executescript(_SCHEMA)
        version = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        if version is not None and version[0] == _SCHEMA_VERSION:
            return int(connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM page").fetchone()[0])
    _delete_file(path)
    with contextlib.closing(_connect(path)) as connection:
        connection.executescript(_SCHEMA)
        connection.execute("INSERT INTO meta VALUES ('version', ?)", (_SCHEMA_VERSION,))
    return 0


def _take_in(path: Path, sequence: int, page_id: str, entity: str, content: bytes) -> None:
    """Write one page, its records and their links in one transaction."""
    records: list[tuple[object, ...]] = []
    links: list[tuple[object, ...]] = []
    for position, raw in enumerate(orjson.loads(content)):
        source_id = str(raw["id"])
        records.append((entity, source_id, sequence, position, orjson.dumps(raw)))
        links.extend((entity, name, parent_id, source_id, sequence) for name, parent_id in link_values(raw["data"], raw.get("references") or ()))
    with contextlib.closing(_connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have taken the page in already; writing it again would only change the order of iteration.
        if connection.execute("INSERT OR IGNORE INTO page VALUES (?, ?, ?)", (sequence, page_id, entity)).rowcount:
            _replace(connection, records, links)
        connection.execute("COMMIT")


def _replace(connection: sqlite3.Connection, records: Iterable[tuple[object, ...]], links: Iterable[tuple[object, ...]]) -> None:
    connection.executemany("INSERT OR REPLACE INTO record (entity, source_id, sequence, position, envelope) VALUES (?, ?, ?, ?, ?)", records)
    connection.executemany("INSERT OR REPLACE INTO link VALUES (?, ?, ?, ?, ?)", links)
