"""Reading rows: by query and by job, wide and long, interrupted, changed meanwhile, and removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.extractor.connector import END, Cursor, EntityForbiddenError, FileMissingError, FileRefusedError, ReadScope
from services.extractor.connectors.servicetracker.soql import Key, after, quoted, split_columns
from tests.fixtures.servicetracker.org import org
from tests.unit.extractor.servicetracker.reading import reading

NOW = datetime(2026, 6, 1, tzinfo=UTC)


async def test_a_lost_cursor_is_taken_up_from_the_last_key() -> None:
    made = org(customers=20, page_size=6)
    async with reading(made) as source:
        pages = source.connector.read("customer", Cursor(""), ReadScope())
        first = await anext(pages)
        made.simulator.cursors.clear()
        rest = [record.source_id async for page in pages for record in page.records]
    assert {record.source_id for record in first.records} | set(rest) == made.ids("Account")
    assert len(rest) + len(first.records) == len(made.rows("Account"))


async def test_rows_changed_while_they_are_read_come_in_a_delta() -> None:
    made = org(customers=20, page_size=6)
    async with reading(made) as source:
        pages = source.connector.read("customer", Cursor(""), ReadScope())
        await anext(pages)
        changed = made.rows("Account")[0]["Id"]
        made.store.update("Account", changed, {"Name": "Renamed meanwhile"}, NOW)
        seen = {record.source_id async for page in pages for record in page.records}
        delta = await source.rows("customer", ReadScope(changed_since=NOW))
    assert len(seen) >= 20 - 6
    assert [(record.source_id, record.data["Name"]) for record in delta] == [(changed, "Renamed meanwhile")]


@pytest.mark.requirement("L-06")
async def test_a_query_that_is_too_wide_is_split_and_put_together() -> None:
    made = org(customers=14)
    async with reading(made, address_bytes=3_000) as narrow, reading(made) as wide:
        assert await narrow.rows("customer") == await wide.rows("customer")
        surveys = [record for record in await narrow.rows("custom_record") if record.data["object"] == "Water_Survey__c"]
        assert len(surveys[0].data["fields"]) == 20
    longest = max(len(str(request.url)) for request in made.requests)
    assert longest < 16_384


def test_parts_of_a_query_keep_the_keys_and_lose_no_column() -> None:
    columns = ["Id", "Stamp", *(f"Column_{number:03d}__c" for number in range(100))]
    parts = split_columns(columns, ["Id", "Stamp"], address_bytes=1_200)
    assert len(parts) > 2
    assert all(part[:2] == ["Id", "Stamp"] for part in parts)
    assert [column for part in parts for column in part[2:]] == columns[2:]


def test_literals_are_escaped() -> None:
    assert quoted("O'Brien \\ Co") == "'O\\'Brien \\\\ Co'"
    assert after(Key("2026-01-31T10:00:00.000+0000", "001x"), "SystemModstamp") == (
        "(SystemModstamp > 2026-01-31T10:00:00.000Z OR (SystemModstamp = 2026-01-31T10:00:00.000Z AND Id > '001x'))"
    )
    assert after(Key("", "001x"), "") == "Id > '001x'"


async def test_a_field_that_is_gone_is_left_out() -> None:
    made = org()
    async with reading(made) as source:
        await source.connector.list_entities()
        fields = dict(made.store.objects["Account"].fields)
        del fields["Billing_Code__c"]
        made.store.objects["Account"] = type(made.store.objects["Account"])("Account", "Account", "Accounts", "001", fields)
        found = await source.rows("customer")
    assert {record.source_id for record in found} == made.ids("Account")
    assert all("Billing_Code__c" not in record.data for record in found)


@pytest.mark.requirement("L-06", "X-04")
async def test_a_bulk_job_gives_what_a_query_gives() -> None:
    made = org(customers=30)
    async with reading(made, bulk_from=1, bulk_rows=7) as bulk, reading(made, bulk_from=0) as query:
        for entity in ("customer", "work_order", "visit", "asset", "task"):
            by_job = {record.source_id: record for record in await bulk.rows(entity)}
            by_query = {record.source_id: record for record in await query.rows(entity)}
            assert by_job == by_query, entity
    assert made.simulator.jobs.made_count >= 5
    assert made.simulator.jobs.jobs == {}


async def test_a_job_is_taken_up_in_the_middle_and_made_again_when_it_is_gone() -> None:
    made = org(customers=30)
    async with reading(made, bulk_from=1, bulk_rows=7) as source:
        pages = source.connector.read("customer", Cursor(""), ReadScope())
        first = await anext(pages)
        second = await anext(pages)
        await pages.aclose()
        rest = [record.source_id for page in await source.pages("customer", second.cursor) for record in page.records]
        made.simulator.jobs.jobs.clear()
        again = [record.source_id for page in await source.pages("customer", second.next_cursor) for record in page.records]
    whole = made.ids("Account")
    assert {record.source_id for record in first.records} | set(rest) == whole
    assert set(again) == whole


@pytest.mark.parametrize("trouble", ["disabled", "failing"])
async def test_without_bulk_the_rows_come_by_query(trouble: str) -> None:
    made = org(customers=12)
    made.simulator.jobs.is_enabled = trouble != "disabled"
    made.simulator.jobs.fails = 2 if trouble == "failing" else 0
    async with reading(made, bulk_from=1) as source:
        pages = await source.pages("customer")
    assert {record.source_id for page in pages for record in page.records} == made.ids("Account")
    assert pages[-1].next_cursor == END


async def test_an_object_the_user_may_not_see_is_left_out_and_one_closed_later_is_named() -> None:
    made = org(denied={"st__Invoice__c"})
    async with reading(made) as source:
        assert "invoice" not in {entity.name for entity in await source.connector.list_entities()}
        made.simulator.options.denied = {"st__Visit__c"}
        with pytest.raises(EntityForbiddenError, match="st__Visit__c"):
            await source.rows("visit")


@pytest.mark.requirement("L-11")
async def test_rows_removed_for_good_come_as_deleted_ones() -> None:
    made = org(customers=12)
    async with reading(made) as source:
        await source.freeze("part")
        gone = made.rows(".Part__c")[0]
        # The clock of these tests stands in June; the org's own is the real one.
        made.store.delete("st__Part__c", gone["Id"], datetime.now(UTC), is_hard=True)
        found = await source.rows("part", ReadScope(changed_since=datetime.now(UTC) - timedelta(days=60)))
        assert [(record.source_id, record.is_deleted, record.data["Name"]) for record in found] == [(gone["Id"], True, gone["Name"])]


@pytest.mark.requirement("L-11")
async def test_a_full_compare_finds_what_no_list_tells() -> None:
    made = org(customers=12, page_size=5)
    async with reading(made, full_compare=True) as source:
        await source.freeze("part")
        gone = made.rows(".Part__c")[1]
        made.store.delete("st__Part__c", gone["Id"], datetime.now(UTC), is_hard=True)
        made.store.hard_deleted.clear()
        found = await source.rows("part", ReadScope(changed_since=datetime.now(UTC) - timedelta(hours=1)))
    assert [record.source_id for record in found] == [gone["Id"]]
    assert found[0].is_deleted


async def test_a_reading_that_was_interrupted_goes_on_by_the_frozen_descriptions() -> None:
    made = org()
    async with reading(made) as source:
        await source.freeze("field_description", "object_description")
        entities = await source.connector.list_entities()
        whole = await source.rows("work_order")
    asked = len(made.requests)
    async with reading(made, frozen=source.frozen) as again:
        assert await again.connector.list_entities() == entities
        assert len(made.requests) == asked
        assert await again.rows("work_order") == whole


async def test_files_are_opened_with_the_login_and_say_how_large_they_are() -> None:
    made = org(is_clean=False)
    async with reading(made) as source:
        found = {record.data["Name"]: record for record in await source.rows("attachment")}
        photo, large, gone = (found[name] for name in ("photo 0.png", "vídeo of the site.mp4", "gone.pdf"))
        made.simulator.sessions.expire()
        assert photo.link is not None
        assert large.link is not None
        assert gone.link is not None
        async with source.connector.open_file(photo.link) as file:
            body = b"".join([chunk async for chunk in file.chunks])
            assert (file.name, file.content_type, file.byte_count) == ("photo 0.png", "image/png", len(body))
        assert body == made.store.bodies[photo.source_id]
        async with source.connector.open_file(large.link) as file:
            assert file.byte_count is not None
            assert file.byte_count > 25 * 1024 * 1024
        with pytest.raises(FileMissingError):
            async with source.connector.open_file(gone.link):
                pass
        made.simulator.is_concurrent_full = True
        with pytest.raises(FileRefusedError):
            async with source.connector.open_file(photo.link):
                pass


@pytest.mark.requirement("ST-06")
async def test_images_of_notes_are_files_wherever_they_stand() -> None:
    made = org()
    async with reading(made) as source:
        await source.freeze("content_note")
        images = await source.rows("inline_image")
        assert await source.connector.count_files("inline_image", ReadScope()) == len(images)
        bodies: list[bytes] = []
        for image in images[:2]:
            assert image.link is not None
            async with source.connector.open_file(image.link) as file:
                bodies.append(b"".join([chunk async for chunk in file.chunks]))
    assert all(body.startswith(b"\x89PNG") for body in bodies)
    assert bodies[0] != bodies[1]
    assert "base64" not in orjson.dumps([dict(image.data) for image in images]).decode()


def _roles(entities: Any) -> dict[str, str]:
    return {entity.name: entity.source_name for entity in entities}


@pytest.mark.requirement("D-07", "G-07")
async def test_roles_are_found_whatever_the_package_is_called() -> None:
    async with reading(org(namespace="x9")) as source:
        found = _roles(await source.connector.list_entities())
    assert found["work_order"] == "x9__Work_Order__c"
    assert found["asset"] == "x9__Equipment__c"
    assert found["customer"] == "Account"
    assert found["custom_record"] == "Rodent_Log__c, Water_Survey__c"


@pytest.mark.requirement("D-07")
async def test_a_person_says_who_plays_a_role() -> None:
    roles = {
        "service_record": {"object": "Rodent_Log__c", "filter": "Activity_Level__c = 'High'", "fields": {"date": "Logged_On__c"}},
        "invoice": None,
    }
    made = org(customers=30)
    async with reading(made, roles=roles) as source:
        found = _roles(await source.connector.list_entities())
        assert found["service_record"] == "Rodent_Log__c"
        assert "invoice" not in found
        assert "st__Invoice__c" in found["custom_record"]
        rows = await source.rows("service_record")
        fields = {record.source_id: record.data for record in await source.rows("field_description")}
    assert rows
    assert {record.data["Activity_Level__c"] for record in rows} == {"High"}
    assert fields["Rodent_Log__c.Logged_On__c"]["meaning"] == "date"


@pytest.mark.requirement("D-07")
async def test_labels_of_another_vocabulary_are_understood_or_left_open() -> None:
    made = org()
    for name, label in {"st__Work_Order__c": "Job", "st__Technician__c": "Field Operative Resource", "st__Site__c": "Zone Plan"}.items():
        made.store.objects[name] = _relabelled(made.store.objects[name], label)
    async with reading(made) as source:
        found = _roles(await source.connector.list_entities())
    # By label, by the name in the package, and by that alone.
    assert found["work_order"] == "st__Work_Order__c"
    assert found["technician"] == "st__Technician__c"
    assert found["site"] == "st__Site__c"


def _relabelled(sobject: Any, label: str) -> Any:
    return type(sobject)(sobject.name, label, f"{label}s", sobject.prefix, sobject.fields)
