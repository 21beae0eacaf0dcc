"""What every connector promises, run over all of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import ConfigurationError, InvalidRequestError, UnauthorizedError
from services.extractor.connector import END, START, Connector, Cursor, EntityMalformedError, ReadScope, SourcePage
from services.extractor.connectors.bundle.layout import FINDINGS
from services.extractor.registry import CONNECTORS, connector_type
from tests.contract.connectors.bundles import ROWS, write_bundle
from tests.contract.connectors.recordings import BUNDLES, CALLED, HOSTILE_NAMES, RECORDINGS, Recording, recording_of

ALL = ReadScope(includes_archived=True, includes_deleted=True)


def test_every_connector_has_a_recording() -> None:
    assert set(RECORDINGS) == set(CONNECTORS)


@pytest.fixture(params=sorted(RECORDINGS))
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    return recording_of(request.param, tmp_path)


@pytest.fixture(params=sorted(CALLED))
def called(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    """A source that is called, with a key and one page after the other."""
    return recording_of(request.param, tmp_path)


@pytest.fixture(params=sorted(BUNDLES))
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    """A source that is read from a folder."""
    return recording_of(request.param, tmp_path)


async def read(connector: Connector, entity: str, cursor: Cursor = START, scope: ReadScope = ALL) -> list[SourcePage]:
    return [page async for page in connector.read(entity, cursor, scope)]


async def freeze_all(recording: Recording, connector: Connector) -> dict[str, list[SourcePage]]:
    """Read every entity in order, as an extraction does, so that derived entities find what they are derived from."""
    pages: dict[str, list[SourcePage]] = {}
    for entity in CONNECTORS[recording.connector].entities:
        pages[entity.name] = await read(connector, entity.name)
        for page in pages[entity.name]:
            recording.frozen.freeze(entity.name, [envelope(record) for record in page.records])
    return pages


def envelope(record: Any) -> dict[str, Any]:
    return {"id": record.source_id, "is_deleted": record.is_deleted, "is_archived": record.is_archived, "data": record.data}


def ids(pages: list[SourcePage]) -> list[str]:
    return [record.source_id for page in pages for record in page.records]


@pytest.mark.requirement("L-06", "X-04")
async def test_reads_every_record_of_every_entity_once(recording: Recording) -> None:
    async with recording.connect() as connector:
        pages = await freeze_all(recording, connector)
    found = {name: set(ids(read)) for name, read in pages.items() if ids(read) and name != FINDINGS}
    counts = {name for name, expected in recording.expected_ids.items() if isinstance(expected, int)}
    assert {name: len(one) if name in counts else one for name, one in found.items()} == recording.expected_ids
    assert all(len(ids(found)) == len(set(ids(found))) for found in pages.values())


@pytest.mark.requirement("L-06")
async def test_resuming_after_any_page_loses_nothing(recording: Recording) -> None:
    async with recording.connect() as connector:
        for name, pages in (await freeze_all(recording, connector)).items():
            for number, page in enumerate(pages):
                still_to_come = {record.source_id for later in pages[number:] for record in later.records}
                assert still_to_come <= set(ids(await read(connector, name, page.cursor)))


async def test_cursors_form_a_chain_from_start_to_end(recording: Recording) -> None:
    async with recording.connect() as connector:
        for pages in (await freeze_all(recording, connector)).values():
            assert pages[0].cursor == START
            assert pages[-1].next_cursor == END
            assert [page.next_cursor for page in pages[:-1]] == [page.cursor for page in pages[1:]]
            assert len({page.cursor for page in pages}) == len(pages)


async def test_reading_twice_gives_the_same(recording: Recording) -> None:
    async with recording.connect() as connector:
        await freeze_all(recording, connector)
        for entity in CONNECTORS[recording.connector].entities:
            assert await read(connector, entity.name) == await read(connector, entity.name)


async def test_every_call_passes_the_gate(recording: Recording) -> None:
    async with recording.connect() as connector:
        await connector.check()
        assert 1 <= len(recording.requests) <= 2 or recording.folder is not None
        await freeze_all(recording, connector)
    assert recording.gate.call_count == len(recording.requests)


@pytest.mark.requirement("X-06")
async def test_nothing_but_reading_calls_is_ever_sent(recording: Recording) -> None:
    async with recording.connect() as connector:
        await connector.check()
        await freeze_all(recording, connector)
        await read(connector, recording.paged_entity, scope=ReadScope(changed_since=datetime(2026, 1, 1, tzinfo=UTC)))
    sent = {f"{request.method} {request.url.path}" for request in recording.requests if request.method != "GET"}
    assert sent <= recording.reading_calls


@pytest.mark.requirement("X-06")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_nothing_but_get_could_be_sent(called: Recording, method: str) -> None:
    async with called._client({}) as http:
        with pytest.raises(InvalidRequestError):
            await http.request(method, f"{called.base_url}/clients")
    assert called.requests == []


async def test_wrong_key_is_named_and_not_shown(called: Recording) -> None:
    async with called.connect(key="not-the-key") as connector:
        with pytest.raises(UnauthorizedError) as caught:
            await connector.check()
    assert caught.value.reason == "SOURCE_UNAUTHORIZED"
    assert "not-the-key" not in caught.value.message


async def test_repeated_page_is_an_error_not_a_loop(called: Recording) -> None:
    called.repeat_first_page()
    async with called.connect() as connector:
        with pytest.raises(EntityMalformedError):
            await read(connector, called.paged_entity)


async def test_records_survive_json_and_links_stay_out_of_file_records(recording: Recording) -> None:
    file_entities = {entity.name for entity in CONNECTORS[recording.connector].entities if entity.has_files}
    async with recording.connect() as connector:
        for name, pages in (await freeze_all(recording, connector)).items():
            for record in (record for page in pages for record in page.records):
                assert json.loads(json.dumps(record.data)) == record.data
                if name in file_entities:
                    assert {"owner_entity", "owner_id", "name"} <= record.data.keys()
                    assert record.link is not None
                    assert record.link.url not in json.dumps(record.data)
                    assert record.link.url not in repr(record)


@pytest.mark.requirement("L-11")
async def test_reading_changes_since_the_far_future_gives_nothing_stamped(recording: Recording) -> None:
    async with recording.connect() as connector:
        await freeze_all(recording, connector)
        pages = await read(connector, recording.paged_entity, scope=ReadScope(changed_since=datetime(2099, 1, 1, tzinfo=UTC)))
    assert ids(pages) == []


@pytest.mark.requirement("L-11")
async def test_a_later_bundle_gives_what_changed_and_what_is_gone(bundle: Recording) -> None:
    async with bundle.connect() as connector:
        await freeze_all(bundle, connector)
    assert bundle.folder is not None
    write_bundle(bundle.folder, BUNDLES[bundle.connector].default, HOSTILE_NAMES, rows=ROWS + 1, without=2)
    bundle.frozen.begin()
    async with bundle.connect() as connector:
        for entity in CONNECTORS[bundle.connector].entities[1:]:
            found = await read(connector, entity.name, scope=ReadScope(changed_since=datetime(2026, 1, 1, tzinfo=UTC)))
            records = [record for page in found for record in page.records]
            gone = [record for record in records if record.is_deleted]
            new = [record for record in records if not record.is_deleted]
            assert len(gone) == (0 if entity.has_files else 1), entity.name
            assert len(new) == 1, entity.name
            for number, page in enumerate(found):  # a crash after any page loses none of it
                again = await read(connector, entity.name, page.cursor, scope=ReadScope(changed_since=datetime(2026, 1, 1, tzinfo=UTC)))
                assert {record.source_id for later in found[number:] for record in later.records} <= set(ids(again))


@pytest.mark.requirement("L-06")
async def test_a_bundle_that_changes_while_it_is_read_is_refused(bundle: Recording) -> None:
    async with bundle.connect() as connector:
        reading = connector.read(bundle.paged_entity, START, ALL)
        await anext(reading)
        assert bundle.folder is not None
        write_bundle(bundle.folder, BUNDLES[bundle.connector].default, HOSTILE_NAMES, rows=2)
        with pytest.raises(ConfigurationError, match="put it back"):
            async for _ in reading:
                pass


async def test_an_empty_bundle_gives_nothing(bundle: Recording) -> None:
    assert bundle.folder is not None
    write_bundle(bundle.folder, BUNDLES[bundle.connector].default, HOSTILE_NAMES, rows=0)
    async with bundle.connect() as connector:
        pages = await freeze_all(bundle, connector)
    assert {name: ids(found) for name, found in pages.items() if ids(found) and name != FINDINGS} == {}


@pytest.mark.requirement("X-08")
async def test_hostile_texts_arrive_as_they_are(bundle: Recording) -> None:
    async with bundle.connect() as connector:
        await freeze_all(bundle, connector)
        entities = CONNECTORS[bundle.connector].entities[1:]
        texts = {value for entity in entities for page in await read(connector, entity.name) for value in values(page)}
    assert {name.strip() for name in HOSTILE_NAMES if name} <= texts


def values(page: SourcePage) -> set[str]:
    return {value for record in page.records for value in record.data.values() if isinstance(value, str)}


def test_entities_have_unique_names_in_a_fixed_order(recording: Recording) -> None:
    names = [entity.name for entity in CONNECTORS[recording.connector].entities]
    assert len(names) == len(set(names))
    assert all(name.replace("_", "").islower() for name in names)


def test_default_limits_are_stated(recording: Recording) -> None:
    limits = CONNECTORS[recording.connector].limits({})
    assert limits.plan
    assert limits.calls_per_minute >= 0
    with pytest.raises(InvalidRequestError):
        CONNECTORS[recording.connector].limits({"plan": "no such plan"})


def test_unknown_connector_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequestError, match="stel_order"):
        connector_type("nothing")
