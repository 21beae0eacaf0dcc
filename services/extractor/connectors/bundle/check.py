"""The check before anything is read: every byte and every row passes once, and what a person should know comes out as findings.

It also learns how each table must be read (encoding, delimiter, order of dates, decimal sign), so that reading never decides anything.
"""

from __future__ import annotations

import codecs
import itertools
from typing import TYPE_CHECKING, Final

from services.extractor.connectors.bundle import findings as say
from services.extractor.connectors.bundle.check_files import check_files
from services.extractor.connectors.bundle.columns import DATED, NUMERIC, ColumnScan, settle
from services.extractor.connectors.bundle.heads import score
from services.extractor.connectors.bundle.index import ReferenceIndex
from services.extractor.connectors.bundle.own_columns.described import TypesByEntity, read_types
from services.extractor.connectors.bundle.own_columns.proved import OwnColumn, own_places, settle_own
from services.extractor.connectors.bundle.own_columns.typed import extended, with_own
from services.extractor.connectors.bundle.profile import BundleFacts, Check, Finding, OwnType, PartFacts, Severity, TableFacts
from services.extractor.connectors.bundle.scan import FormulaCounts, PartScan, TableCounts
from services.extractor.connectors.bundle.tables import BROKEN, is_workbook, read_formulas, text_rows
from services.extractor.connectors.bundle.text import LINE_BYTES_MAX, TextFacts, examine, lines_of, open_text
from services.extractor.connectors.bundle.workbooks import UNREADABLE, BrokenTableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from services.extractor.connectors.bundle.bundle import Bundle
    from services.extractor.connectors.bundle.heads import Heads
    from services.extractor.connectors.bundle.layout import CellType

BATCH_ROWS: Final = 5_000
DELIMITERS: Final = (",", ";", "\t", "|")
_LOOK_ROWS: Final = 20


def check_bundle(bundle: Bundle, folder: Path, *, is_stopped: Callable[[], bool] = lambda: False) -> Check:
    """Check a whole bundle.

    Args:
        bundle: the bundle.
        folder: where the index is kept while it is needed.
        is_stopped: asked between batches of rows; when true the check ends at once with an error.

    Raises:
        InterruptedError: `is_stopped` said so.
    """
    found = list(say.of_tables(bundle))
    tables: dict[str, TableFacts] = {}
    types: TypesByEntity = {}
    path = folder / "check.db"
    path.unlink(missing_ok=True)
    with ReferenceIndex(path) as index:
        for entity in bundle.layout.entities:
            if entity in bundle.tables.parts:
                scan = _TableScan(bundle, entity, index, is_stopped, types.get(entity, {}))
                tables[entity] = scan.run()
                types |= read_types(bundle, tables[entity])
                found += scan.findings
        for entity, layout in bundle.layout.entities.items():
            if layout.file is not None:
                tables[entity], more = check_files(bundle, entity, tables.get(entity), folder)
                found += more
        if not bundle.is_delta:  # what a partial export refers to may be what it leaves out
            found += say.broken_references(bundle, index.broken())
    path.unlink(missing_ok=True)
    found += say.of_row_counts(bundle, tables)
    found += say.zone_missing([finding for finding in found if finding.code == say.NEEDS_ZONE])
    found = [finding for finding in found if finding.code != say.NEEDS_ZONE or finding.severity is Severity.STOP]
    return Check(bundle=_facts(bundle, tables, found), tables=tables, findings=found)


def _facts(bundle: Bundle, tables: dict[str, TableFacts], found: list[Finding]) -> BundleFacts:
    return BundleFacts(
        name=bundle.container.name,
        fingerprint=bundle.fingerprint,
        tenant=bundle.manifest.tenant or "",
        exported_at=bundle.manifest.exported_at or "",
        time_zone=bundle.formats.time_zone or "",
        currency=bundle.formats.currency or "",
        row_count=sum(table.row_count for table in tables.values()),
        stop="; ".join(finding.message for finding in found if finding.severity is Severity.STOP and not finding.entity),
    )


class _TableScan:
    """Checks one table."""

    def __init__(self, bundle: Bundle, entity: str, index: ReferenceIndex, is_stopped: Callable[[], bool], types: Mapping[str, CellType]) -> None:
        self._bundle = bundle
        self._entity = entity
        self._layout = bundle.layout.entities[entity]
        self._types = types
        self._index = index
        self._is_stopped = is_stopped
        own_types = [OwnType(label=label, type=kind) for label, kind in types.items()]
        self._facts = TableFacts(entity=entity, uses_row_ids=not self._layout.id, own_types=own_types)
        columns = extended(self._layout, types).columns
        self._columns = {name: ColumnScan(name, column) for name, column in columns.items() if column.type in DATED | NUMERIC}
        self._own: dict[str, OwnColumn] = {}
        self._counts = TableCounts()
        self.findings: list[Finding] = []

    def run(self) -> TableFacts:
        """Read every file of the table."""
        facts, options = self._facts, self._bundle.options
        for member in self._bundle.tables.parts[self._entity]:
            part = PartFacts(path=member.path, quotes=self._bundle.formats.quotes)
            try:
                if not is_workbook(member.path):
                    part = self._examined(part)
                facts.parts.append(part)
                self._scan(part)
            except BrokenTableError as error:
                self._stop("table_broken", f"{part.path}: {error}", part.path, error.option)
        refuses = {"refuses_wide": options.wide_rows == "refuse", "refuses_repeated": options.duplicate_ids == "refuse"}
        self.findings += say.of_rows(self._entity, self._counts, **refuses)
        facts.columns, found = settle(self._entity, self._columns, self._bundle.formats)
        self.findings += found
        facts.own, found = settle_own(self._entity, self._own, self._columns.values(), self._bundle.formats)
        self.findings += found
        facts.row_count = self._counts.row_count
        facts.has_repeated_ids = bool(self._counts.repeated_ids.count or self._counts.without_id.count)
        facts.stop = "; ".join(finding.message for finding in self.findings if finding.severity is Severity.STOP)
        return facts

    def _examined(self, part: PartFacts) -> PartFacts:
        """Learn a file's encoding and delimiter."""
        formats = self._bundle.formats
        encoding = formats.encoding
        try:
            codecs.lookup("utf-8" if encoding == "auto" else encoding)
        except LookupError:
            self._stop("encoding_unknown", f"{encoding!r} is no encoding", part.path, "encoding")
            encoding = "auto"
        try:
            with self._bundle.container.open(part.path) as stream:
                text = examine(stream, encoding=encoding)
        except UNREADABLE as error:
            raise BrokenTableError(f"it cannot be read to its end ({type(error).__name__}): copy the bundle again", 0) from error
        if text.line_bytes_max > LINE_BYTES_MAX:
            raise BrokenTableError(f"a line has {text.line_bytes_max:,} bytes: this is no table of lines", 0)
        self.findings += say.of_text(self._entity, part.path, text)
        part = part.model_copy(update={"text": text})
        delimiter = "\t" if formats.delimiter == "tab" else formats.delimiter
        return part.model_copy(update={"delimiter": self._delimiter(part, text) if delimiter == "auto" else delimiter})

    def _delimiter(self, part: PartFacts, text: TextFacts) -> str:
        """Answer the delimiter with which the most heads are recognised; of equals the one that gives most rows the same number of cells."""
        best, best_rating = ",", (-1, -1)
        for delimiter in DELIMITERS:
            rows = self._first_rows(part.model_copy(update={"delimiter": delimiter, "quotes": "lenient"}), text)
            if not rows:
                continue
            known, width = score(rows[0], self._layout)
            rating = (known, width if sum(len(row) == width for row in rows) * 2 > len(rows) else 1)
            if rating > best_rating:
                best, best_rating = delimiter, rating
        return best

    def _first_rows(self, part: PartFacts, facts: TextFacts) -> list[Sequence[str]]:
        with self._bundle.container.open(part.path) as stream, open_text(stream, facts) as text:
            try:
                rows = text_rows(lines_of(text, facts), part)
                return [row for row in itertools.islice(rows, _LOOK_ROWS) if any(row)]
            except BROKEN:
                return []

    def _scan(self, part: PartFacts) -> None:
        rows = self._bundle.rows(part)
        _, cells = next(rows)
        heads = self._bundle.heads(self._entity, cells)
        self._take_heads(heads, part)
        heads = with_own(heads, self._types)
        places = own_places(heads)
        for name in places:
            self._own.setdefault(name, OwnColumn(name.partition(".")[2]))
        scan = PartScan(
            self._entity,
            self._layout,
            heads,
            columns=self._columns,
            own=[(place, self._own[name]) for name, place in places.items()],
            counts=self._counts,
            index=self._index,
            targets=self._targets(),
            uses_row_ids=self._facts.uses_row_ids or bool(heads.id_missing(self._layout)),
        )
        try:
            for place, (number, row) in enumerate(rows, start=1):
                scan.take(number, row)
                if place % BATCH_ROWS == 0:
                    scan.flush()
                    if self._is_stopped():
                        raise InterruptedError
        finally:
            scan.flush()
        self._take_formulas(part, cells)

    def _take_formulas(self, part: PartFacts, heads: Sequence[str]) -> None:
        """Count the calculated cells of a workbook by column."""
        columns: dict[int, FormulaCounts] = {}
        for number, formulas in read_formulas(self._bundle.container, part):
            for one in formulas:
                columns.setdefault(one.place, FormulaCounts()).take(number, one)
        for place, counts in sorted(columns.items()):
            head = (heads[place].strip() if place < len(heads) else "") or f"column {place + 1}"
            self.findings += say.of_formulas(self._entity, part.path, head, counts)

    def _targets(self) -> dict[str, str]:
        """Answer the columns of this table that others refer to by value."""
        return {
            column.refers_to.partition(".")[2]: column.refers_to
            for entity in self._bundle.layout.entities.values()
            for column in entity.columns.values()
            if column.refers_to and column.refers_to.startswith(f"{self._entity}.")
        }

    def _take_heads(self, heads: Heads, part: PartFacts) -> None:
        self.findings += say.of_heads(self._entity, part.path, heads, self._layout)
        if missing := heads.required_missing(self._layout):
            message = f"{part.path} has no column {', '.join(missing)}: add it, or name its head in the layout"
            self._stop("column_missing", message, part.path, "layout")
        if not (missing := heads.id_missing(self._layout)):
            return
        if self._entity in self._bundle.options.row_ids:
            self._facts.uses_row_ids = True
            return
        message = (
            f"{part.path} has no column {', '.join(missing)}: without it a record cannot be told from another. Name its head in the layout, or let"
            f" rows be known by what they hold with the option row_ids: [{self._entity}]"
        )
        self._stop("id_column_missing", message, part.path, "row_ids")

    def _stop(self, code: str, message: str, path: str, option: str = "") -> None:
        self.findings.append(Finding(code=code, severity=Severity.STOP, message=message, entity=self._entity, path=path, option=option, count=1))
