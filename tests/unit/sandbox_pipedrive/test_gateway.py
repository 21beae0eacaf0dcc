"""Credential, routing, costs, search, faults and the control interface."""

import asyncio
import csv
from pathlib import Path
from typing import Any

import pytest

from sandbox.common.asgi import ConnectionCutError
from sandbox.pipedrive.gateway.operations import build_routes
from tests.unit.sandbox_pipedrive.driver import TOKEN, Driver, Start
from tests.unit.sandbox_pipedrive.fake_time import FakeTime

COSTS = Path(__file__).parents[4] / "shared" / "reference" / "pipedrive" / "token-costs.csv"


@pytest.mark.parametrize("path", ["/api/v2/deals", "/v1/users/me", "/no/such/path"])
@pytest.mark.parametrize("token", [None, "wrong"], ids=["none", "wrong"])
async def test_401_comes_before_routing(api: Driver, path: str, token: str | None) -> None:
    answer = await api.send("GET", path, token=token)
    assert answer.status == 401
    assert answer.body["error"] == "unauthorized access"
    assert answer.body["errorCode"] == 401
    assert answer.headers["x-401-by-gw"] == "true"


async def test_token_is_taken_from_header_query_or_bearer(api: Driver) -> None:
    assert (await api.send("GET", "/v1/users/me", token=None, api_token=TOKEN)).status == 200
    assert (await api.send("GET", "/v1/users/me", token=None, headers={"authorization": f"Bearer {TOKEN}"})).status == 200


async def test_unknown_paths_and_methods(api: Driver) -> None:
    assert (await api.get("/api/v2/nonsense")).status == 404
    assert (await api.send("PUT", "/api/v2/deals/1", {})).status == 405
    assert (await api.get("/api/v2/deals/abc")).status == 400
    assert (await api.get("/api/v2/deals/999")).body == {"success": False, "error": "Deal not found", "code": "ERR_NOT_FOUND"}


@pytest.mark.requirement("G-03")
def test_costs_are_the_published_ones(api: Driver) -> None:
    if not COSTS.exists():
        pytest.skip(f"{COSTS} is not there")
    with COSTS.open(encoding="utf-8") as file:
        published = {(row["method"], row["path"]): int(row["token_cost"]) for row in csv.DictReader(file)}
    ours = {(route.method, route.template): route.tokens for route in build_routes(api.account)}
    assert {key: published.get(key) for key in ours} == ours


async def test_search_finds_by_words_and_by_one_field(api: Driver) -> None:
    code = (await api.post("/api/v2/organizationFields", {"field_name": "Source id", "field_type": "varchar"})).data["field_code"]
    made = (await api.post("/api/v2/organizations", {"name": "Needle Ltd", "custom_fields": {code: "stel/client/1"}})).data["id"]
    assert [hit["item"]["id"] for hit in (await api.get("/api/v2/organizations/search", term="needle")).data["items"]] == [made]
    assert [hit["item"]["type"] for hit in (await api.get("/api/v2/itemSearch", term="STEL/client/1", exact_match="true")).data["items"]] == [
        "organization"
    ]
    query = {"entity_type": "organization", "field": code}
    assert (await api.get("/api/v2/itemSearch/field", term="stel/client/1", **query)).data == [{"id": made, "name": "Needle Ltd"}]
    assert (await api.get("/api/v2/itemSearch/field", term="STEL/client/1", **query)).data == []
    assert (await api.get("/api/v2/itemSearch", term="n")).status == 400
    assert "is not allowed to be empty" in (await api.get("/api/v2/itemSearch", term="")).error
    assert (await api.get("/api/v2/itemSearch", term="needle", limit="101")).status == 400
    await api.delete(f"/api/v2/organizations/{made}")
    assert len((await api.get("/api/v2/organizations/search", term="needle")).data["items"]) == 1


async def test_search_lags_behind(start: Start) -> None:
    api = start(search_lag_seconds=5.0)
    await api.post("/api/v2/persons", {"name": "Fresh Face"})
    assert (await api.get("/api/v2/persons/search", term="Fresh")).data["items"] == []
    await api.control("POST", "clock", {"advance_seconds": 7})
    assert len((await api.get("/api/v2/persons/search", term="Fresh")).data["items"]) == 1


async def test_search_shows_what_a_record_was_before_it_changed(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock(), search_lag_seconds=5.0)

    async def names(term: str) -> list[str]:
        return [hit["item"]["name"] for hit in (await api.get("/api/v2/organizations/search", term=term)).data["items"]]

    await api.patch("/api/v2/organizations/2", {"name": "Renamed GmbH"})
    time.sleep(3)
    await api.patch("/api/v2/organizations/2", {"name": "Renamed Again GmbH"})
    assert (await names("Nordlicht"), await names("Renamed")) == (["Nordlicht Elektro GmbH"], [])
    time.sleep(2.5)
    assert (await names("Nordlicht"), await names("Renamed")) == ([], ["Renamed GmbH"])
    api.account.clock.jump(-86_400)
    time.sleep(3)
    assert await names("Renamed") == ["Renamed Again GmbH"]
    await api.patch("/api/v2/organizations/2", {"name": "Renamed"})
    await api.control("POST", "reset")
    assert await names("Nordlicht") == ["Nordlicht Elektro GmbH"]


async def _organizations(api: Driver) -> int:
    return len((await api.get("/api/v2/organizations", limit="500")).data)


@pytest.mark.parametrize(
    ("rule", "status", "created"),
    [
        ({"kind": "error_before"}, 500, 0),
        ({"kind": "error_after"}, 500, 1),
        ({"kind": "status", "status": 503}, 503, 0),
        ({"kind": "status", "status": 403, "body": "<html>blocked</html>"}, 403, 0),
        ({"kind": "status", "status": 402, "body": {"success": False}}, 402, 0),
        ({"kind": "empty_200"}, 200, 0),
        ({"kind": "slow", "seconds": 0.001}, 200, 1),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
async def test_fault_is_played(api: Driver, rule: dict[str, Any], status: int, created: int) -> None:
    before = await _organizations(api)
    await api.control("POST", "faults", {"method": "POST", "path": "/organizations$", "nth": 1, **rule})
    answer = await api.post("/api/v2/organizations", {"name": "x"})
    assert answer.status == status
    assert await _organizations(api) == before + created
    if rule["kind"].startswith("error"):
        assert answer.body == {"success": False, "error": "Internal Server Error", "code": "ERR_UNKNOWN"}
    assert (await api.post("/api/v2/organizations", {"name": "x"})).status == 200


@pytest.mark.parametrize(("kind", "created"), [("cut_before", 0), ("cut_after", 1)])
async def test_connection_is_cut(api: Driver, kind: str, created: int) -> None:
    before = await _organizations(api)
    await api.control("POST", "faults", {"kind": kind, "method": "POST", "times": 1})
    with pytest.raises(ConnectionCutError):
        await api.post("/api/v2/organizations", {"name": "x"})
    assert await _organizations(api) == before + created
    summary = await api.control("GET", "journal/summary")
    assert summary["faults"] == {kind: 1}
    assert summary["statuses"]["0"] == 1


async def test_random_faults_are_the_same_for_one_seed(start: Start) -> None:
    outcomes = []
    for _ in range(2):
        api = start()
        await api.control("POST", "faults", {"kind": "error_before", "probability": 0.3, "seed": 5})
        outcomes.append([(await api.get("/api/v2/persons/1")).status for _ in range(50)])
    assert outcomes[0] == outcomes[1]
    assert {200, 500} == set(outcomes[0])


async def test_every_third_request_fails_at_most_twice(api: Driver) -> None:
    await api.control("POST", "faults", {"kind": "error_before", "every": 3, "times": 2})
    assert [(await api.get("/api/v2/persons/1")).status for _ in range(10)] == [200, 200, 500, 200, 200, 500, 200, 200, 200, 200]


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "nonsense"}, {"kind": "slow", "seconds": -1}, {"kind": "slow", "seconds": "1"}, {"kind": "status", "status": "503"}, 5, "x",
        [5],
        {"kind": "slow", "path": "("}, {"kind": "slow", "every": True}, {"kind": "slow", "unknown": 1}, {}, {"rules": {}},
        {"kind": "slow", "nth": 1.5},
        {"kind": "slow", "probability": "half"}, {"kind": "slow", "nth": ["a"]}, {"kind": "status", "headers": {"x": 1}},
        {"kind": "slow", "method": 1},
    ],
    ids=str,
)  # fmt: skip
async def test_a_rule_that_makes_no_sense_is_refused_at_once(api: Driver, rule: Any) -> None:
    answer = await api.send("POST", "/_sandbox/faults", rule, token=None, headers={"x-sandbox-key": "control"})
    assert answer.status == 400, answer.body
    assert "Rule" not in answer.error  # says what is wrong in words of the interface, not of its code
    assert (await api.control("GET", "faults"))["rules"] == []


async def test_control_interface_needs_its_key_and_explains_itself(api: Driver) -> None:
    assert (await api.send("GET", "/_sandbox/export", token=TOKEN)).status == 401
    answer = await api.send("POST", "/_sandbox/faults", {"kind": "nonsense"}, headers={"x-sandbox-key": "control"})
    assert answer.status == 400
    assert "kind must be one of" in answer.body["error"]
    assert (await api.send("GET", "/_sandbox/nonsense", headers={"x-sandbox-key": "control"})).status == 404


@pytest.mark.parametrize("name", ["faults", "people", "clock", "budget", "tokens", "revoke", "recording", "replay", "reset", "webhooks/flush"])
async def test_control_interface_answers_whatever_it_is_sent(api: Driver, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a recording may begin
    wrong: tuple[Any, ...] = (
        5,
        "x",
        [],
        [5],
        [[]],
        {"user_id": []},
        {"file": 5, "is_complete": []},
        {"to": 5},
        {"set": None},
        {"used": 1e400},
        {"rules": 1},
        {"token": {}},
        b"{",
    )
    for body in wrong:
        answer = await api.send("POST", f"/_sandbox/{name}", body, token=None, headers={"x-sandbox-key": "control"})
        assert answer.status in {200, 400}, (body, answer.body)
    for method, query in (("GET", {"start": "x"}), ("GET", {"limit": "-1"}), ("DELETE", {})):
        assert (await api.send(method, f"/_sandbox/{name}", token=None, headers={"x-sandbox-key": "control"}, **query)).status in {200, 400, 404}


async def test_journal_proves_what_was_asked(api: Driver) -> None:
    await api.post("/api/v2/persons", {"name": "x"})
    await api.get("/api/v2/persons", limit="1", api_token="secret-in-query")
    entries = (await api.control("GET", "journal"))["entries"]
    assert [(entry["operation"], entry["tokens"], entry["status"]) for entry in entries] == [
        ("POST /api/v2/persons", 5, 200),
        ("GET /api/v2/persons", 10, 200),
    ]
    assert entries[0]["time"] <= entries[1]["time"]
    assert TOKEN not in str(entries)
    assert "secret-in-query" not in str(entries)
    summary = await api.control("GET", "journal/summary")
    assert summary["operations"]["POST /api/v2/persons"] == {"requests": 1, "tokens": 5, "statuses": {"200": 1}}
    assert summary["credentials"]["user:1:api"]["requests_in_2_seconds_max"] == 2


async def test_revoked_token_is_refused(api: Driver) -> None:
    await api.control("POST", "revoke", {"token": TOKEN})
    assert (await api.get("/v1/users/me")).status == 401


async def test_reset_brings_the_first_state_back(start: Start) -> None:
    api = start()
    before = (await api.control("GET", "export"))["state"]
    await api.post("/api/v2/dealFields", {"field_name": "x", "field_type": "text"})
    await api.delete("/api/v2/deals/1")
    await api.control("POST", "reset")
    after = (await api.control("GET", "export"))["state"]
    assert {kind: len(records) for kind, records in after.items()} == {kind: len(records) for kind, records in before.items()}
    assert [field["field_code"] for field in after["fields"]] == [field["field_code"] for field in before["fields"]]


async def test_taking_everything_back_leaves_the_export_as_it_was(api: Driver) -> None:
    before = await api.send("GET", "/_sandbox/export", token=None, headers={"x-sandbox-key": "control"})
    code = (await api.post("/api/v2/organizationFields", {"field_name": "x", "field_type": "varchar"})).data["field_code"]
    label = (await api.post("/api/v2/dealFields/label_ids/options", [{"label": "Quote"}])).data[0]["id"]
    pipeline = (await api.post("/api/v2/pipelines", {"name": "Quotes"})).data["id"]
    stage = (await api.post("/api/v2/stages", {"name": "One", "pipeline_id": pipeline})).data["id"]
    kind = (await api.post("/v1/activityTypes", {"name": "Payment", "icon_key": "cart"})).data["id"]
    matched = (await api.get("/api/v2/organizations/1")).data
    await api.patch("/api/v2/organizations/1", {"name": "other", "website": "https://example.com", "custom_fields": {code: "y"}})
    await api.patch("/api/v2/deals/1", {"stage_id": stage})
    deal = (await api.post("/api/v2/deals", {"title": "x", "stage_id": stage, "label_ids": [label]})).data["id"]
    line = (await api.post(f"/api/v2/deals/{deal}/products", {"product_id": 1, "item_price": 1, "quantity": 1})).data["id"]
    note = (await api.post("/v1/notes", {"content": "x", "deal_id": deal})).data["id"]
    activity = (await api.post("/api/v2/activities", {"type": "payment", "deal_id": deal})).data["id"]
    for path in (f"/v1/notes/{note}", f"/api/v2/activities/{activity}", f"/api/v2/deals/{deal}/products/{line}", f"/api/v2/deals/{deal}"):
        assert (await api.delete(path)).status == 200
    original = before.body["state"]["deals"][0]["stage_id"]
    await api.patch("/api/v2/deals/1", {"stage_id": original})
    await api.patch("/api/v2/organizations/1", {"name": matched["name"], "website": None, "custom_fields": {code: None}})
    for path in (f"/v1/activityTypes/{kind}", f"/api/v2/stages/{stage}", f"/api/v2/pipelines/{pipeline}", f"/api/v2/organizationFields/{code}"):
        assert (await api.delete(path)).status == 200
    await api.delete("/api/v2/dealFields/label_ids/options", [{"id": label}])
    after = await api.send("GET", "/_sandbox/export", token=None, headers={"x-sandbox-key": "control"})
    assert after.body == before.body
    assert after.headers["x-sandbox-digest"] == before.headers["x-sandbox-digest"]


async def test_a_request_that_outlives_its_user_is_refused(api: Driver) -> None:
    made = (await api.post("/v1/users", {"email": "new@example.com", "name": "New"})).data["id"]
    await api.control("POST", "tokens", {"token": "of-the-new-one", "user_id": made})
    await api.control("POST", "faults", {"kind": "slow", "seconds": 0.001})
    waiting = asyncio.create_task(api.send("GET", "/api/v2/persons/1", token="of-the-new-one"))
    await asyncio.sleep(0)
    await api.control("POST", "reset")
    assert (await waiting).status == 401
