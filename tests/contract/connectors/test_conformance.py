"""What every connector promises, run over all of them: those of the product, and those of other packages that are installed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import ConfigurationError, InvalidRequestError, UnauthorizedError
from services.extractor.budget import CallBudget, OutagePolicy, WaitingGate, plan_calls
from services.extractor.connector import END, START, Connector, Cursor, EntityMalformedError, RawRecord, ReadScope, Refusal, SourceEntity, SourcePage
from services.extractor.registry import CONNECTORS, connector_type
from services.transformer.mapping.reading import connector_mapping_text, load_mapping
from tests.contract.connectors.recording import HOSTILE_NAMES, CountingGate, Recording
from tests.contract.connectors.recordings import RECORDINGS
from tests.fixtures.stel_order.world import MemoryLedger

ALL = ReadScope(includes_archived=True, includes_deleted=True)
A_WHILE_AGO = datetime(2026, 3, 1, tzinfo=UTC)


def test_every_connector_has_a_recording() -> None:
    assert set(RECORDINGS) == set(CONNECTORS)


@pytest.fixture(params=sorted(RECORDINGS))
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    return RECORDINGS[request.param](tmp_path)


@pytest.fixture
def called(recording: Recording) -> Recording:
    """A source that is called, not read from a folder."""
    if recording.http_transport is None:
        pytest.skip("no calls are made")
    return recording


async def read(connector: Connector, entity: str, cursor: Cursor = START, scope: ReadScope = ALL) -> list[SourcePage]:
    return [page async for page in connector.read(entity, cursor, scope)]


async def freeze_all(recording: Recording, connector: Connector, scope: ReadScope = ALL) -> dict[str, list[SourcePage]]:
    """Read every entity in order, as an extraction does, so that derived entities find what they are derived from."""
    pages: dict[str, list[SourcePage]] = {}
    for entity in await connector.list_entities():
        pages[entity.name] = await read(connector, entity.name, scope=scope)
        for page in pages[entity.name]:
            recording.frozen.freeze(entity.name, [envelope(record) for record in page.records])
    return pages


def envelope(record: RawRecord) -> dict[str, Any]:
    return {"id": record.source_id, "is_deleted": record.is_deleted, "is_archived": record.is_archived, "data": record.data}


def ids(pages: Sequence[SourcePage]) -> list[str]:
    return [record.source_id for page in pages for record in page.records]


def records(pages: Sequence[SourcePage]) -> list[RawRecord]:
    return [record for page in pages for record in page.records]


# --------------------------------------------------------------------------- everything, once, in order


@pytest.mark.requirement("L-06", "X-04")
async def test_reads_every_record_of_every_entity_once(recording: Recording) -> None:
    async with recording.connect() as connector:
        pages = await freeze_all(recording, connector)
    found = {name: set(ids(one)) for name, one in pages.items() if ids(one) and name not in recording.uncertain}
    assert found == recording.expected_ids
    assert all(len(ids(one)) == len(set(ids(one))) for one in pages.values())


@pytest.mark.requirement("L-06")
async def test_resuming_after_any_page_in_another_process_loses_nothing(recording: Recording) -> None:
    async with recording.connect() as connector:
        pages = await freeze_all(recording, connector)
    async with recording.connect() as resumed:
        for name, found in pages.items():
            for number, page in enumerate(found):
                still_to_come = {record.source_id for later in found[number:] for record in later.records}
                assert still_to_come <= set(ids(await read(resumed, name, page.cursor)))


async def test_cursors_form_a_chain_from_start_to_end(recording: Recording) -> None:
    async with recording.connect() as connector:
        found = await freeze_all(recording, connector)
    assert len(found[recording.paged_entity]) > 1
    for pages in found.values():
        assert pages[0].cursor == START
        assert pages[-1].next_cursor == END
        assert [page.next_cursor for page in pages[:-1]] == [page.cursor for page in pages[1:]]
        assert len({page.cursor for page in pages}) == len(pages)


async def test_reading_twice_gives_the_same(recording: Recording) -> None:
    async with recording.connect() as connector:
        await freeze_all(recording, connector)
        for entity in await connector.list_entities():
            assert await read(connector, entity.name) == await read(connector, entity.name)


# --------------------------------------------------------------------------- a source that lives


@pytest.mark.requirement("L-06", "X-04")
async def test_what_stays_is_read_although_people_change_the_source_meanwhile(recording: Recording) -> None:
    assert recording.disturb is not None
    expected = recording.expected_ids[recording.paged_entity]
    moved: set[str] = set()
    found: set[str] = set()
    # Better no reading than one of two accounts: a bundle that is overwritten is refused.
    outcome = pytest.raises(ConfigurationError, match="put it back") if recording.is_stopped_by_changes else nullcontext()
    with outcome:
        async with recording.connect() as connector:
            async for page in connector.read(recording.paged_entity, START, ALL):
                found |= {record.source_id for record in page.records}
                if not moved:
                    moved = recording.disturb() or {"nothing"}
    assert recording.is_stopped_by_changes or expected - moved <= found


@pytest.mark.requirement("L-11", "X-04")
async def test_a_delta_tells_what_was_deleted_and_nothing_else_is_gone(recording: Recording) -> None:
    assert recording.delete is not None
    async with recording.connect() as connector:
        before = await freeze_all(recording, connector)
    gone = recording.delete()
    assert gone in ids(before[recording.paged_entity])
    recording.frozen.extraction += 1
    async with recording.connect() as connector:
        after = await freeze_all(recording, connector, ReadScope(changed_since=A_WHILE_AGO, includes_archived=True, includes_deleted=True))
    for name, pages in after.items():
        was_deleted = {one.source_id for one in records(before[name]) if one.is_deleted}
        newly = {one.source_id for one in records(pages) if one.is_deleted} - was_deleted
        assert newly <= set(ids(before[name])), name
        assert newly == {gone} or name != recording.paged_entity


@pytest.mark.requirement("L-11", "X-04")
async def test_a_later_bundle_tells_of_every_table_what_is_new_and_what_is_gone(recording: Recording) -> None:
    """Other sources say themselves what changed; here it is found by comparing."""
    if recording.http_transport is not None:
        pytest.skip("the source tells")
    assert recording.delete is not None
    async with recording.connect() as connector:
        await freeze_all(recording, connector)
    recording.delete()
    recording.frozen.extraction += 1
    scope = ReadScope(changed_since=A_WHILE_AGO)
    async with recording.connect() as connector:
        for entity in (await connector.list_entities())[1:]:
            found = await read(connector, entity.name, scope=scope)
            gone = [record for record in records(found) if record.is_deleted]
            assert len(gone) == (0 if entity.has_files else 1), entity.name
            assert len(records(found)) - len(gone) == 1, entity.name
            for number, page in enumerate(found):
                assert set(ids(found[number:])) <= set(ids(await read(connector, entity.name, page.cursor, scope)))


@pytest.mark.requirement("L-11")
async def test_a_delta_of_nothing_is_empty(recording: Recording) -> None:
    async with recording.connect() as connector:
        await freeze_all(recording, connector)
    recording.frozen.extraction += 1
    async with recording.connect() as connector:
        for entity in (await connector.list_entities())[: 1 if recording.http_transport is None else 0]:
            await read(connector, entity.name)
        pages = await read(connector, recording.paged_entity, scope=ReadScope(changed_since=datetime(2099, 1, 1, tzinfo=UTC)))
    assert ids(pages) == []


@pytest.mark.requirement("X-04")
async def test_an_empty_account_is_read_to_its_end(recording: Recording) -> None:
    assert recording.clear is not None
    recording.clear()
    async with recording.connect() as connector:
        await connector.check()
        for name, pages in (await freeze_all(recording, connector)).items():
            assert pages[0].cursor == START
            assert pages[-1].next_cursor == END
            assert name in recording.always or ids(pages) == []


async def test_repeated_page_is_an_error_not_a_loop(called: Recording) -> None:
    assert called.repeat_first_page is not None
    called.repeat_first_page()
    async with called.connect() as connector:
        with pytest.raises(EntityMalformedError):
            await read(connector, called.paged_entity)


# --------------------------------------------------------------------------- what stands on the pages


@pytest.mark.requirement("X-08")
async def test_hostile_names_arrive_as_they_are(recording: Recording) -> None:
    async with recording.connect() as connector:
        pages = await freeze_all(recording, connector)
    written = {str(value).strip() for record in records(pages[recording.paged_entity]) for value in record.data.values()}
    if recording.http_transport is None:
        written = {str(value) for one in pages.values() for record in records(one) for value in record.data.values()}
    assert {name.strip() for name in HOSTILE_NAMES if name} <= written


async def test_records_survive_json_and_links_stay_out_of_file_records(recording: Recording) -> None:
    async with recording.connect() as connector:
        file_entities = {entity.name for entity in await connector.list_entities() if entity.has_files}
        found = await freeze_all(recording, connector)
    for name, pages in found.items():
        for record in records(pages):
            assert json.loads(json.dumps(record.data)) == record.data
            assert record.source_id
            if name in file_entities:
                assert {"owner_entity", "owner_id", "name"} <= record.data.keys()
                assert record.link is not None
                assert record.link.url not in json.dumps(record.data)
                assert record.link.url not in repr(record)


async def test_entities_have_unique_names_in_a_fixed_order(recording: Recording) -> None:
    async with recording.connect() as connector:
        first, again = await connector.list_entities(), await connector.list_entities()
    assert [one.name for one in first] == [one.name for one in again]
    for entities in (first, CONNECTORS[recording.connector].entities):
        names = [entity.name for entity in entities]
        assert len(names) == len(set(names))
        assert all(name.replace("_", "").islower() for name in names)


# --------------------------------------------------------------------------- calls: only reading ones, each counted, within the limits


async def test_every_call_passes_the_gate(recording: Recording) -> None:
    async with recording.connect() as connector:
        await connector.check()
        assert len(recording.requests) <= 2
        assert bool(recording.requests) == (recording.http_transport is not None)
        await freeze_all(recording, connector)
    logins = sum(f"{request.method} {request.url.path}" in recording.reading_calls for request in recording.requests)
    assert len(recording.requests) - logins <= recording.count <= len(recording.requests)


@pytest.mark.requirement("X-06")
async def test_nothing_but_reading_calls_is_ever_sent(called: Recording) -> None:
    async with called.connect() as connector:
        await connector.check()
        await freeze_all(called, connector)
        await read(connector, called.paged_entity, scope=ReadScope(changed_since=A_WHILE_AGO))
    sent = {f"{request.method} {request.url.path}" for request in called.requests if request.method != "GET"}
    assert sent <= called.reading_calls


@pytest.mark.requirement("X-06")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_nothing_but_get_could_be_sent(called: Recording, method: str) -> None:
    async with called.client({}) as http:
        with pytest.raises(InvalidRequestError):
            await http.request(method, f"{called.base_url}/clients")
    assert called.requests == []


@pytest.mark.requirement("X-06")
async def test_a_folder_is_left_as_it_was(recording: Recording, tmp_path: Path) -> None:
    before = prints(tmp_path)
    async with recording.connect() as connector:
        await connector.check()
        await freeze_all(recording, connector)
    assert prints(tmp_path) == before


def prints(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in sorted(folder.rglob("*")) if path.is_file()
    }


async def test_wrong_key_is_named_and_not_shown(called: Recording) -> None:
    async with called.connect(key="not-the-key") as connector:
        with pytest.raises(UnauthorizedError) as caught:
            await connector.check()
    assert caught.value.reason == "SOURCE_UNAUTHORIZED"
    assert "not-the-key" not in caught.value.message


async def test_a_refusal_is_waited_out_and_nothing_is_lost(called: Recording) -> None:
    assert called.refuse is not None
    async with called.connect() as connector:
        await connector.check()
        called.refuse()
        pages = await read(connector, called.paged_entity)
    assert isinstance(called.gate, CountingGate)
    assert len(called.gate.refusals) == 1
    assert called.gate.refusals[0] in set(Refusal)
    assert set(ids(pages)) == called.expected_ids[called.paged_entity]


@pytest.mark.requirement("L-06")
async def test_limits_of_the_minute_and_the_day_are_kept(called: Recording) -> None:
    """The product's own budget stands between connector and source; time leaps."""
    per_minute, per_day = 5, 40
    limits = CONNECTORS[called.connector].limits({"calls_per_minute": per_minute, "calls_per_day": per_day})
    assert (limits.calls_per_minute, limits.calls_per_day) == (per_minute, per_day)

    async def told(reason: str, message: str, until: datetime) -> None:
        assert reason == "SOURCE_QUOTA_EXHAUSTED"

    budget = CallBudget("source", ledger=MemoryLedger(), clock=called.clock)
    called.gate = WaitingGate(budget, limits=limits, extraction_id="x", clock=called.clock, outage_policy=OutagePolicy(), on_wait=told)
    async with called.connect() as connector:
        pages = await freeze_all(called, connector)
    assert {name: set(ids(one)) for name, one in pages.items() if ids(one)} == called.expected_ids
    times = [
        moment
        for moment, request in zip(called.times, called.requests, strict=True)
        if f"{request.method} {request.url.path}" not in called.reading_calls
    ]
    assert all(later - first >= timedelta(seconds=60) for first, later in zip(times, times[per_minute:], strict=False))
    days = [moment.astimezone(limits.day_zone).date() for moment in times]
    assert max(days.count(day) for day in days) <= per_day


async def test_what_reading_costs_is_no_less_than_was_planned(recording: Recording) -> None:
    """Before anything is read only the number of collections is known: each costs a call at least."""
    async with recording.connect() as connector:
        listed = await connector.list_entities()
        before = len(recording.requests)
        pages = await freeze_all(recording, connector)
    used = len(recording.requests) - before
    limits = CONNECTORS[recording.connector].limits({})
    if recording.http_transport is None:
        assert (limits.calls_per_minute, limits.calls_per_day, used) == (0, 0, 0)
        return
    collections = [one for one in listed if costs_a_call(one, recording)]
    assert plan_calls(collection_count=len(collections), limits=limits).call_count <= used
    assert used <= len(listed) + sum(len(one) for one in pages.values()) * 2, "a page costs a call, and another where it is proved to be the last"


async def test_the_mapping_plans_what_reading_costs(called: Recording) -> None:
    plan = load_mapping(connector_mapping_text(called.connector)).call_plan
    if plan is None or called.has_small_pages:
        pytest.skip("nothing to compare with")
    async with called.connect() as connector:
        listed = [one for one in await connector.list_entities() if not one.has_files]
        pages = {one.name: await read(connector, one.name) for one in listed}
    planned = sum(len(ids(found)) // plan.page_size + 1 for found in pages.values())
    closing = sum(len(found) > 1 for found in pages.values())
    assert planned - closing <= called.count <= planned + closing, "a list of several pages may take a call to prove that it stood still"
    limits = CONNECTORS[called.connector].limits({})
    assert (limits.calls_per_minute, limits.calls_per_day) == (plan.plans[plan.default].calls_per_minute, plan.plans[plan.default].calls_per_day)


def costs_a_call(entity: SourceEntity, recording: Recording) -> bool:
    """Say whether an entity is read with calls of its own, not from pages that are frozen already."""
    return any(request.url.path.rstrip("/").endswith(f"/{entity.source_name}") for request in recording.requests)


def test_default_limits_are_stated(recording: Recording) -> None:
    limits = CONNECTORS[recording.connector].limits({})
    assert limits.plan
    assert limits.calls_per_minute >= 0
    with pytest.raises(InvalidRequestError):
        CONNECTORS[recording.connector].limits({"plan": "no such plan"})


def test_unknown_connector_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequestError, match="stel_order"):
        connector_type("nothing")
