"""People who edit, merge and delete in the web application while others use the API."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import TOKEN, Driver, Start

KEY = {"x-sandbox-key": "control"}


async def _do(api: Driver, deed: dict[str, Any]) -> dict[str, Any]:
    done = (await api.control("POST", "people", {"do": deed}))["done"]
    return dict(done[0])


async def test_somebody_edits_in_the_middle_of_a_load(api: Driver) -> None:
    edit = {"edit": {"kind": "organization", "id": "latest", "values": {"name": "By hand"}, "user_id": 2}}
    await api.control("POST", "people", {"when": {"method": "POST", "path": "organizations", "every": 2}, "at": "after", "do": edit})
    names = []
    for number in range(4):
        made = (await api.post("/api/v2/organizations", {"name": f"n{number}"})).data["id"]
        names.append((await api.get(f"/api/v2/organizations/{made}")).data["name"])
    assert names == ["n0", "By hand", "n2", "By hand"]
    listed = await api.control("GET", "people")
    assert [(entry["cause"], entry["user_id"], entry["status"]) for entry in listed["done"]] == [("after POST /api/v2/organizations", 2, 200)] * 2
    assert listed["rules"][0]["fired"] == 2


async def test_what_people_do_is_neither_charged_nor_in_the_journal_and_its_source_is_the_app(api: Driver) -> None:
    before = await api.control("GET", "budget")
    await _do(api, {"edit": {"kind": "deal", "id": 1, "values": {"title": "By hand"}, "user_id": 3}})
    assert (await api.control("GET", "budget"))["used"] == before["used"]
    assert (await api.control("GET", "journal"))["total"] == 0
    change = next(iter(api.account.store["change"]))
    assert (change["user_id"], change["source"], change["new"]) == (3, "app", "By hand")


@pytest.mark.parametrize(
    ("deed", "path"),
    [
        ({"delete": {"kind": "person", "id": 4}}, "/api/v2/persons/4"),
        ({"delete": {"kind": "note", "id": "latest"}}, "/v1/notes/12"),
        ({"merge": {"kind": "organization", "id": 2, "into": 3}}, "/api/v2/organizations/2"),
        ({"call": {"method": "DELETE", "path": "/api/v2/products/5"}}, "/api/v2/products/5"),
    ],
)
async def test_records_go_away(api: Driver, deed: dict[str, Any], path: str) -> None:
    assert (await api.get(path)).status == 200
    assert (await _do(api, deed))["status"] == 200
    assert (await api.get(path)).status == 404


async def test_merge_of_two_random_ones_takes_two_different_ones(api: Driver) -> None:
    for _ in range(11):
        assert (await _do(api, {"merge": {"kind": "person", "id": "random", "into": "random"}}))["status"] == 200
    assert (await _do(api, {"merge": {"kind": "person", "id": "random", "into": "random"}}))["status"] == 404
    assert len((await api.get("/api/v2/persons")).data) == 1


async def test_a_field_is_deleted_before_the_record_that_needs_it(api: Driver) -> None:
    code = next(code for code, field in api.account.fields.custom["organization"].items() if field["field_name"] == "Tax number")
    deed = {"delete_field": {"entity": "organization", "field": "Tax number"}}
    await api.control("POST", "people", {"when": {"method": "POST", "path": "organizations$", "nth": 2}, "do": deed})
    body = {"name": "x", "custom_fields": {code: "B1"}}
    assert (await api.post("/api/v2/organizations", body)).status == 200
    refused = await api.post("/api/v2/organizations", body)
    assert refused.status == 400
    assert f"Unknown key '{code}'" in refused.error
    assert (await _do(api, deed))["status"] == 404


async def test_token_clock_and_budget_change_in_the_middle(start: Start) -> None:
    api = start(limits=True, plan="lite", seats=1)
    rules = [
        {"when": {"nth": 1}, "at": "after", "do": [{"spend": 29_000}, {"clock": {"set": "2030-01-01T10:00:00Z"}}]},
        {"when": {"nth": 2}, "at": "before", "do": {"revoke_token": {}}},
    ]
    await api.control("POST", "people", {"rules": rules})
    answer = await api.post("/api/v2/persons", {"name": "x"})
    assert not answer.data["add_time"].startswith("2030")
    second = await api.post("/api/v2/persons", {"name": "x"})
    assert second.data["add_time"].startswith("2030-01-01T10:00:")
    assert (await api.get("/v1/users/me")).status == 401


async def test_people_obey_the_rules_too_and_the_list_says_so(api: Driver) -> None:
    entry = await _do(api, {"edit": {"kind": "deal", "id": 1, "values": {"nonsense": 1}}})
    assert (entry["status"], "nonsense" in entry["error"]) == (400, True)
    entry = await _do(api, {"edit": {"kind": "stage", "id": 1, "values": {"name": "x"}, "user_id": 2}})
    assert entry["status"] == 403
    assert (await _do(api, {"edit": {"kind": "lead", "id": "latest", "values": {"title": "By hand"}}}))["status"] == 200
    assert (await _do(api, {"delete": {"kind": "file", "id": "random"}}))["error"] == "there is no file"
    assert (await _do(api, {"delete": {"kind": "deal", "id": 1, "user_id": 99}}))["error"] == "there is no user 99"
    assert (await _do(api, {"delete": {"kind": "deal", "id": 1, "user_id": [2]}}))["status"] == 404
    assert (await _do(api, {"call": {"method": "POST", "path": "/nonsense"}}))["error"] == "there is no operation POST /nonsense"
    assert (await _do(api, {"revoke_token": {"user_id": 2}}))["error"] == "user 2 has no token"


async def test_a_rule_that_proves_impossible_disturbs_no_request(api: Driver) -> None:
    await api.control("POST", "people", {"do": [{"clock": {"set": "noon"}}, {"spend": 3}], "when": {"nth": 1}})
    assert (await api.get("/api/v2/persons/1")).status == 200
    assert [entry["status"] for entry in (await api.control("GET", "people"))["done"]] == [400, 200]


async def test_random_choices_are_the_same_for_one_seed(start: Start) -> None:
    lists = []
    for seed in (4, 4, 5):
        api = start()
        edit = {"edit": {"kind": "organization", "id": "random", "values": {"name": "By hand"}}}
        await api.control("POST", "people", {"when": {"probability": 0.5, "seed": seed}, "do": edit})
        for _ in range(30):
            await api.get("/api/v2/persons/1")
        lists.append([entry["path"] for entry in (await api.control("GET", "people"))["done"]])
    assert lists[0] == lists[1] != lists[2]


@pytest.mark.parametrize(
    "body",
    [
        {}, [], {"do": {}}, {"do": {"dance": 1}}, {"do": {"edit": {"kind": "deal"}}}, {"do": {"edit": {"kind": "user", "id": 1, "values": {}}}},
        {"do": {"merge": {"kind": "product", "id": 1, "into": 2}}}, {"do": {"delete_field": {"entity": "note", "field": "x"}}}, {"rules": 5},
        {"do": {"spend": 1}, "at": "during"}, {"do": {"spend": 1}, "when": {"path": "("}}, {"do": {"spend": 1}, "when": {"unknown": 1}},
        {"do": {"spend": "all"}}, {"do": {"call": {"method": "POST", "path": 5}}}, {"do": {"edit": {"kind": [], "id": 1, "values": {}}}},
        {"do": {"edit": {"kind": "deal", "id": {}, "values": {}}}}, {"do": {"edit": {"kind": "deal", "id": 1, "values": [1]}}},
        {"do": {"delete_field": {"entity": "deal", "field": []}}}, {"do": {"delete": {"kind": "deal", "id": True}}},
        {"do": {"clock": {"set": "noon"}}}, {"when": {"nth": 1}}, {"do": {"spend": 1}, "when": {"probability": "often"}},
    ],
)  # fmt: skip
async def test_what_nobody_can_do_is_refused(api: Driver, body: Any) -> None:
    if body == []:
        assert (await api.control("POST", "people", body))["rules"] == []
        return
    answer = await api.send("POST", "/_sandbox/people", body, token=None, headers=KEY)
    assert answer.status == 400, answer.body
    assert (await api.control("GET", "people")) == {"rules": [], "done": []}


async def test_rules_come_from_files_and_are_back_after_a_reset(start: Start, tmp_path: Path) -> None:
    faults, people = tmp_path / "faults.json", tmp_path / "people.json"
    faults.write_text(json.dumps([{"kind": "error_after", "path": "persons", "nth": 2}]), encoding="utf-8")
    people.write_text(json.dumps({"do": {"spend": 7}, "when": {"nth": 1}}), encoding="utf-8")
    api = start(faults_file=faults, people_file=people)
    for _ in range(2):
        assert [(await api.post("/api/v2/persons", {"name": "x"})).status for _ in range(3)] == [200, 500, 200]
        assert (await api.control("GET", "budget"))["others"] == 7
        await api.control("DELETE", "faults")
        await api.control("DELETE", "people")
        await api.control("POST", "reset")


async def test_a_request_can_ask_for_a_fault_where_that_is_allowed(start: Start) -> None:
    asked = {"x-sandbox-fault": "error_after", "x-api-token": TOKEN}
    assert (await start().send("POST", "/api/v2/persons", {"name": "x"}, headers=asked)).status == 200
    api = start(fault_headers=True)
    assert (await api.send("POST", "/api/v2/persons", {"name": "Asked"}, headers=asked)).status == 500
    assert len((await api.get("/api/v2/persons/search", term="Asked")).data["items"]) == 1
    rule = {"x-sandbox-fault": json.dumps({"kind": "status", "status": 418, "body": {"short": True}})}
    answer = await api.send("GET", "/api/v2/persons/1", headers=rule)
    assert (answer.status, answer.body) == (418, {"short": True})
    for wrong in ("nonsense", "{"):
        assert (await api.send("GET", "/api/v2/persons/1", headers={"x-sandbox-fault": wrong})).status == 400
    assert (await api.get("/api/v2/persons/1")).status == 200
