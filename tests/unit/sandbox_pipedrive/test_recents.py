"""Recents: what changed, in terms of version 1."""

import pytest

from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.v1.recents import KINDS
from tests.unit.sandbox_pipedrive.driver import Driver, Start

LONG_AGO = "2000-01-01 00:00:00"


@pytest.fixture
def clock() -> SandboxClock:
    return SandboxClock(lambda: 1_760_000_000.0, lambda: 100.0)


async def _recent(api: Driver, since: str, **query: str) -> list[tuple[str, int]]:
    return [(entry["item"], entry["id"]) for entry in (await api.get("/v1/recents", since_timestamp=since, **query)).data or []]


async def test_changes_come_in_order_of_time(start: Start, clock: SandboxClock) -> None:
    api = start(clock)
    clock.advance(60)
    await api.patch("/api/v2/deals/2", {"title": "Later"})
    clock.advance(60)
    await api.delete("/api/v2/persons/3")
    answer = await api.get("/v1/recents", since_timestamp="2025-10-09 08:54:00")
    assert [(entry["item"], entry["id"]) for entry in answer.data] == [("deal", 2), ("person", 3)]
    deal, person = (entry["data"] for entry in answer.data)
    assert (deal["title"], deal["update_time"], deal["deleted"], deal["visible_to"]) == ("Later", "2025-10-09 08:54:20", False, "7")
    assert (person["active_flag"], person["email"][0]["value"]) == (False, "contact3@customer.example")
    assert answer.body["additional_data"] == {
        "since_timestamp": "2025-10-09 08:54:00",
        "last_timestamp_on_page": "2025-10-09 08:55:20",
        "pagination": {"start": 0, "limit": 100, "more_items_in_collection": False},
    }


async def test_nothing_is_older_than_a_month(start: Start, clock: SandboxClock) -> None:
    api = start(clock)
    assert ("deal", 1) in await _recent(api, LONG_AGO)
    clock.advance(32 * 86400)
    await api.patch("/api/v2/deals/2", {"title": "Later"})
    assert await _recent(api, LONG_AGO) == [("deal", 2)]
    assert await _recent(api, "2025-11-11 00:00:00") == []


async def test_every_item_is_shown_and_pages_join(api: Driver) -> None:
    await api.post("/v1/filters", {"name": "x", "type": "deals", "conditions": _ANY})
    await api.post("/api/v2/activities", {"subject": "Visit", "deal_id": 1, "participants": [{"person_id": 1, "primary": True}], "due_time": "10:30"})
    upload = b'--line\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\nx\r\n--line--\r\n'
    assert (await api.send("POST", "/v1/files", upload, headers={"content-type": "multipart/form-data; boundary=line"})).status == 200
    everything = await _recent(api, LONG_AGO, limit="500")
    assert {item for item, _ in everything} == set(KINDS)
    pages = [await _recent(api, LONG_AGO, limit="30", start=str(start)) for start in range(0, len(everything), 30)]
    assert [entry for page in pages for entry in page] == everything
    activity = (await api.get("/v1/recents", since_timestamp=LONG_AGO, items="activity")).data[0]["data"]
    assert (activity["subject"], activity["due_time"], activity["person_name"]) == ("Visit", "10:30", "María José Ibarra")


_ANY = {
    "glue": "and",
    "conditions": [
        {"glue": "and", "conditions": [{"object": "deal", "field_id": "1", "operator": "IS NOT NULL", "value": None, "extra_value": None}]},
        {"glue": "or", "conditions": []},
    ],
}


async def test_items_narrow_and_wrong_requests_are_refused(api: Driver) -> None:
    assert {item for item, _ in await _recent(api, LONG_AGO, items="stage,pipeline")} == {"stage", "pipeline"}
    assert (await api.get("/v1/recents", since_timestamp=LONG_AGO, items="mail")).status == 400
    assert (await api.get("/v1/recents")).status == 400
    assert (await api.get("/v1/recents", since_timestamp="2025-10-09T08:54:00Z")).status == 400


async def test_a_record_of_someone_else_stays_hidden(start: Start) -> None:
    api = start()
    token = (await api.control("POST", "tokens", {"user_id": 3}))["token"]
    await api.patch("/api/v2/deals/1", {"owner_id": 2, "visible_to": 1})
    answer = await api.send("GET", "/v1/recents", token=token, since_timestamp=LONG_AGO, items="deal")
    assert 1 not in {entry["id"] for entry in answer.data}
