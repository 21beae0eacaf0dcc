"""The reference exports made readable (L-12): one page that lists and shows the files, and one workbook with every table as a sheet."""

from __future__ import annotations

import csv
import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from transload.workbook.cells import CELL_CHARACTERS_MAX, FORMULA_STARTS, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CONTENTS_FILE: Final = "exports.json"
INDEX_FILE: Final = "index.html"
WORKBOOK_FILE: Final = "reference-export.xlsx"
PREVIEW_ROWS: Final = 25
PREVIEW_COLUMNS: Final = 12
PREVIEW_CHARACTERS: Final = 200
SHEET_ROWS_MAX: Final = 200_000
"""Most rows of a table in the workbook; a longer one stands only in its own file."""
_SHEET_NAME_MAX: Final = 31
_SHEET_NAME_REFUSED: Final = re.compile(r"[\[\]:*?/\\]")


@dataclass(frozen=True, slots=True)
class Table:
    """One file of the exports as the page shows it.

    Attributes:
        rows: the first rows; `count` is of all.
        in_workbook: whether the workbook has it as a sheet.
    """

    file: str
    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    count: int
    bytes: int
    raw_file: str
    in_workbook: bool


def read_contents(folder: Path) -> dict[str, Any]:
    """Answer what the ledger says of the files; without its list every CSV counts, titled by its name."""
    try:
        contents: dict[str, Any] = json.loads((folder / CONTENTS_FILE).read_bytes())
    except FileNotFoundError:
        contents = {"title": "Reference export", "texts": [], "files": [], "rebuild": []}
    known = {one["file"] for one in contents["files"]}
    for path in sorted(folder.glob("*.csv")):
        if path.name not in known:
            contents["files"].append({"file": path.name, "title": path.stem.replace("-", " ").capitalize(), "about": ""})
    return contents


def read_tables(folder: Path, contents: dict[str, Any]) -> list[Table]:
    """Read the head of every table and count its rows; one row is in memory at a time."""
    tables = []
    for one in contents["files"]:
        path = folder / one["file"]
        if path.name != one["file"] or not path.is_file():
            continue
        rows = _rows(path)
        columns = next(rows, [])
        shown = list(itertools.islice(rows, PREVIEW_ROWS))
        count = len(shown) + sum(1 for _ in rows)
        raw = path.with_suffix(".jsonl")
        tables.append(
            Table(
                file=one["file"],
                title=one["title"],
                about=one["about"],
                columns=columns[:PREVIEW_COLUMNS],
                rows=[[_short(cell) for cell in row[:PREVIEW_COLUMNS]] for row in shown],
                count=count,
                bytes=path.stat().st_size,
                raw_file=raw.name if raw.is_file() else "",
                in_workbook=count <= SHEET_ROWS_MAX,
            )
        )
    return tables


def write_tables(folder: Path, contents: dict[str, Any], tables: Sequence[Table]) -> Path:
    """Write one workbook with a sheet for each table, row by row. Texts that look like formulas are texts.

    Raises:
        OSError: the file cannot be written.
    """
    book = Workbook(write_only=True)
    names: set[str] = set()
    first = book.create_sheet("Contents")
    names.add("contents")
    first.column_dimensions["A"].width, first.column_dimensions["C"].width = 34, 100
    first.append([_cell(first, name, is_bold=True) for name in ("Table", "Rows", "What it holds", "File")])
    for table in tables:
        note = table.about if table.in_workbook else f"{table.about} Too long for this workbook: see the file.".strip()
        first.append([_cell(first, table.title), table.count, _cell(first, note), _cell(first, table.file)])
    for table in tables:
        if not table.in_workbook:
            continue
        sheet = book.create_sheet(_sheet_name(table.title, names))
        sheet.freeze_panes = "B2"
        for number, row in enumerate(_rows(folder / table.file)):
            sheet.append([_cell(sheet, cell, is_bold=number == 0) for cell in row])
    for section in contents["rebuild"]:
        sheet = book.create_sheet(_sheet_name(f"Rebuild {section['title']}", names))
        sheet.append([_cell(sheet, section["advice"])])
        sheet.append([_cell(sheet, name, is_bold=True) for name in section["columns"]])
        for row in section["rows"]:
            sheet.append([_cell(sheet, str(cell)) for cell in row])
    path = folder / WORKBOOK_FILE
    book.save(path)
    return path


def _rows(path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        yield from csv.reader(stream)


def _short(cell: str) -> str:
    return cell if len(cell) <= PREVIEW_CHARACTERS else f"{cell[:PREVIEW_CHARACTERS]}…"


def _cell(sheet: Any, text: str, *, is_bold: bool = False) -> Any:
    written = escaped(text)
    if len(written) > CELL_CHARACTERS_MAX:
        written = f"{written[:CELL_CHARACTERS_MAX]}…"
    if not is_bold and not written.startswith(FORMULA_STARTS):
        return written or None
    cell = WriteOnlyCell(sheet, value=written)
    cell.data_type = "s"
    if is_bold:
        cell.font = Font(bold=True)
    if written.startswith(FORMULA_STARTS):
        cell.number_format = "@"
        cell.quotePrefix = True
    return cell


def _sheet_name(title: str, taken: set[str]) -> str:
    """Answer a name for a sheet that no other has: at most 31 characters, some of which a spreadsheet refuses."""
    words = " ".join(_SHEET_NAME_REFUSED.sub(" ", escaped(title)).split())
    base = (words.strip("'") or "Table")[:_SHEET_NAME_MAX]
    number, name = 2, base
    while name.casefold() in taken:
        ending = f" {number}"
        name, number = base[: _SHEET_NAME_MAX - len(ending)] + ending, number + 1
    taken.add(name.casefold())
    return name
