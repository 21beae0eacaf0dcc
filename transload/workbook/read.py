"""Reads an edited workbook back: which cells changed, and what cannot be taken, by sheet and cell."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from openpyxl import load_workbook

from transload.workbook.cells import ABOUT_SHEET, KEY_COLUMN, LISTS_SHEET, fits, same, text_of
from transload.workbook.write import TOO_LONG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from openpyxl.cell import Cell, MergedCell
    from openpyxl.worksheet.worksheet import Worksheet

FILE_BYTES_MAX: Final = 50 * 1024 * 1024
UNPACKED_BYTES_MAX: Final = 500 * 1024 * 1024
PROBLEMS_MAX: Final = 200
_ABOUT_ROWS_MAX: Final = 50


class UnreadableError(Exception):
    """The file is no workbook that can be read."""


@dataclass(frozen=True, slots=True)
class Place:
    """A cell as a person finds it."""

    sheet: str
    cell: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a cell, and what it would take."""

    place: Place
    message: str
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """An edited cell, by row key and column as the mapping knows them."""

    place: Place
    row: str
    column: str
    old: str
    new: str


@dataclass(slots=True)
class Reading:
    """What was found in a workbook.

    Attributes:
        about: what stands on the first sheet, by name.
        problems: what keeps the workbook from being taken.
        remarks: what is not taken, but keeps nothing else from it.
    """

    about: dict[str, str] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)


def read_about(path: Path) -> dict[str, str]:
    """Answer what stands on the first sheet: of which migration and mapping the workbook is.

    Raises:
        UnreadableError: the file is no workbook.
    """
    book = _open(path)
    return _about(book[ABOUT_SHEET]) if ABOUT_SHEET in book.sheetnames else {}


def read_workbook(path: Path, workbook: Mapping[str, Any]) -> Reading:
    """Compare a file with the workbook as the ledger describes it now.

    Raises:
        UnreadableError: the file is no workbook.
    """
    book = _open(path)
    reading = Reading()
    if ABOUT_SHEET in book.sheetnames:
        reading.about = _about(book[ABOUT_SHEET])
    sheets = {sheet["name"]: sheet for sheet in workbook["sheets"]}
    for name in book.sheetnames:
        if name in sheets:
            _Reader(book[name], sheets[name], reading).read()
        elif name not in {ABOUT_SHEET, LISTS_SHEET}:
            reading.remarks.append(Problem(Place(name, ""), "this sheet is no part of the workbook; it was not read", tuple(sheets)))
    reading.remarks += [
        Problem(Place(name, ""), "this sheet is not in the file; what it says stays as it is") for name in sheets if name not in book.sheetnames
    ]
    return reading


def _open(path: Path) -> Any:
    """Open the file. A workbook is a ZIP: one that is packed beyond reason is refused before anything is unpacked."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UnreadableError(f"{path.name} is larger than {FILE_BYTES_MAX // 1024 // 1024} MB")
        with zipfile.ZipFile(path) as packed:
            if sum(one.file_size for one in packed.infolist()) > UNPACKED_BYTES_MAX:
                raise UnreadableError(f"{path.name} unpacks to more than {UNPACKED_BYTES_MAX // 1024 // 1024} MB")
        return load_workbook(path, data_only=False, keep_links=False)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}") from error
    except UnreadableError:
        raise
    except Exception as error:
        # openpyxl raises what the XML and ZIP libraries raise; whatever it is, the file cannot be read.
        raise UnreadableError(f"{path.name} is no XLSX workbook that can be read ({type(error).__name__})") from error


def _about(sheet: Worksheet) -> dict[str, str]:
    rows = sheet.iter_rows(min_row=3, max_row=_ABOUT_ROWS_MAX, max_col=2, values_only=True)
    return {text_of(name): text_of(value) for name, value in rows if name is not None and value is not None}


class _Reader:
    """Reads one sheet."""

    def __init__(self, sheet: Worksheet, content: Mapping[str, Any], reading: Reading) -> None:
        self._sheet = sheet
        self._content = content
        self._reading = reading
        self._columns: Sequence[Mapping[str, Any]] = content["columns"]
        self._rows = {row["key"]: row for row in content["rows"]}

    def read(self) -> None:
        """Take all changes of the sheet."""
        places = self._headings()
        if KEY_COLUMN not in places:
            self._problem("A1", f"the column {KEY_COLUMN!r} is missing: it says which row is which")
            return
        seen: dict[str, int] = {}
        for number, cells in enumerate(self._sheet.iter_rows(min_row=2), start=2):
            if all(cell.value is None for cell in cells):
                continue
            key_cell = cells[places[KEY_COLUMN]]
            key = text_of(key_cell.value)
            row = self._rows.get(key)
            if row is None:
                what = f"there is no row {key!r}" if key else "a row was added, or its key was taken away"
                self._problem(key_cell.coordinate, f"{what}; rows cannot be added: export the workbook again for rows that are new in the mapping")
            elif key in seen:
                self._problem(key_cell.coordinate, f"the row {key!r} stands twice, first in line {seen[key]}")
            else:
                seen[key] = number
                self._read_row(row, cells, places)
        missing = len(self._rows) - len(seen)
        if missing:
            self._reading.remarks.append(Problem(Place(self._content["name"], ""), f"{missing:,} rows are not in the file; they stay as they are"))

    def _headings(self) -> dict[str, int]:
        places: dict[str, int] = {}
        names = {KEY_COLUMN, *(column["name"] for column in self._columns)}
        for position, cell in enumerate(next(self._sheet.iter_rows(min_row=1, max_row=1), ())):
            heading = text_of(cell.value)
            if heading in places:
                self._problem(cell.coordinate, f"the column {heading!r} stands twice")
            elif heading in names:
                places[heading] = position
            elif heading or self._has_values(position):
                self._problem(cell.coordinate, f"there is no column {heading!r} on this sheet", tuple(column["name"] for column in self._columns))
        for column in self._columns:
            if column["name"] not in places and column["is_editable"]:
                self._reading.remarks.append(
                    Problem(Place(self._content["name"], ""), f"the column {column['name']!r} is missing; what it says stays as it is")
                )
        return places

    def _has_values(self, position: int) -> bool:
        column = self._sheet.iter_cols(min_col=position + 1, max_col=position + 1, min_row=2, values_only=True)
        return any(value is not None for values in column for value in values)

    def _read_row(self, row: Mapping[str, Any], cells: Sequence[Cell | MergedCell], places: Mapping[str, int]) -> None:
        for column, known in zip(self._columns, row["cells"], strict=True):
            name = column["name"]
            position = places.get(name)
            if position is None:
                continue
            cell = cells[position]
            may_edit = name in row["edits"] and column["is_editable"] and fits(known)
            old = text_of(known if fits(known) else TOO_LONG)
            old = known if isinstance(known, str) and fits(known) else old
            self._compare(row, column, cell, old, may_edit=may_edit)

    def _compare(self, row: Mapping[str, Any], heading: Mapping[str, Any], cell: Cell | MergedCell, old: str, *, may_edit: bool) -> None:
        column = heading["name"]
        if cell.data_type == "f":
            message = "holds a formula; write the value itself"
            (self._problem if may_edit else self._remark)(cell.coordinate, message, tuple(row["edits"].get(column, ())))
            return
        if cell.data_type == "e":
            self._problem(cell.coordinate, f"holds the spreadsheet's error {cell.value}; write a value", tuple(row["edits"].get(column, ())))
            return
        new = text_of(cell.value)
        if same(old, new):
            return
        if not may_edit:
            words = f"is for reading only{' in this row' if heading['is_editable'] else ''}; {new[:80]!r} cannot be taken"
            (self._problem if heading["is_editable"] else self._remark)(cell.coordinate, words)
            return
        self._reading.changes.append(Change(Place(self._content["name"], cell.coordinate), row["key"], column, old, new))

    def _problem(self, cell: str, message: str, allowed: tuple[str, ...] = ()) -> None:
        if len(self._reading.problems) < PROBLEMS_MAX:
            self._reading.problems.append(Problem(Place(self._content["name"], cell), message, allowed))

    def _remark(self, cell: str, message: str, _allowed: tuple[str, ...] = ()) -> None:
        if len(self._reading.remarks) < PROBLEMS_MAX:
            self._reading.remarks.append(Problem(Place(self._content["name"], cell), message))
