"""Reading a table page by page. A page ends after so many rows or bytes, whichever comes first, so the same file always gives the same pages."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.extractor.connector import Cursor, EntityMalformedError, RawRecord
from services.extractor.connectors.bundle.attachments import FileFinder, member_digest, parse_link
from services.extractor.connectors.bundle.dates import zone_of
from services.extractor.connectors.bundle.rows import RowReader, holds, row_id
from services.extractor.connectors.bundle.workbooks import BrokenTableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from services.extractor.connectors.bundle.bundle import Bundle
    from services.extractor.connectors.bundle.container import Member
    from services.extractor.connectors.bundle.index import LastVersions, Occurrences, PathSet
    from services.extractor.connectors.bundle.profile import TableFacts

PAGE_CHARACTERS_MAX: Final = 2 * 1024 * 1024
"""Cells of a page, after which it ends: rows may be large."""


@dataclass(frozen=True, slots=True)
class Position:
    """What a cursor holds."""

    bundle: str
    """Fingerprint of the bundle that is read."""
    row: int = 0
    """Rows of the table that are done, over all its files."""
    gone: int = -1
    """Sequence of the frozen page up to which deletions are done; -1: rows are not done yet."""

    def to_cursor(self) -> Cursor:
        """Write it as JSON."""
        fields = {"bundle": self.bundle, "row": self.row, **({"gone": self.gone} if self.gone >= 0 else {})}
        return Cursor(orjson.dumps(fields).decode())

    @classmethod
    def from_cursor(cls, cursor: Cursor) -> Position:
        """Read what `to_cursor` wrote."""
        return cls(**orjson.loads(cursor))


@dataclass(frozen=True, slots=True)
class RowPage:
    """Some rows of a table as records."""

    row: int
    """Rows of the table that are done with it."""
    records: tuple[RawRecord, ...]


class TableReader:
    """Reads the rows of one table from a row on."""

    def __init__(
        self,
        bundle: Bundle,
        facts: TableFacts,
        *,
        after_row: int = 0,
        occurrences: Occurrences | None = None,
        last: LastVersions | None = None,
        listed: PathSet | None = None,
    ) -> None:
        self._bundle = bundle
        self._facts = facts
        self._layout = bundle.layout.entities[facts.entity]
        self._after_row = after_row
        self._occurrences = occurrences
        self._last = last
        self._listed = listed
        self._references = tuple(
            name
            for name, column in self._layout.columns.items()
            if column.refers_to and "." not in column.refers_to and not name.endswith(("_id", "_ids"))
        )
        self._passes_over = occurrences is None and last is None and listed is None
        self._finder = FileFinder(facts.entity, bundle.container, self._layout.file, bundle.shares) if self._layout.file else None
        self.moved_count = 0
        """Times that a change of the clocks leaves out or repeats."""

    def files(self) -> Iterator[tuple[str, str, Member | None]]:
        """Yield id, path and file of every row of a table of files; the file is None where it is not there."""
        if self._finder is not None:
            for source_id, data, _ in self._rows():
                path = self._finder.path_of(data)
                yield source_id, path, self._finder.find(path)

    def pages(self) -> Iterator[RowPage]:
        """Yield pages; with `last`, of records that are new or changed only.

        Raises:
            EntityMalformedError: The table is not what the check found.
        """
        rows = self._after_row if self._passes_over else 0
        batch: list[tuple[str, dict[str, Any]]] = []
        kept: list[RawRecord] = []
        characters = 0
        page_rows = self._bundle.options.page_rows
        for source_id, data, size in self._rows():
            rows += 1
            batch.append((source_id, data))
            characters += size
            if len(batch) >= page_rows or characters >= PAGE_CHARACTERS_MAX:
                kept += self._records(batch, rows)
                batch, characters = [], 0
                # In a delta most rows are unchanged: a page waits until it has something to hold.
                if rows > self._after_row and (self._last is None or len(kept) >= page_rows):
                    yield RowPage(rows, tuple(kept))
                    kept = []
        kept += self._records(batch, rows)
        if kept:
            yield RowPage(rows, tuple(kept))

    def _records(self, batch: Sequence[tuple[str, dict[str, Any]]], rows: int) -> list[RawRecord]:
        """Make records of the rows of a batch that are not done yet; ids and versions of those that are count all the same."""
        ids = [source_id for source_id, _ in batch]
        if self._occurrences is not None and ids:
            ids = [one if number == 1 else f"{one}~{number}" for one, number in zip(ids, self._occurrences.number(ids), strict=True)]
        first = rows - len(batch)
        records = [self._record(one, data) for one, (_, data) in zip(ids, batch, strict=True)]
        if self._last is None:
            return records[max(0, self._after_row - first) :]
        changed = self._last.changed(records)
        changed |= self._other_files([one for one in records[max(0, self._after_row - first) :] if one.source_id not in changed])
        return [record for place, record in enumerate(records, start=first) if place >= self._after_row and record.source_id in changed]

    def _other_files(self, records: Sequence[RawRecord]) -> set[str]:
        """Answer the ids of records whose rows are what they were, and whose files are not."""
        how, finder = self._bundle.options.file_changes, self._finder
        if finder is None or self._last is None or how == "ignore":
            return set()
        before = self._last.files(one.source_id for one in records if not one.is_deleted)
        found: set[str] = set()
        for record in records:
            # A file that is not in this bundle stays as it is: some exports bring new files only.
            if record.source_id not in before or record.link is None or (member := finder.find(parse_link(record.link)[1])) is None:
                continue
            byte_count, digest = before[record.source_id]
            if member.byte_count != byte_count or (how == "bytes" and digest and member_digest(self._bundle.container, member) not in {digest, ""}):
                found.add(record.source_id)
        return found

    def _record(self, source_id: str, data: dict[str, Any]) -> RawRecord:
        is_deleted, is_archived = holds(self._layout.deleted_when, data), holds(self._layout.archived_when, data)
        if self._finder is not None:
            return self._finder.record(source_id, data, is_deleted=is_deleted, is_archived=is_archived)
        return RawRecord(source_id, data, is_deleted, is_archived, references=self._references)

    def _rows(self) -> Iterator[tuple[str, dict[str, Any], int]]:
        """Yield id, data and size of every row; what is done already and needs no counting is passed over unread."""
        facts, bundle = self._facts, self._bundle
        if not facts.parts and self._finder is not None:
            loose = itertools.islice(self._finder.loose(), self._after_row if self._passes_over else 0, None)
            yield from ((path, data, len(path)) for path, data in loose)
            return
        zone = zone_of(bundle.formats.time_zone) if bundle.formats.time_zone else None
        done = 0
        for part in facts.parts:
            try:
                rows = bundle.rows(part)
                heads = bundle.heads(facts.entity, next(rows)[1])
                reader = RowReader(self._layout, heads, facts, formats=bundle.formats, zone=zone, currency=bundle.formats.currency or "")
                for _, cells in rows:
                    done += 1
                    if self._passes_over and done <= self._after_row:
                        continue
                    data = reader.data(cells)
                    if self._listed is not None:
                        self._note_file(data)
                    yield reader.source_id(cells) or row_id(data), data, sum(map(len, cells))
            except BrokenTableError as error:
                raise EntityMalformedError(f"{part.path}: {error}") from error
            self.moved_count += reader.moved_count
        if self._finder is not None and self._listed is not None:
            yield from ((path, data, len(path)) for path, data in self._finder.loose() if path not in self._listed)

    def _note_file(self, data: dict[str, Any]) -> None:
        """Remember which file a row names, so that those no row names are known."""
        if self._finder is not None and self._listed is not None and (member := self._finder.find(self._finder.path_of(data))) is not None:
            self._listed.add([member.path])
