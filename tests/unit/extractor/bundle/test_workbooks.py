"""Workbooks: the same values as text gives, with the types the workbook knows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from sandbox.bundles.writer import BundleWriter, workbook_bytes
from services.extractor.connectors.bundle import workbooks
from tests.fixtures.bundle.toy import records, toy

ROWS: list[list[object]] = [
    ["Customer ID", "Name", "Rating", "Date Joined", "VIP", "Date Edited", "UDF: Ward"],
    [1042, "=1+1", 4.5, dt.date(2025, 3, 2), True, dt.datetime.fromisoformat("2025-03-07T14:05"), 7],
    ["0043", " Søn ", 1234567.25, 45723, False, 45723.5, None],
    [7, "", None, "2025-03-02", None, None, "x"],
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    writer = BundleWriter(tmp_path / "b", manifest={"time_zone": "Europe/Madrid"})
    writer.raw("Customers.xlsx", workbook_bytes(ROWS))
    return writer.finish()


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_cells_keep_what_the_workbook_knows(place: Path, is_streamed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_streamed:
        monkeypatch.setattr(workbooks, "SHEET_BYTES_MAX", 0)
    async with toy(place) as source:
        first, second, third = (one.data for one in await records(source, "customer"))
    assert first == {
        "customer_id": "1042",
        "name": "=1+1",
        "rating": 4.5,
        "joined": "2025-03-02",
        "is_vip": True,
        "edited_time": "2025-03-07T14:05:00+01:00",
        "properties": {"Ward": "7"},
    }
    assert (second["customer_id"], second["name"], second["rating"]) == ("0043", "Søn", 1234567.25)
    assert (second["joined"], second["edited_time"], second["is_vip"]) == ("2025-03-07", "2025-03-07T12:00:00+01:00", False)
    assert third == {"customer_id": "7", "joined": "2025-03-02", "properties": {"Ward": "x"}}


async def test_what_is_no_workbook_or_a_bomb_stops_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = BundleWriter(tmp_path / "b")
    writer.raw("customers.xlsx", b"PK\x03\x04 nothing")
    async with toy(writer.finish()) as source:
        assert "workbook" in (await source.findings()).tables["customer"].stop
    writer = BundleWriter(tmp_path / "c")
    writer.raw("customers.xlsx", workbook_bytes([["Customer ID", "Name"], *([str(number), "x" * 50] for number in range(2_000))]))
    monkeypatch.setattr(workbooks, "_MEMORY_BYTES", 1_000)
    monkeypatch.setattr(workbooks, "WORKBOOK_RATIO_MAX", 2)
    async with toy(writer.finish()) as source:
        assert "would unpack" in (await source.findings()).tables["customer"].stop


async def test_text_wins_over_a_workbook_of_the_same_table(place: Path) -> None:
    (place / "customers.csv").write_text("Customer ID,Name\n1,Ann\n")
    async with toy(place) as source:
        assert [one.data["name"] for one in await records(source, "customer")] == ["Ann"]
        assert "table_doubled" in {finding.code for finding in (await source.findings()).findings}
