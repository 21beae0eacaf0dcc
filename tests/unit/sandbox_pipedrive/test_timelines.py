"""Timelines of deals, persons and organizations."""

import pytest

from sandbox.pipedrive.account.clock import SandboxClock
from tests.unit.sandbox_pipedrive.driver import Driver, Start


@pytest.fixture
def clock() -> SandboxClock:
    return SandboxClock(lambda: 1_760_000_000.0, lambda: 100.0)


async def _flow(api: Driver, path: str, **query: str) -> list[str]:
    return [entry["object"] for entry in (await api.get(f"/v1/{path}/flow", **query)).data or []]


async def _full_deal(api: Driver, clock: SandboxClock) -> None:
    """Deal 1 (organization 1, person 1) with one thing of each kind, a minute apart."""
    field = (await api.post("/api/v2/dealFields", {"field_name": "Floor", "field_type": "double"})).data["field_code"]
    for call in (
        api.patch("/api/v2/deals/1", {"stage_id": 2, "custom_fields": {field: 3}}),
        api.post("/v1/notes", {"content": "Seen", "deal_id": 1}),
        api.post("/api/v2/activities", {"subject": "Visit", "deal_id": 1, "done": True}),
        api.post("/api/v2/activities", {"subject": "Again", "deal_id": 1}),
        api.post("/v1/notes/1/comments", {"content": "Yes"}),
        api.post("/api/v2/deals/1/followers", {"user_id": 3}),
        api.post("/v1/deals/1/participants", {"person_id": 2}),
    ):
        clock.advance(60)
        assert (await call).status in {200, 201}


async def test_timeline_of_a_deal(start: Start, clock: SandboxClock) -> None:
    api = start(clock)
    await api.patch("/api/v2/deals/1", {"stage_id": 1})
    await _full_deal(api, clock)
    answer = await api.get("/v1/deals/1/flow")
    assert [entry["object"] for entry in answer.data][:4] == ["activity", "activity", "note", "dealChange"]
    assert {entry["object"] for entry in answer.data} == {"activity", "note", "dealChange"}
    change = answer.data[3]
    assert change["timestamp"] == change["data"]["log_time"] == "2025-10-09 08:54:20"
    assert (change["data"]["field_key"], change["data"]["old_value"], change["data"]["new_value"]) == ("stage_id", 1, 2)
    assert change["data"]["additional_data"] == {"old_value_formatted": "Qualified", "new_value_formatted": "Contact Made"}
    assert answer.data[0]["data"]["subject"] == "Again"
    assert answer.body["related_objects"]["deal"]["1"]["stage_id"] == 2
    assert {"user", "person", "organization"} <= answer.body["related_objects"].keys()


async def test_items_choose_what_is_shown(start: Start, clock: SandboxClock) -> None:
    api = start(clock)
    await _full_deal(api, clock)
    assert await _flow(api, "deals/1", items="activity") == ["activity"]
    assert await _flow(api, "deals/1", items="comment,follower,participant") == ["participant", "dealFollower", "comment"]
    assert await _flow(api, "deals/1", items="mailMessage,invoice") == []
    call = {"to_phone_number": "1", "outcome": "busy", "start_time": "2025-01-02 03:04:05", "end_time": "2025-01-02 03:05:05", "deal_id": 1}
    await api.post("/v1/callLogs", call)
    assert await _flow(api, "deals/1", items="call") == ["call"]
    assert (await api.get("/v1/deals/1/flow", items="weather")).status == 400
    custom = [entry["data"]["field_key"] for entry in (await api.get("/v1/deals/1/flow", items="change", all_changes="1")).data]
    plain = [entry["data"]["field_key"] for entry in (await api.get("/v1/deals/1/flow", items="change")).data]
    assert {len(key) for key in set(custom) - set(plain)} == {40}


async def test_organization_shows_changes_of_its_deals(start: Start, clock: SandboxClock) -> None:
    api = start(clock)
    await _full_deal(api, clock)
    await api.patch("/api/v2/organizations/1", {"name": "Renamed"})
    assert await _flow(api, "organizations/1") == ["organizationChange", "dealChange", "note"]
    assert await _flow(api, "organizations/1", items="deal") == ["deal"]
    assert await _flow(api, "persons/1", items="dealChange") == ["dealChange"]


async def test_timeline_has_pages(api: Driver) -> None:
    for number in range(5):
        await api.post("/v1/notes", {"content": f"Note {number}", "person_id": 4})
    first = await api.get("/v1/persons/4/flow", limit="3")
    assert [entry["data"]["content"] for entry in first.data] == ["Note 4", "Note 3", "Note 2"]
    assert first.body["additional_data"]["pagination"] == {"start": 0, "limit": 3, "more_items_in_collection": True, "next_start": 3}
    second = await api.get("/v1/persons/4/flow", limit="3", start="3")
    assert [entry["data"]["content"] for entry in second.data] == ["Note 1", "Note 0"]
    assert (await api.get("/v1/persons/999/flow")).status == 404
