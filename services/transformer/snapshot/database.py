"""The file of the index: its tables, and pages taken into them."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import orjson

from services.transformer.snapshot.link_fields import link_values

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


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


def delete_file(path: Path) -> None:
    """Take an index file away, with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    # NORMAL keeps the file whole across a power cut; the newest pages may be missing then and are taken in again.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def open_file(path: Path) -> int:
    """Open or create an index file and answer the sequence it reaches. A file that cannot be read or is of another version is built anew."""
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(_connect(path)) as connection:
        connection.executescript(_SCHEMA)
        version = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        if version is not None and version[0] == _SCHEMA_VERSION:
            return int(connection.execute("SELECT COALESCE(MAX(sequence), 0) FROM page").fetchone()[0])
    delete_file(path)
    with contextlib.closing(_connect(path)) as connection:
        connection.executescript(_SCHEMA)
        connection.execute("INSERT INTO meta VALUES ('version', ?)", (_SCHEMA_VERSION,))
    return 0


def take_in(path: Path, sequence: int, page_id: str, entity: str, content: bytes) -> None:
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
