"""The workbook as a file: what was written is read back as it was, edits are found by cell, and hostile files and cells are refused."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from transload.workbook.cells import escaped, text_of, unescaped
from transload.workbook.read import FILE_BYTES_MAX, Reading, UnreadableError, read_about, read_workbook
from transload.workbook.write import write_workbook

ABOUT = {"Migration": "acme", "Version of the mapping": "3"}
HOSTILE = [
    "=1+1",
    "+1",
    "-x",
    "@SUM(A1)",
    "\t=1",
    '=HYPERLINK("http://x")',
    "_x0041_",
    "a\r\nb",
    "\x00\x1f",
    "  blanks  ",
    "العربية\u202e",
    "\ud800",
    "#REF!",
]


def workbook(rows: dict[str, tuple[str | None, str]]) -> dict[str, Any]:
    """One sheet: a value for reading and one for editing by row key."""
    columns = [
        {"name": "Shown", "about": "", "width": 10, "is_editable": False},
        {"name": "Value", "about": "what to write", "width": 10, "is_editable": True},
    ]
    content = [{"key": key, "cells": list(cells), "edits": {"Value": ["one", "two, three"]}} for key, cells in rows.items()]
    return {"title": "Toy", "sheets": [{"name": "Things", "about": "All of them.", "columns": columns, "rows": content}]}


def edited(path: Path, *cells: tuple[str, Any]) -> None:
    book = load_workbook(path)
    for place, value in cells:
        book["Things"][place] = value
    book.save(path)


def read(path: Path, content: dict[str, Any]) -> Reading:
    return read_workbook(path, content)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mapping.xlsx"


CONTENT = workbook({"a": ("x", "one"), "b": ("y", ""), "c": (None, "1")})

TEXTS = st.text(max_size=40) | st.sampled_from(HOSTILE)


@pytest.mark.requirement("L-02", "X-08")
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.dictionaries(st.text(min_size=1, max_size=20), st.tuples(st.none() | TEXTS, TEXTS), max_size=6))
@example(rows={text: (text, text) for text in HOSTILE})
def test_without_edits_nothing_changes(file: Path, rows: dict[str, tuple[str | None, str]]) -> None:
    content = workbook(rows)
    write_workbook(file, content, ABOUT)
    reading = read(file, content)
    assert (reading.changes, reading.problems, reading.remarks) == ([], [], [])
    # A spreadsheet that saves the file again changes nothing either.
    load_workbook(file).save(file)
    assert read(file, content).changes == []


@given(TEXTS)
def test_any_text_survives_a_cell(text: str) -> None:
    assert unescaped(escaped(text)) == text


@pytest.mark.requirement("X-08")
def test_no_cell_is_a_formula(file: Path) -> None:
    write_workbook(file, workbook({text: (text, text) for text in HOSTILE}), {"Migration": "=1+1"})
    for sheet in load_workbook(file):
        assert [cell.coordinate for row in sheet.iter_rows() for cell in row if cell.data_type == "f"] == []
    quoted = [cell for row in load_workbook(file)["Things"].iter_rows(min_row=2) for cell in row if str(cell.value).startswith(("=", "+", "@"))]
    assert quoted
    assert all(cell.quotePrefix for cell in quoted)


@pytest.mark.requirement("L-02")
def test_edits_are_found_by_cell(file: Path) -> None:
    write_workbook(file, CONTENT, ABOUT)
    edited(file, ("C2", "two, three"), ("C3", 7), ("C4", None))
    reading = read(file, CONTENT)
    assert [(one.place.cell, one.row, one.column, one.old, one.new) for one in reading.changes] == [
        ("C2", "a", "Value", "one", "two, three"),
        ("C3", "b", "Value", "", "7"),
        ("C4", "c", "Value", "1", ""),
    ]
    assert reading.about["Migration"] == "acme"
    assert read_about(file)["Version of the mapping"] == "3"


def test_the_same_number_is_no_edit(file: Path) -> None:
    write_workbook(file, CONTENT, ABOUT)
    edited(file, ("C4", 1.0))
    assert read(file, CONTENT).changes == []


def test_rows_and_columns_may_be_sorted_and_taken_away(file: Path) -> None:
    write_workbook(file, CONTENT, ABOUT)
    book = load_workbook(file)
    sheet = book["Things"]
    values = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
    for number, row in enumerate(reversed(values), start=2):
        for column, value in enumerate(row, start=1):
            sheet.cell(number, column).value = value
    sheet.delete_cols(2)
    sheet.delete_rows(2)
    book.save(file)
    reading = read(file, CONTENT)
    assert (reading.changes, reading.problems) == ([], [])
    assert [one.message for one in reading.remarks] == ["1 rows are not in the file; they stay as they are"]


@pytest.mark.requirement("L-02")
@pytest.mark.parametrize(
    ("cells", "where", "words"),
    [
        ([("C2", "=A1")], "C2", "holds a formula"),
        ([("C2", "#REF!")], "C2", "error"),
        ([("A2", "z")], "A2", "no row 'z'"),
        ([("A3", "a")], "A3", "stands twice"),
        ([("C9", "new")], "A9", "a row was added"),
        ([("D1", "Mine")], "D1", "no column 'Mine'"),
        ([("D2", "note")], "D1", "no column ''"),
        ([("B1", "Value")], "C1", "stands twice"),
        ([("A1", "Id")], "A1", "the column 'Row' is missing"),
    ],
)
def test_what_cannot_be_taken_is_named_by_cell(file: Path, cells: list[tuple[str, Any]], where: str, words: str) -> None:
    write_workbook(file, CONTENT, ABOUT)
    edited(file, *cells)
    problems = {one.place.cell: one.message for one in read(file, CONTENT).problems}
    assert words in problems.get(where, ""), problems


def test_cells_for_reading_are_remarked_and_rows_without_an_edit_are_refused(file: Path) -> None:
    content = workbook({"a": ("x", "one")})
    content["sheets"][0]["rows"].append({"key": "fixed", "cells": ["y", ""], "edits": {}})
    write_workbook(file, content, ABOUT)
    edited(file, ("B2", "mine"), ("C3", "mine"))
    reading = read(file, content)
    assert [one.place.cell for one in reading.remarks] == ["B2"]
    assert [(one.place.cell, "in this row" in one.message) for one in reading.problems] == [("C3", True)]


def test_sheets_that_are_missing_or_added_are_reported(file: Path) -> None:
    write_workbook(file, CONTENT, ABOUT)
    book = load_workbook(file)
    book.create_sheet("Mine")
    book.remove(book["Things"])
    book.save(file)
    assert [one.place.sheet for one in read(file, CONTENT).remarks] == ["Mine", "Things"]


def test_a_text_that_is_too_long_for_a_cell_is_kept_as_it_is(file: Path) -> None:
    content = workbook({"a": ("y" * 40_000, "x" * 40_000)})
    write_workbook(file, content, ABOUT)
    assert read(file, content).changes == []
    edited(file, ("C2", "short"))
    assert "reading only" in read(file, content).problems[0].message


def test_long_lists_stand_on_a_hidden_sheet(file: Path) -> None:
    content = workbook({"a": ("x", "one")})
    content["sheets"][0]["rows"][0]["edits"]["Value"] = [f"choice {number}" for number in range(100)]
    write_workbook(file, content, ABOUT)
    book = load_workbook(file)
    assert book["_lists"].sheet_state == "hidden"
    (rule,) = book["Things"].data_validations.dataValidation
    assert rule.formula1 == "'_lists'!$A$1:$A$100"
    assert read(file, content).remarks == []


@pytest.mark.requirement("X-08")
@pytest.mark.parametrize("content", [b"", b"not a workbook", b"PK\x03\x04 broken"])
def test_what_is_no_workbook_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(UnreadableError):
        read_about(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"none\.xlsx"):
        read_about(tmp_path / "none.xlsx")


def test_a_file_packed_beyond_reason_is_refused(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("xl/workbook.xml", "w", force_zip64=True) as part:
        for _ in range(501):
            part.write(bytes(1024 * 1024))
    assert file.stat().st_size < FILE_BYTES_MAX
    with pytest.raises(UnreadableError, match="unpacks to more than"):
        read_about(file)


def test_a_workbook_without_its_first_sheet_is_of_no_migration(file: Path) -> None:
    Workbook().save(file)
    assert read_about(file) == {}


def test_texts_of_values() -> None:
    assert [text_of(value) for value in (None, True, 2, 2.0, 2.5, "x")] == ["", "true", "2", "2", "2.5", "x"]
