"""Edits mapping workbooks as a person does in a spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openpyxl import load_workbook


def edit_workbook(source: Path, file: Path, values: Mapping[tuple[str, str, str], Any]) -> None:
    """Write values into a copy of a workbook, by sheet, key of the row and heading of the column."""
    book = load_workbook(source)
    for (name, key, column), value in values.items():
        sheet = book[name]
        headings = {cell.value: position for position, cell in enumerate(sheet[1])}
        (row,) = [row for row in sheet.iter_rows(min_row=2) if row[0].value == key]
        row[headings[column]].value = value
    book.save(file)
