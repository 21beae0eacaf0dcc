"""What must be known of all rows at once: ids, references, and what was frozen before. On disk, so that memory does not grow with the bundle."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from services.extractor.connectors.bundle.rows import content_hash
from services.extractor.files import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from services.extractor.connector import RawRecord

SAMPLES_MAX: Final = 10
CACHE_KIBIBYTES: Final = 8_192
_SCHEMA: Final = """
CREATE TABLE ids (target TEXT, id TEXT, row INTEGER, PRIMARY KEY (target, id)) WITHOUT ROWID;
CREATE TABLE pending (source TEXT, target TEXT, id TEXT, row INTEGER, count INTEGER, PRIMARY KEY (source, target, id)) WITHOUT ROWID;
"""


def _connect(path: Path, schema: str) -> sqlite3.Connection:
    # One thread at a time uses it, but not always the same one.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{CACHE_KIBIBYTES}; BEGIN;" + schema)
    return connection


class _Database:
    def __init__(self, path: Path, schema: str) -> None:
        self._database = _connect(path, schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def _rows(self, query: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
        with closing(self._database.cursor()) as cursor:
            yield from cursor.execute(query, parameters)


class ReferenceIndex(_Database):
    """Ids of all tables, and what refers to them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA)

    def add_ids(self, target: str, ids: Sequence[tuple[str, int]]) -> list[tuple[str, int, int]]:
        """Remember ids with their rows; answers those that were there before, with the row they had first and the one now."""
        before = self._database.total_changes
        self._database.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?, ?)", ((target, one, row) for one, row in ids))
        if self._database.total_changes - before == len(ids):
            return []
        found = dict(
            self._rows("SELECT id, row FROM ids WHERE target = ? AND id IN (SELECT value FROM json_each(?))", target, _json(one for one, _ in ids))
        )
        return [(one, found[one], row) for one, row in ids if found[one] != row]

    def add_references(self, source: str, target: str, found: Mapping[str, tuple[int, int]]) -> None:
        """Remember references with their first row and how often they came; those that lead to a known id are let go at once."""
        known = {one for (one,) in self._rows("SELECT id FROM ids WHERE target = ? AND id IN (SELECT value FROM json_each(?))", target, _json(found))}
        self._database.executemany(
            "INSERT INTO pending VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            ((source, target, one, row, count) for one, (row, count) in found.items() if one not in known),
        )

    def broken(self) -> Iterator[tuple[str, str, int, list[int]]]:
        """Yield source and target of references that lead nowhere, how many rows have one, and the first of these rows."""
        query = (
            "SELECT source, target, SUM(count) FROM pending p WHERE NOT EXISTS (SELECT 1 FROM ids i WHERE i.target = p.target AND i.id = p.id)"
            " GROUP BY source, target ORDER BY source, target"
        )
        sample = (
            "SELECT row FROM pending p WHERE source = ? AND target = ?"
            " AND NOT EXISTS (SELECT 1 FROM ids i WHERE i.target = p.target AND i.id = p.id) ORDER BY row LIMIT ?"
        )
        for source, target, count in list(self._rows(query)):
            yield source, target, count, [row for (row,) in self._rows(sample, source, target, SAMPLES_MAX)]


class PathSet(_Database):
    """Paths of files that rows name."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "CREATE TABLE paths (path TEXT PRIMARY KEY) WITHOUT ROWID;")

    def add(self, paths: Sequence[str]) -> None:
        """Remember paths."""
        self._database.executemany("INSERT OR IGNORE INTO paths VALUES (?)", ((path,) for path in paths))

    def __contains__(self, path: str) -> bool:
        return next(self._rows("SELECT 1 FROM paths WHERE path = ?", path), None) is not None


class Occurrences(_Database):
    """Counts how often each id has come in a table."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "CREATE TABLE seen (id TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID;")

    def number(self, ids: Sequence[str]) -> list[int]:
        """Answer for each id which time it comes, from 1, and remember it."""
        counts: dict[str, int] = dict(self._rows("SELECT id, count FROM seen WHERE id IN (SELECT value FROM json_each(?))", _json(ids)))
        numbers = []
        for one in ids:
            counts[one] = counts.get(one, 0) + 1
            numbers.append(counts[one])
        self._database.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?)", counts.items())
        return numbers


class LastVersions(_Database):
    """The last frozen version of every record of a table, over all extractions, and which of them the bundle still has."""

    def __init__(self, path: Path) -> None:
        columns = "id TEXT PRIMARY KEY, hash TEXT, sequence INTEGER, is_gone INTEGER, is_there INTEGER, bytes INTEGER, digest TEXT"
        super().__init__(path, f"CREATE TABLE last ({columns}) WITHOUT ROWID;")

    def add(self, sequence: int, envelopes: Iterable[Mapping[str, Any]]) -> None:
        """Take a frozen page; later pages replace earlier ones."""
        self._database.executemany(
            "INSERT OR REPLACE INTO last VALUES (?, ?, ?, ?, 0, ?, ?)",
            ((one["id"], _frozen_version(one), sequence, one["is_deleted"], *_frozen_file(one)) for one in envelopes),
        )

    def changed(self, records: Sequence[RawRecord]) -> set[str]:
        """Note that records are in the bundle; answers the ids of those that are new or not what they were."""
        ids = _json(one.source_id for one in records)
        known = {
            one: (version, bool(is_gone))
            for one, version, is_gone in self._rows("SELECT id, hash, is_gone FROM last WHERE id IN (SELECT value FROM json_each(?))", ids)
        }
        self._database.execute("UPDATE last SET is_there = 1 WHERE id IN (SELECT value FROM json_each(?))", (ids,))
        return {one.source_id for one in records if known.get(one.source_id) != (_version(one.data, is_archived=one.is_archived), one.is_deleted)}

    def files(self, ids: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Answer size and digest of the files that these records had; an empty digest where only the size is known."""
        query = "SELECT id, bytes, digest FROM last WHERE bytes IS NOT NULL AND id IN (SELECT value FROM json_each(?))"
        return {one: (byte_count, digest) for one, byte_count, digest in self._rows(query, _json(ids))}

    def missing(self, sequence: int) -> set[str]:
        """Answer the records whose last version is on this page, that were not deleted then and are not in the bundle now."""
        return {one for (one,) in self._rows("SELECT id FROM last WHERE sequence = ? AND is_gone = 0 AND is_there = 0", sequence)}

    def counts(self) -> tuple[int, int]:
        """Answer how many records there were before, and how many of them the bundle has not."""
        row = next(self._rows("SELECT COUNT(*), SUM(is_there = 0) FROM last WHERE is_gone = 0"))
        return row[0], row[1] or 0


def _version(data: Mapping[str, Any], *, is_archived: bool) -> str:
    """Answer what changes when a record does."""
    return content_hash(data) + ("a" if is_archived else "")


def _frozen_version(envelope: Mapping[str, Any]) -> str:
    """Answer the version of a frozen record; none of a file that could not be had, so that it is tried again."""
    file = envelope.get("file")
    if isinstance(file, dict) and file.get("problem") == UNAVAILABLE:
        return ""
    return _version(envelope["data"], is_archived=bool(envelope["is_archived"]))


def _frozen_file(envelope: Mapping[str, Any]) -> tuple[int | None, str]:
    """Answer size and digest of the file that was read with a record; no size where none was."""
    file = envelope.get("file")
    if not isinstance(file, dict) or file.get("problem") == UNAVAILABLE or not isinstance(file.get("byte_count"), int):
        return None, ""
    return file["byte_count"], str(file.get("digest") or "")


def _json(values: Iterable[str]) -> str:
    return orjson.dumps(list(values)).decode()
