"""Webhooks: registration, what is told, tries, bans and the end of those that fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.webhooks import delivery as webhooks
from sandbox.pipedrive.webhooks.delivery import is_allowed
from tests.unit.sandbox_pipedrive.driver import Driver, Start

URL = "http://127.0.0.1:9/hook"
START = 1_760_000_000.0


class Receiver:
    """Stands in for the web: notes what arrives and answers as told."""

    def __init__(self, api: Driver) -> None:
        self.api = api
        self.arrived: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], int | None] = lambda payload: 200
        api.app.webhooks._send = self.send

    async def send(self, webhook: Record, body: bytes) -> int | None:
        assert webhook["subscription_url"] == URL
        payload: dict[str, Any] = json.loads(body)
        self.arrived.append(payload)
        return self.answer(payload)

    async def flush(self) -> list[str]:
        """Deliver what is due and tell what arrived since the last time, as `action.entity#attempt`."""
        self.arrived.clear()
        await self.api.control("POST", "webhooks/flush")
        return [f"{payload['meta']['action']}.{payload['meta']['entity']}#{payload['meta']['attempt']}" for payload in self.arrived]

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = (await self.api.control("GET", "webhooks"))["webhooks"][0]
        return state


@pytest.fixture
def clock() -> SandboxClock:
    return SandboxClock(lambda: START, lambda: 100.0)


@pytest.fixture
def api(start: Start, clock: SandboxClock) -> Driver:
    return start(clock)


@pytest.fixture
def receiver(api: Driver) -> Receiver:
    return Receiver(api)


async def _register(api: Driver, **changes: Any) -> dict[str, Any]:
    body = {"subscription_url": URL, "event_action": "*", "event_object": "*", "name": "Mine", **changes}
    answer = await api.post("/v1/webhooks", body)
    assert (answer.status, answer.body["status"], answer.body["success"]) == (201, "ok", True)
    data: dict[str, Any] = answer.data
    return data


# Registration


async def test_webhook_is_registered_listed_and_removed(api: Driver) -> None:
    webhook = await _register(api, event_object="deal", http_auth_user="u", http_auth_password="p")
    assert webhook == {
        "id": 1, "company_id": 7770001, "owner_id": 1, "user_id": 1, "event_action": "*", "event_object": "deal", "subscription_url": URL,
        "version": "2.0", "is_active": 1, "add_time": "2025-10-09T08:53:20.000Z", "remove_time": None, "type": "general", "http_auth_user": "u",
        "http_auth_password": "p", "remove_reason": None, "last_delivery_time": None, "last_http_status": None, "admin_id": 1, "name": "Mine",
    }  # fmt: skip
    assert (await api.get("/v1/webhooks")).body == {"status": "ok", "success": True, "data": [webhook]}
    assert (await api.delete("/v1/webhooks/1")).body == {"status": "ok", "success": True}
    assert (await api.get("/v1/webhooks")).data == []
    gone = await api.delete("/v1/webhooks/1")
    assert (gone.status, gone.body) == (404, {"status": "error", "success": False, "errors": {"id": ["not found"]}})


@pytest.mark.parametrize("url", [None, "", "example.com/hook", "ftp://example.com", "http://", "http://a b", "https://x.pipedrive.com/v1/deals", 5])
async def test_address_is_refused(api: Driver, url: Any) -> None:
    answer = await api.post("/v1/webhooks", {"subscription_url": url, "event_action": "*", "event_object": "*", "name": "x"})
    assert answer.status == 400
    assert answer.body == {"status": "error", "success": False, "errors": {"subscription_url": ["invalid or non-reachable URL"]}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"event_action": "added"},
        {"event_object": "planet"},
        {"name": None},
        {"name": "x" * 256},
        {"version": "3.0"},
        {"user_id": 999},
        {"user_id": "a"},
    ],
)
async def test_other_values_are_refused(api: Driver, wrong: dict[str, Any]) -> None:
    answer = await api.post("/v1/webhooks", {"subscription_url": URL, "event_action": "*", "event_object": "*", "name": "x"} | wrong)
    assert (answer.status, list(answer.body["errors"])) == (400, list(wrong))


async def test_user_has_forty_at_most_and_only_admins_act_for_others(api: Driver) -> None:
    for _ in range(40):
        await _register(api)
    one_more = {"subscription_url": URL, "event_action": "*", "event_object": "*", "name": "x"}
    assert (await api.post("/v1/webhooks", one_more)).status == 422
    await _register(api, user_id=2)
    token = (await api.control("POST", "tokens", {"user_id": 3}))["token"]
    answer = await api.send("DELETE", "/v1/webhooks/1", token=token)
    assert (answer.status, answer.body) == (403, {"success": False, "message": "Forbidden"})
    assert (await api.send("POST", "/v1/webhooks", one_more | {"user_id": 2}, token=token)).status == 403
    assert (await api.send("POST", "/v1/webhooks", one_more, token=token)).status == 201


# What is told


async def test_payloads_of_version_2(api: Driver, receiver: Receiver) -> None:
    webhook = await _register(api, event_object="organization")
    organization = (await api.post("/api/v2/organizations", {"name": "New"})).data["id"]
    changed = (await api.patch(f"/api/v2/organizations/{organization}", {"name": "Newer"})).data
    await api.delete(f"/api/v2/organizations/{organization}")
    await api.post("/api/v2/persons", {"name": "Not told"})
    assert await receiver.flush() == ["create.organization#1", "change.organization#1", "delete.organization#1"]
    created, change, deleted = receiver.arrived
    assert created["previous"] is None
    assert created["data"]["name"] == "New"
    assert change["data"] == changed
    assert change["previous"] == {"name": "New"}
    assert (deleted["data"], deleted["previous"]["name"], deleted["previous"]["is_deleted"]) == (None, "Newer", False)
    meta = change["meta"]
    assert len({payload["meta"]["id"] for payload in receiver.arrived}) == 3
    assert meta | {"id": "", "correlation_id": ""} == {
        "action": "change", "entity": "organization", "company_id": "7770001", "correlation_id": "", "entity_id": str(organization), "id": "",
        "is_bulk_edit": False, "timestamp": "2025-10-09T08:53:20.000Z", "type": "general", "user_id": "1", "version": "2.0",
        "webhook_id": str(webhook["id"]), "webhook_owner_id": "1", "change_source": "api", "attempt": 1,
        "host": "sandbox-field-services.pipedrive.com", "permitted_user_ids": ["1", "2", "3", "4", "5"],
    }  # fmt: skip


async def test_previous_names_only_the_custom_fields_that_changed(api: Driver, receiver: Receiver) -> None:
    codes = [(await api.post("/api/v2/dealFields", {"field_name": name, "field_type": "double"})).data["field_code"] for name in ("a", "b")]
    await _register(api, event_action="change", event_object="deal")
    await api.patch("/api/v2/deals/1", {"custom_fields": {codes[0]: 5}})
    await api.patch("/api/v2/deals/1", {})
    assert await receiver.flush() == ["change.deal#1"]
    assert receiver.arrived[0]["previous"] == {"custom_fields": {codes[0]: None}}
    assert receiver.arrived[0]["data"]["custom_fields"][codes[0]] == 5


async def test_payload_of_version_1(api: Driver, receiver: Receiver) -> None:
    await _register(api, version="1.0", event_object="person")
    await api.patch("/api/v2/persons/1", {"name": "Ann Other"})
    await api.control("POST", "webhooks/flush")
    payload = receiver.arrived[0]
    assert (payload["v"], payload["event"], payload["retry"]) == (1, "updated.person", 0)
    assert (payload["current"]["name"], payload["previous"]["name"], payload["current"]["active_flag"]) == ("Ann Other", "María José Ibarra", True)
    assert (payload["meta"]["action"], payload["meta"]["object"], payload["meta"]["id"]) == ("updated", "person", 1)


async def test_every_object_is_told(api: Driver, receiver: Receiver) -> None:
    await _register(api, event_action="create")
    pipeline = (await api.post("/api/v2/pipelines", {"name": "Second"})).data["id"]
    await api.post("/api/v2/stages", {"name": "Only", "pipeline_id": pipeline})
    await api.post("/v1/notes", {"content": "x", "deal_id": 1})
    await api.post("/v1/leads", {"title": "x", "person_id": 1})
    await api.post("/v1/users", {"email": "new@example.com"})
    await api.post("/api/v2/activities", {"subject": "x"})
    await api.post("/api/v2/products", {"name": "x"})
    await api.post("/api/v2/dealFields", {"field_name": "x", "field_type": "double"})
    await api.post("/api/v2/deals/1/products", {"product_id": 1, "item_price": 1, "quantity": 1})
    await api.post("/api/v2/activityFields", {"field_name": "x", "field_type": "double"})
    entities = [event.partition(".")[2].partition("#")[0] for event in await receiver.flush()]
    assert entities == ["pipeline", "stage", "note", "lead", "user", "activity", "product", "deal_field", "deal_product"]
    lead, user = (next(payload for payload in receiver.arrived if payload["meta"]["entity"] == entity) for entity in ("lead", "user"))
    assert lead["meta"]["entity_id"] == lead["data"]["id"]
    assert "permitted_user_ids" not in user["meta"]


async def test_merge_is_told_on_both_sides(api: Driver, receiver: Receiver) -> None:
    await _register(api, event_object="person")
    assert (await api.put("/v1/persons/1/merge", {"merge_with_id": 2})).status == 200
    assert await receiver.flush() == ["delete.person#1", "change.person#1"]
    deleted, change = (payload["meta"] for payload in receiver.arrived)
    assert (deleted["entity_id"], deleted["merged_to_id"]) == ("1", "2")
    assert (change["entity_id"], change["merged_from_id"]) == ("2", "1")


async def test_what_people_do_is_told_and_logged_as_done_in_the_app(api: Driver, receiver: Receiver) -> None:
    await _register(api, event_object="person")
    await api.control("POST", "people", {"do": {"edit": {"kind": "person", "id": 1, "values": {"name": "By hand"}}}})
    assert await receiver.flush() == ["change.person#1"]
    assert receiver.arrived[0]["meta"]["change_source"] == "app"
    assert {entry["change_source"] for entry in (await api.get("/v1/persons/1/changelog")).data} == {"app"}


async def test_only_what_the_webhooks_user_may_see_is_told(api: Driver, receiver: Receiver) -> None:
    await _register(api, user_id=3, event_object="deal")
    await api.patch("/api/v2/deals/1", {"owner_id": 2, "visible_to": 1})
    await api.patch("/api/v2/deals/2", {"title": "Open to all"})
    assert [payload["meta"]["entity_id"] for payload in receiver.arrived] == []
    await receiver.flush()
    assert [payload["meta"]["entity_id"] for payload in receiver.arrived] == ["2"]


async def test_removed_webhook_gets_nothing_more(api: Driver, receiver: Receiver) -> None:
    await _register(api)
    await api.patch("/api/v2/deals/1", {"title": "x"})
    await api.delete("/v1/webhooks/1")
    assert await receiver.flush() == []
    await _register(api)
    await api.control("POST", "reset")
    assert await receiver.flush() == []
    assert (await api.control("GET", "webhooks"))["webhooks"] == []


async def test_reset_forgets_when_the_last_delivery_was(api: Driver, receiver: Receiver) -> None:
    statuses = [None, 200]
    receiver.answer = lambda payload: statuses.pop()
    for status in (200, None):
        await _register(api, event_object="deal")
        assert (await api.get("/v1/webhooks")).data[0]["last_http_status"] is None
        await api.patch("/api/v2/deals/1", {"title": "x"})
        assert await receiver.flush() == ["change.deal#1"]
        assert (await api.get("/v1/webhooks")).data[0]["last_http_status"] == status
        await api.control("POST", "reset")


async def test_kept_webhook_works_after_a_restart(start: Start, tmp_path: Path) -> None:
    api = start(database=tmp_path / "account.db")
    await _register(api, event_object="deal")
    api.account.store.close()
    again = start(database=tmp_path / "account.db", seed=None)
    receiver = Receiver(again)
    await again.patch("/api/v2/deals/1", {"title": "x"})
    assert await receiver.flush() == ["change.deal#1"]
    again.account.store.close()


async def test_defect_costs_one_event(api: Driver, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    await _register(api, event_object="deal")
    broken = {name: value for name, value in api.account.store["deal"].records[1].items() if name != "title"} | {"value": 5}
    api.account.store.put("deal", broken)
    await api.patch("/api/v2/deals/2", {"title": "x"})
    assert await receiver.flush() == ["change.deal#1"]
    assert (await receiver.state())["lost"] == 1
    assert "KeyError: 'title'" in capsys.readouterr().err


async def test_nothing_leaves_this_machine_unless_allowed(api: Driver, receiver: Receiver, start: Start) -> None:
    await _register(api, subscription_url="https://hooks.example.com/x")
    await api.patch("/api/v2/deals/1", {"title": "x"})
    assert await receiver.flush() == []
    assert (await receiver.state())["withheld"] == 1
    assert is_allowed("http://[::1]:80/x", ())
    assert is_allowed("http://LOCALHOST:1/x", ())
    assert not is_allowed("http://127.0.0.1.example.com/x", ())
    assert not is_allowed("http://10.0.0.1/x", ("hooks.example.com",))
    assert is_allowed("https://Hooks.example.com/x", ("hooks.example.com",))
    assert is_allowed("https://anywhere.example/x", ("*",))


async def test_some_are_delivered_twice_on_request(start: Start, clock: SandboxClock) -> None:
    api = start(clock, webhook_duplicate_every=2)
    receiver = Receiver(api)
    await _register(api, event_object="deal")
    for number in range(3):
        await api.patch("/api/v2/deals/1", {"title": f"Title {number}"})
    await receiver.flush()
    assert [payload["data"]["title"] for payload in receiver.arrived] == ["Title 0", "Title 1", "Title 1", "Title 2"]
    assert receiver.arrived[1]["meta"]["id"] == receiver.arrived[2]["meta"]["id"]


# Tries, bans and the end


async def test_failed_delivery_is_tried_again_by_the_accounts_clock(api: Driver, receiver: Receiver, clock: SandboxClock) -> None:
    await _register(api, event_object="deal")
    receiver.answer = lambda payload: 500
    await api.patch("/api/v2/deals/1", {"title": "x"})
    assert await receiver.flush() == ["change.deal#1"]
    for seconds, attempt in ((3, 2), (30, 3), (150, 4)):
        assert (await receiver.state())["retries"] == [{"attempt": attempt, "due_in_seconds": seconds}]
        clock.advance(seconds - 0.5)
        assert await receiver.flush() == []
        clock.advance(0.5)
        assert await receiver.flush() == [f"change.deal#{attempt}"]
    clock.advance(1000)
    assert await receiver.flush() == []
    state = await receiver.state()
    assert (state["given_up"], state["failed_tries"], state["first_failures"], state["delivered"]) == (1, 4, 1, 0)
    listed = (await api.get("/v1/webhooks")).data[0]
    assert (listed["last_http_status"], listed["last_delivery_time"]) == (500, "2025-10-09T08:56:23.000Z")


async def test_first_tries_keep_their_order_while_one_waits(api: Driver, receiver: Receiver, clock: SandboxClock) -> None:
    await _register(api, event_object="deal")
    receiver.answer = lambda payload: None if (payload["data"]["title"], payload["meta"]["attempt"]) == ("Title 1", 1) else 204
    for number in range(4):
        await api.patch("/api/v2/deals/1", {"title": f"Title {number}"})
    await receiver.flush()
    assert [payload["data"]["title"] for payload in receiver.arrived] == ["Title 0", "Title 1", "Title 2", "Title 3"]
    clock.advance(3)
    assert await receiver.flush() == ["change.deal#2"]
    assert receiver.arrived[0]["data"]["title"] == "Title 1"
    assert (await receiver.state())["delivered"] == 4


async def test_ten_failed_first_tries_ban_for_half_an_hour(api: Driver, receiver: Receiver, clock: SandboxClock) -> None:
    await _register(api, event_object="deal")
    receiver.answer = lambda payload: 302
    for number in range(12):
        await api.patch("/api/v2/deals/1", {"title": f"Title {number}"})
    assert await receiver.flush() == ["change.deal#1"] * 10
    state = await receiver.state()
    assert (state["banned_for_seconds"], state["lost"], state["first_failures"], state["retries"]) == (1800, 12, 0, [])
    receiver.answer = lambda payload: 200
    await api.patch("/api/v2/deals/1", {"title": "Lost"})
    clock.advance(1799)
    assert await receiver.flush() == []
    clock.advance(1)
    await api.patch("/api/v2/deals/1", {"title": "Told"})
    assert await receiver.flush() == ["change.deal#1"]
    assert receiver.arrived[0]["data"]["title"] == "Told"
    assert (await receiver.state())["lost"] == 13


async def test_three_days_without_success_end_a_webhook(api: Driver, receiver: Receiver, clock: SandboxClock) -> None:
    await _register(api, event_object="deal")
    receiver.answer = lambda payload: 500
    for day in range(3):
        await api.patch("/api/v2/deals/1", {"title": f"Day {day}"})
        await receiver.flush()
        assert len((await api.get("/v1/webhooks")).data) == 1
        clock.advance(86_400)
    await api.patch("/api/v2/deals/1", {"title": "Day 3"})
    await receiver.flush()
    assert (await api.get("/v1/webhooks")).data == []


async def test_success_starts_the_three_days_again(api: Driver, receiver: Receiver, clock: SandboxClock) -> None:
    await _register(api, event_object="deal")
    statuses = iter([500, 200] * 20)
    receiver.answer = lambda payload: next(statuses)
    for day in range(8):
        await api.patch("/api/v2/deals/1", {"title": f"Day {day}"})
        await receiver.flush()
        clock.advance(2 * 86_400)
    assert len((await api.get("/v1/webhooks")).data) == 1


async def test_queue_is_bounded(api: Driver, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "QUEUE_MAX", 10)
    await _register(api, event_object="deal")
    deal = api.account.store["deal"].records[1]
    for number in range(15):
        api.account.store.put("deal", {**deal, "title": str(number)})
    state = await receiver.state()
    assert (state["queued"], state["lost"]) == (10, 5)


async def test_deliveries_cost_no_tokens_and_change_no_digest(start: Start, clock: SandboxClock) -> None:
    api = start(clock, limits=True)
    receiver = Receiver(api)
    await _register(api)
    await api.patch("/api/v2/deals/1", {"title": "x"})
    before = await api.control("GET", "budget"), await api.control("GET", "digest")
    assert await receiver.flush() == ["change.deal#1"]
    assert (await api.control("GET", "budget"), await api.control("GET", "digest")) == before


async def test_replay_tells_nothing_but_what_comes_after_it_is_told(api: Driver, receiver: Receiver, tmp_path: Path) -> None:
    recording = str(tmp_path / "recording")
    await api.control("POST", "recording", {"file": recording, "is_complete": True})
    await _register(api, event_object="deal")
    await api.patch("/api/v2/deals/1", {"title": "Recorded"})
    assert await receiver.flush() == ["change.deal#1"]
    await api.control("POST", "recording", {})
    await api.control("POST", "replay", {"file": recording})
    assert await receiver.flush() == []
    await api.patch("/api/v2/deals/1", {"title": "After it"})
    assert await receiver.flush() == ["change.deal#1"]
    assert receiver.arrived[0]["previous"]["title"] == "Recorded"
