"""Columns no layout knows: dates and numbers are read where the whole column proves how, and else stay as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.bundle.toy import bundle, records, toy


def table(*own: str, joined: str = "3/14/2025", rating: str = "4.5") -> str:
    """Write a table whose last column is the tenant's own."""
    return "Customer ID,Name,Rating,Date Joined,UDF: Own\n" + "".join(
        f'{number},Name {number},{rating},{joined},"{cell}"\n' for number, cell in enumerate(own, start=1)
    )


async def own_values(folder: Path, *own: str, **more: str) -> list[Any]:
    async with toy(bundle(folder, customers=table(*own, **more)), time_zone="America/New_York") as source:
        return [one.data.get("properties", {}).get("Own") for one in await records(source, "customer")]


@pytest.mark.requirement("RS-06", "X-05")
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("3/4/2026", "2/13/2026", ""), ["2026-03-04", "2026-02-13", None]),
        (("3/4/2026", "5/6/2026"), ["2026-03-04", "2026-05-06"]),  # the declared date beside it shows the order
        (("12/30/1899", "5/6/2026"), [None, "2026-05-06"]),
        (("3/4/2026 2:05 PM", "5/6/2026 9:00 AM"), ["2026-03-04T14:05:00-05:00", "2026-05-06T09:00:00-04:00"]),
        (("13,300", "900"), [13300, 900]),
        (("$1,234.50", "(20.00)"), [1234.5, -20]),
        (("19901", "00123"), ["19901", "00123"]),
        (("20260304", "20260305"), ["20260304", "20260305"]),
        (("1/2/26", "1/3/26"), ["1/2/26", "1/3/26"]),
        (("3/4/2026", "soon"), ["3/4/2026", "soon"]),
        (("=1+1", "x"), ["=1+1", "x"]),
    ],
)
async def test_what_the_column_proves_is_read(tmp_path: Path, cells: tuple[str, ...], expected: list[Any]) -> None:
    assert await own_values(tmp_path, *cells) == expected


@pytest.mark.requirement("RS-06", "X-05")
async def test_what_nothing_proves_stays_text_and_is_said(tmp_path: Path) -> None:
    folder = bundle(tmp_path, customers=table("3/4/2026", "5/6/2026", joined="2026-03-04", rating="4"))
    async with toy(folder, time_zone="America/New_York") as source:
        assert [one.data["properties"]["Own"] for one in await records(source, "customer")] == ["3/4/2026", "5/6/2026"]
        found = {one.data.get("code"): one.data for one in await records(source, "bundle_finding")}
    assert found["own_date_order_ambiguous"]["severity"] == "warning"
    assert 'date_orders: {"customer.properties.Own": "dmy"}' in found["own_date_order_ambiguous"]["message"]


@pytest.mark.requirement("RS-06", "X-05")
async def test_numbers_nobody_can_tell_stay_text(tmp_path: Path) -> None:
    assert await own_values(tmp_path, "13,300", "900", rating="4") == ["13,300", "900"]
