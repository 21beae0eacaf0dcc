"""The page and the workbook of the reference documents: everything listed, hostile cells shown as they are, long tables left to their files."""

from __future__ import annotations

import csv
import html
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from openpyxl import load_workbook

from transload import reference
from transload.cli.records import render_index
from transload.reference import read_contents, read_tables, write_tables

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = ["'=1+1", '<script>alert("x")</script>', "العربية", "a\nb", "_x0041_", "{{ 7 * 7 }}", "x" * 40_000]


def folder_with(folder: Path, tables: dict[str, list[list[str]]], **contents: Any) -> Path:
    for name, rows in tables.items():
        with (folder / name).open("w", encoding="utf-8-sig", newline="") as stream:
            csv.writer(stream).writerows(rows)
    if contents:
        (folder / "exports.json").write_text(json.dumps({"title": "Toy", "texts": [], "files": [], "rebuild": []} | contents), encoding="utf-8")
    return folder


@pytest.mark.requirement("L-12", "X-08")
def test_page_and_workbook_show_every_cell_as_it_is(tmp_path: Path) -> None:
    rows = [["Record", "Name"], *([f"job/{number}", text] for number, text in enumerate(HOSTILE))]
    files = [{"file": "jobs.csv", "title": "Jobs [all]", "about": "Every <b>job</b>."}]
    rebuild = [{"title": "Rules", "advice": "Make them again.", "columns": ["Name"], "rows": [["=1+1"], ["<i>x</i>"]]}]
    folder = folder_with(tmp_path, {"jobs.csv": rows}, files=files, rebuild=rebuild, texts=["Look <here>."])
    contents = read_contents(folder)
    tables = read_tables(folder, contents)
    page = render_index(contents, tables, "reference-export.xlsx", datetime(2026, 3, 1, tzinfo=UTC))
    assert "<script>" not in page
    assert "<b>job" not in page
    shown = html.unescape(page)
    assert all(text[:200] in shown for text in HOSTILE)
    assert "7 rows in" in shown
    book = load_workbook(write_tables(folder, contents, tables))
    assert [cell.coordinate for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type == "f"] == []
    assert book["Rebuild Rules"]["A3"].value == "=1+1"
    assert book["Jobs all"]["B2"].value == "'=1+1"
    assert len(book["Jobs all"]["B8"].value) < 32_767


def test_a_long_table_is_left_to_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "SHEET_ROWS_MAX", 2)
    folder = folder_with(tmp_path, {"long.csv": [["Record"], ["a"], ["b"], ["c"]], "short.csv": [["Record"], ["a"]]})
    contents = read_contents(folder)
    tables = read_tables(folder, contents)
    assert [(table.title, table.count, table.in_workbook) for table in tables] == [("Long", 3, False), ("Short", 1, True)]
    book = load_workbook(write_tables(folder, contents, tables))
    assert book.sheetnames == ["Contents", "Short"]
    assert "see the file" in str(book["Contents"]["C2"].value)


def test_sheets_with_the_same_title_get_names_of_their_own(tmp_path: Path) -> None:
    tables = {f"{number}.csv": [["Record"]] for number in range(3)}
    files = [{"file": name, "title": "A title that is longer than a sheet's name may be", "about": ""} for name in tables]
    folder = folder_with(tmp_path, tables, files=files)
    contents = read_contents(folder)
    names = load_workbook(write_tables(folder, contents, read_tables(folder, contents))).sheetnames
    assert len(set(names)) == 4
    assert all(len(name) <= 31 for name in names)


def test_a_file_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("Record\nx\n", encoding="utf-8")
    inner = tmp_path / "inner"
    inner.mkdir()
    folder_with(inner, {"a.csv": [["Record"]]}, files=[{"file": "../secret.csv", "title": "Secret", "about": ""}])
    assert [table.file for table in read_tables(inner, read_contents(inner))] == ["a.csv"]
