"""The rows of one file, looked at once: what is odd is counted, what must be compared across rows goes to the index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from services.extractor.connectors.bundle.cells import FORMULA, is_scientific, list_reader
from services.extractor.connectors.bundle.formulas import Result
from services.extractor.connectors.bundle.layout import CellType
from services.extractor.connectors.bundle.profile import SAMPLES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from services.extractor.connectors.bundle.columns import ColumnScan
    from services.extractor.connectors.bundle.formulas import Formula
    from services.extractor.connectors.bundle.heads import Heads
    from services.extractor.connectors.bundle.index import ReferenceIndex
    from services.extractor.connectors.bundle.layout import EntityLayout
    from services.extractor.connectors.bundle.own_columns.proved import OwnColumn

_FORMULA_STARTS: Final = frozenset("=@+-")


@dataclass(slots=True)
class Counted:
    """How often something came, and where first."""

    count: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, sample: str) -> None:
        """Count one."""
        self.count += 1
        if len(self.samples) < SAMPLES_MAX:
            self.samples.append(sample)

    def note(self, row: int, text: str = "") -> None:
        """Count one, named by its row and what stands there."""
        self.count += 1
        if len(self.samples) < SAMPLES_MAX:
            self.samples.append(f"row {row}: {text[:40]}" if text else f"row {row}")


@dataclass(slots=True)
class FormulaCounts:
    """The calculated cells of one column of a workbook, by what is stored as their result."""

    valued: Counted = field(default_factory=Counted)
    empty: Counted = field(default_factory=Counted)
    failed: Counted = field(default_factory=Counted)

    def take(self, row: int, formula: Formula) -> None:
        """Count one."""
        counted = {Result.VALUE: self.valued, Result.NOTHING: self.empty, Result.ERROR: self.failed}[formula.result]
        counted.note(row, formula.text)


@dataclass(slots=True)
class TableCounts:
    """What is odd in the rows of a table, over all its files."""

    wide: Counted = field(default_factory=Counted)
    short: Counted = field(default_factory=Counted)
    formulas: Counted = field(default_factory=Counted)
    repeated_ids: Counted = field(default_factory=Counted)
    without_id: Counted = field(default_factory=Counted)
    scientific_ids: Counted = field(default_factory=Counted)
    row_count: int = 0


@dataclass(frozen=True, slots=True)
class _Reference:
    place: int
    source: str
    target: str
    split: Callable[[str], list[str]] | None


class PartScan:
    """Takes the rows of one file; `flush` gives what was gathered to the index."""

    def __init__(
        self,
        entity: str,
        layout: EntityLayout,
        heads: Heads,
        *,
        columns: Mapping[str, ColumnScan],
        own: Sequence[tuple[int, OwnColumn]] = (),
        counts: TableCounts,
        index: ReferenceIndex,
        targets: Mapping[str, str],
        uses_row_ids: bool,
    ) -> None:
        self._entity = entity
        self._counts = counts
        self._index = index
        self._width = heads.width
        known = heads.known
        self._id_places = () if uses_row_ids else tuple(known[name] for name in layout.id if name in known)
        self._columns = [(known[name], one) for name, one in columns.items() if name in known]
        self._own = [(place, one) for place, one in own if not one.is_text]
        for name, one in columns.items():
            one.begin_part(heads.texts.get(name, ""), known.get(one.column.zone_column or "", -1))
        self._references = [
            _Reference(known[name], f"{entity}.{name}", column.refers_to, list_reader(column.separator) if column.type is CellType.LIST else None)
            for name, column in layout.columns.items()
            if column.refers_to and name in known
        ]
        self._targets = [(known[name], target) for name, target in targets.items() if name in known]
        self._ids: list[tuple[str, int]] = []
        self._values: dict[str, list[tuple[str, int]]] = {}
        self._found: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}

    def take(self, number: int, row: Sequence[str]) -> None:
        """Look at one row."""
        width = len(row)
        self._counts.row_count += 1
        if width != self._width:
            self._take_uneven(number, row, width)
        if not _FORMULA_STARTS.isdisjoint([cell[:1] for cell in row]) and any(FORMULA.match(cell) for cell in row):
            self._counts.formulas.note(number)
        if self._id_places:
            self._take_id(number, row, width)
        for place, column in self._columns:
            if place < width and (cell := row[place]):
                column.take(cell, number, row)
        if self._own:
            self._take_own(number, row, width)
        for one in self._references:
            if one.place < width and (text := row[one.place].strip()):
                found = self._found.setdefault((one.source, one.target), {})
                for value in (text,) if one.split is None else one.split(text):
                    first, count = found.get(value, (number, 0))
                    found[value] = (first, count + 1)
        for place, target in self._targets:
            if place < width and (text := row[place].strip()):
                self._values.setdefault(target, []).append((text, number))

    def _take_own(self, number: int, row: Sequence[str], width: int) -> None:
        is_decided = False
        for place, one in self._own:
            if place < width and (cell := row[place]):
                one.take(cell, number)
                is_decided = is_decided or one.is_text
        if is_decided:
            self._own = [(place, one) for place, one in self._own if not one.is_text]

    def flush(self) -> None:
        """Give everything gathered to the index."""
        for one, first, row in self._index.add_ids(self._entity, self._ids):
            self._counts.repeated_ids.add(f"{one}: rows {first} and {row}")
        for target, values in self._values.items():
            self._index.add_ids(target, values)
        for (source, target), found in self._found.items():
            self._index.add_references(source, target, found)
        self._ids, self._values, self._found = [], {}, {}

    def _take_uneven(self, number: int, row: Sequence[str], width: int) -> None:
        if width < self._width:
            self._counts.short.add(f"row {number}: {width} of {self._width} cells")
        elif any(cell.strip() for cell in row[self._width :]):
            self._counts.wide.add(f"row {number}: {width} cells for {self._width} heads")

    def _take_id(self, number: int, row: Sequence[str], width: int) -> None:
        parts = [row[place].strip() if place < width else "" for place in self._id_places]
        if not all(parts):
            self._counts.without_id.note(number)
            return
        source_id = parts[0] if len(parts) == 1 else "/".join(parts)
        if ("E" in source_id or "e" in source_id) and is_scientific(source_id):
            self._counts.scientific_ids.note(number)
        self._ids.append((source_id, number))
