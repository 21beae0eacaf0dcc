"""Bundles read: cells as values, pages with cursors, and the same again after any of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.extractor.connector import END, START, EntityMalformedError
from tests.fixtures.bundle.toy import bundle, pages, records, toy

CUSTOMERS = (
    "\ufeffCustomer ID,Name,Rating,Date Joined,Status,VIP,Date Edited,UDF: Ward,Shoe Size\r\n"
    '007,"Søn, ""the"" Ñandú",4.5,3/14/2025,Active,Yes,3/7/2025 2:05:00 PM,North,42\r\n'
    "8,شركة,,1/2/2024,Inactive,0,12/1/2024 11:30 PM,,\r\n"
    "9,Gone,1,2/2/2024,deleted,x,1/1/1900,,\r\n"
)


@pytest.mark.requirement("X-05", "X-08")
async def test_cells_become_values_of_their_type(tmp_path: Path) -> None:
    async with toy(bundle(tmp_path, customers=CUSTOMERS), time_zone="America/New_York") as source:
        first, second, third = await records(source, "customer")
    assert first.data == {
        "customer_id": "007",
        "name": 'Søn, "the" Ñandú',
        "rating": 4.5,
        "joined": "2025-03-14",
        "status": "Active",
        "is_vip": True,
        "edited_time": "2025-03-07T14:05:00-05:00",
        "properties": {"Ward": "North"},
        "other_columns": {"Shoe Size": "42"},
    }
    assert (second.data["joined"], second.data["edited_time"], second.data["is_vip"]) == ("2024-01-02", "2024-12-01T23:30:00-05:00", False)
    assert (second.is_archived, third.is_deleted, first.is_archived, first.is_deleted) == (True, True, False, False)
    assert "edited_time" not in third.data  # 1 January 1900 is how old data bases say: no date


async def test_resuming_after_any_page_gives_the_rest(tmp_path: Path) -> None:
    rows = "".join(f"{number},Name {number}\n" for number in range(1, 26))
    async with toy(bundle(tmp_path, customers=f"Customer ID,Name\n{rows}"), page_rows=10) as source:
        found = await pages(source, "customer")
        assert [len(page.records) for page in found] == [10, 10, 5]
        assert found[0].cursor == START
        assert found[-1].next_cursor == END
        for number, page in enumerate(found):
            assert await pages(source, "customer", page.cursor) == found[number:]


async def test_missing_table_is_empty_and_missing_required_one_stops_everything(tmp_path: Path) -> None:
    async with toy(bundle(tmp_path)) as source:
        assert await records(source, "job") == []
    bundle(tmp_path / "other", jobs="Job ID\n1\n")
    (tmp_path / "other" / "customers.csv").unlink()
    async with toy(tmp_path / "other") as source:
        with pytest.raises(Exception, match="customers") as caught:
            await records(source, "job")
    assert not isinstance(caught.value, EntityMalformedError)
