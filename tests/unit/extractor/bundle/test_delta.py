"""A later bundle: what is new or changed comes, what is missing comes as deleted, and any page may be the last before a crash."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import ConfigurationError
from services.extractor.connector import START, EntityMalformedError, ReadScope, SourcePage
from tests.fixtures.bundle.toy import EVERYTHING, Frozen, bundle, pages, records, toy

LATER = ReadScope(changed_since=datetime(2026, 3, 1, tzinfo=UTC), includes_archived=True, includes_deleted=True)


def customers(*rows: str) -> str:
    return "Customer ID,Name,Status\n" + "".join(f"{row}\n" for row in rows)


async def freeze(folder: Path, frozen: Frozen, *entities: str, scope: ReadScope = EVERYTHING, **options: Any) -> None:
    async with toy(folder, frozen, **options) as source:
        for entity in entities:
            for page in await pages(source, entity, scope=scope):
                frozen.freeze(entity, page)
    frozen.extraction += 1


async def changes(folder: Path, frozen: Frozen, entity: str = "customer", **options: Any) -> dict[str, tuple[str, bool]]:
    async with toy(folder, frozen, **options) as source:
        found = await records(source, entity, LATER)
        return {one.source_id: (one.data.get("name", ""), one.is_deleted) for one in found}


@pytest.mark.requirement("L-11")
async def test_new_changed_and_deleted_rows(tmp_path: Path) -> None:
    frozen = Frozen()
    bundle(tmp_path, customers=customers("1,Ann,", "2,Bob,", "3,Cid,", "4,Dan,"))
    await freeze(tmp_path, frozen, "customer", page_rows=2)
    bundle(tmp_path, customers=customers("4,Dan,Inactive", "2,Robert,", "5,Eve,", "1,Ann,"))
    assert await changes(tmp_path, frozen) == {"4": ("Dan", False), "2": ("Robert", False), "5": ("Eve", False), "3": ("Cid", True)}
    await freeze(tmp_path, frozen, "customer", scope=LATER)
    assert await changes(tmp_path, frozen) == {}
    bundle(tmp_path, customers=customers("2,Robert,", "3,Cid,", "5,Eve,"))  # one is back, two are gone
    assert await changes(tmp_path, frozen) == {"3": ("Cid", False), "1": ("Ann", True), "4": ("Dan", True)}


async def test_what_is_missing_in_a_partial_bundle_or_table_is_not_deleted(tmp_path: Path) -> None:
    frozen = Frozen()
    bundle(tmp_path, customers=customers("1,Ann,", "2,Bob,"), jobs="Job ID,Title\n1,A\n")
    await freeze(tmp_path, frozen, "customer", "job")
    bundle(tmp_path, customers=customers("2,Robert,"))
    (tmp_path / "jobs.csv").unlink()
    assert await changes(tmp_path, frozen, "job") == {}
    assert await changes(tmp_path, frozen, deletions="ignore") == {"2": ("Robert", False)}
    (tmp_path / "manifest.json").write_text('{"kind": "delta"}')
    assert await changes(tmp_path, frozen) == {"2": ("Robert", False)}


async def test_an_export_that_lacks_most_of_a_table_is_doubted(tmp_path: Path) -> None:
    frozen = Frozen()
    bundle(tmp_path, customers=customers(*(f"{number},Name {number}," for number in range(30))))
    await freeze(tmp_path, frozen, "customer")
    bundle(tmp_path, customers=customers(*(f"{number},Name {number}," for number in range(14))))
    with pytest.raises(EntityMalformedError, match="16 of 30 records of customer"):
        await changes(tmp_path, frozen)
    assert len(await changes(tmp_path, frozen, deletions="all")) == 16
    assert await changes(tmp_path, frozen, deletions="ignore") == {}
    bundle(tmp_path, customers=customers(*(f"{number},Name {number}," for number in range(16))))
    assert len(await changes(tmp_path, frozen)) == 14


async def test_a_partial_export_may_lack_tables_and_what_it_refers_to(tmp_path: Path) -> None:
    bundle(tmp_path, jobs="Job ID,Customer ID\n1,77\n")
    (tmp_path / "customers.csv").unlink()
    (tmp_path / "manifest.json").write_text('{"kind": "delta"}')
    async with toy(tmp_path) as source:
        assert len(await records(source, "job", LATER)) == 1
        assert "reference_broken" not in {finding.code for finding in (await source.findings()).findings}


async def test_order_of_rows_and_columns_and_the_format_of_the_file_are_no_change(tmp_path: Path) -> None:
    frozen = Frozen()
    bundle(tmp_path, customers=customers("1,Ann,", "2,Bób,x"))
    await freeze(tmp_path, frozen, "customer")
    content = "Status;Name;CUST_ID\r\nx;Bób;2\r\n;Ann;1\r\n"
    bundle(tmp_path, customers=content.encode("cp1252"))
    assert await changes(tmp_path, frozen) == {}


async def test_a_row_that_says_deleted_is_a_change_once(tmp_path: Path) -> None:
    frozen = Frozen()
    bundle(tmp_path, customers=customers("1,Ann,"))
    await freeze(tmp_path, frozen, "customer")
    bundle(tmp_path, customers=customers("1,Ann,Deleted"))
    assert await changes(tmp_path, frozen) == {"1": ("Ann", True)}
    await freeze(tmp_path, frozen, "customer", scope=LATER)
    assert await changes(tmp_path, frozen) == {}


@pytest.mark.requirement("L-06", "L-11")
@pytest.mark.parametrize("died_after", range(6))
async def test_a_delta_that_dies_after_any_page_loses_nothing(tmp_path: Path, died_after: int) -> None:
    frozen = Frozen()
    bundle(tmp_path, customers=customers(*(f"{number},Name {number}," for number in range(20))))
    await freeze(tmp_path, frozen, "customer", page_rows=4)
    bundle(tmp_path, customers=customers(*(f"{number},{'New' if number % 2 else 'Name'} {number}," for number in range(8, 28))))
    expected = await changes(tmp_path, frozen)
    found: dict[str, tuple[str, bool]] = {}
    cursor, count = START, 0
    while True:
        async with toy(tmp_path, frozen, page_rows=3) as source:  # a new process after the crash
            died = False
            async for page in source.read("customer", cursor, LATER):
                taken: SourcePage = page
                frozen.freeze("customer", taken)
                found |= {one.source_id: (one.data["name"], one.is_deleted) for one in taken.records}
                cursor, count = taken.next_cursor, count + 1
                if count == died_after + 1:
                    died = True
                    break
        if not died:
            break
    assert found == expected
    assert sum(len(page.envelopes) for _, _, page in frozen.pages) == 20 + len(expected)  # and nothing came twice


@pytest.mark.requirement("L-06")
async def test_a_bundle_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    bundle(tmp_path, customers=customers(*(f"{number},Name {number}," for number in range(10))))
    async with toy(tmp_path, page_rows=3) as source:
        reading = source.read("customer", START, EVERYTHING)
        first = await anext(reading)
        (tmp_path / "customers.csv").write_text(customers("1,Other,"))
        with pytest.raises(ConfigurationError, match="put it back"):
            async for _ in reading:
                pass
    async with toy(tmp_path, page_rows=3) as source:
        with pytest.raises(ConfigurationError, match="put it back"):
            await pages(source, "customer", first.next_cursor)


async def test_a_newer_bundle_that_comes_while_one_is_read_waits_its_turn(tmp_path: Path) -> None:
    frozen = Frozen()
    bundle(tmp_path / "toy-20260301", customers=customers("1,Ann,"))
    async with toy(tmp_path, frozen) as source:
        for page in await pages(source, "bundle_finding"):
            frozen.freeze("bundle_finding", page)
    bundle(tmp_path / "toy-20260302", customers=customers("1,Anna,"))
    async with toy(tmp_path, frozen) as source:  # the extraction goes on in another process
        assert [one.data["name"] for one in await records(source, "customer")] == ["Ann"]
    frozen.extraction += 1
    async with toy(tmp_path, frozen) as source:
        assert [one.data["name"] for one in await records(source, "customer")] == ["Anna"]


async def test_findings_that_are_gone_are_taken_back(tmp_path: Path) -> None:
    frozen = Frozen()
    bundle(tmp_path, customers="Customer ID,Name\n1,Ann\n1,Bob\n")
    await freeze(tmp_path, frozen, "bundle_finding")
    bundle(tmp_path, customers="Customer ID,Name\n1,Ann\n2,Bob\n")
    async with toy(tmp_path, frozen) as source:
        gone = {one.source_id for one in await records(source, "bundle_finding") if one.is_deleted}
    assert gone == {"finding/id_repeated/customer"}
