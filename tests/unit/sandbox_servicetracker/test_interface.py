"""The simulated org answers as the platform does, and refuses what the platform refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from tests.fixtures.servicetracker.org import PARTS, URL, Org, org

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BASE = "/services/data/v60.0"


class Caller:
    """A logged-in client of an org."""

    def __init__(self, made: Org, http: httpx.AsyncClient) -> None:
        self.org = made
        self.http = http

    async def login(self, **fields: str) -> httpx.Response:
        """Ask for a token."""
        wanted = {"grant_type": "client_credentials", **PARTS, **fields}
        response = await self.http.post("/services/oauth2/token", data=wanted)
        if response.status_code == 200:
            self.http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        return response

    async def query(self, text: str, kind: str = "query") -> httpx.Response:
        """Ask a query."""
        return await self.http.get(f"{BASE}/{kind}", params={"q": text})

    async def error(self, response: httpx.Response) -> tuple[int, str]:
        """Return status and code of a refusal."""
        body = response.json()
        assert isinstance(body, list)
        return response.status_code, body[0]["errorCode"]


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    made = org(customers=12, is_clean=False, page_size=5)
    async with httpx.AsyncClient(transport=made.transport, base_url=URL) as http:
        found = Caller(made, http)
        await found.login()
        yield found


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "wrong"}, "invalid_client_id"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
    ],
)
async def test_wrong_credentials_are_refused_in_the_logins_own_shape(caller: Caller, fields: dict[str, str], error: str) -> None:
    response = await caller.login(**fields)
    assert (response.status_code, response.json()["error"]) == (400, error)


async def test_without_a_session_nothing_is_answered(caller: Caller) -> None:
    caller.org.simulator.sessions.expire()
    assert await caller.error(await caller.http.get(f"{BASE}/limits")) == (401, "INVALID_SESSION_ID")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/services/data/v12.0/limits", 404, "NOT_FOUND"),
        ("GET", f"{BASE}/nowhere", 404, "NOT_FOUND"),
        ("GET", f"{BASE}/sobjects/Nothing/describe", 404, "NOT_FOUND"),
        ("POST", f"{BASE}/sobjects/Account", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", f"{BASE}/sobjects/Account/001Da0000000001IAA", 405, "METHOD_NOT_ALLOWED"),
        ("GET", f"{BASE}/jobs/query/750Da0000000001IAA", 404, "NOT_FOUND"),
        ("GET", f"{BASE}/query/01gDaNone-2000", 400, "INVALID_QUERY_LOCATOR"),
    ],
)
async def test_wrong_calls_are_refused(caller: Caller, method: str, path: str, status: int, code: str) -> None:
    assert await caller.error(await caller.http.request(method, path)) == (status, code)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT Nope__c FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Nope__c = 1", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Account ORDER BY Description", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE SystemModstamp > 'yesterday'", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Name LIKE 'x'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id, Id FROM Account", "INVALID_FIELD"),
        ("UPDATE Account SET Name = 'x'", "MALFORMED_QUERY"),
        ("SELECT Id FROM ContentDocumentLink", "MALFORMED_QUERY"),
    ],
)
async def test_wrong_queries_are_refused(caller: Caller, text: str, code: str) -> None:
    assert await caller.error(await caller.query(text)) == (400, code)


async def test_pages_lead_to_each_other_and_hold_every_row_once(caller: Caller) -> None:
    answer = (await caller.query("SELECT Id, Name FROM Contact ORDER BY Id")).json()
    seen = [row["Id"] for row in answer["records"]]
    assert len(seen) == 5
    while not answer["done"]:
        answer = (await caller.http.get(answer["nextRecordsUrl"])).json()
        seen += [row["Id"] for row in answer["records"]]
    assert seen == sorted(row["Id"] for row in caller.org.rows("Contact") if not row["IsDeleted"])


def _counting(name: str) -> str:
    return "SELECT COUNT() FROM NAME".replace("NAME", name)


async def test_deleted_and_archived_rows_come_with_query_all_alone(caller: Caller) -> None:
    for name, mark in (("Account", "IsDeleted"), ("Task", "IsArchived")):
        plain = (await caller.query(_counting(name))).json()["totalSize"]
        whole = (await caller.query(_counting(name), "queryAll")).json()["totalSize"]
        assert whole - plain == sum(bool(row[mark]) for row in caller.org.rows(name)) > 0


async def test_comparisons_combine(caller: Caller) -> None:
    rows = [row for row in caller.org.rows("Account") if not row["IsDeleted"]]
    first = sorted(row["SystemModstamp"] for row in rows)[3]
    text = "SELECT Id FROM Account WHERE (SystemModstamp > FIRST OR (SystemModstamp = FIRST AND Id > '001')) AND NOT Industry = 'Food' LIMIT 200"
    found = (await caller.query(text.replace("FIRST", first.replace("+0000", "Z")))).json()
    wanted = [row["Id"] for row in rows if row["SystemModstamp"] >= first and row["Industry"] != "Food"]
    assert found["totalSize"] == len(wanted)
    short = rows[0]["Id"][:15]
    (one,) = (await caller.query("SELECT Id, BillingAddress FROM Account WHERE Id IN ('SHORT')".replace("SHORT", short))).json()["records"]
    assert one["Id"] == rows[0]["Id"]
    assert one["BillingAddress"]["city"] == rows[0]["BillingCity"]
    assert one["attributes"]["type"] == "Account"


async def test_every_answer_says_how_much_is_used_and_the_end_is_refused(caller: Caller) -> None:
    response = await caller.http.get(f"{BASE}/limits")
    assert response.headers["Sforce-Limit-Info"] == "api-usage=1/115000"
    assert response.json()["DailyApiRequests"] == {"Max": 115_000, "Remaining": 114_999}
    caller.org.simulator.options.daily_max = 1
    assert await caller.error(await caller.http.get(f"{BASE}/limits")) == (403, "REQUEST_LIMIT_EXCEEDED")


async def test_an_address_that_is_too_long_is_refused_without_json(caller: Caller) -> None:
    response = await caller.query("SELECT Id FROM Account WHERE Id IN (IDS)".replace("IDS", ",".join(["'001Da0000000001IAA'"] * 900)))
    assert response.status_code == 414
    assert response.text.startswith("<")


async def test_describe_tells_types_values_and_what_fields_refer_to(caller: Caller) -> None:
    described = (await caller.http.get(f"{BASE}/sobjects/st__Work_Order__c/describe")).json()
    fields = {one["name"]: one for one in described["fields"]}
    assert fields["st__Client__c"]["referenceTo"] == ["Account"]
    assert [one["value"] for one in fields["st__Priority__c"]["picklistValues"]] == ["Low", "Medium", "High", "Emergency"]
    assert (fields["st__Description__c"]["filterable"], fields["Name"]["nameField"]) == (False, True)
    task = (await caller.http.get(f"{BASE}/sobjects/Task/describe")).json()
    (what,) = [one for one in task["fields"] if one["name"] == "WhatId"]
    assert what["polymorphicForeignKey"]


async def test_a_job_is_made_waited_for_read_and_deleted(caller: Caller) -> None:
    body = {"operation": "queryAll", "query": "SELECT Id, Name, IsDeleted, AnnualRevenue FROM Account", "contentType": "CSV"}
    job = (await caller.http.post(f"{BASE}/jobs/query", json=body)).json()
    path = f"{BASE}/jobs/query/{job['id']}"
    assert await caller.error(await caller.http.get(f"{path}/results", headers={"Accept": "text/csv"})) == (400, "INVALIDJOBSTATE")
    states = [(await caller.http.get(path)).json()["state"] for _ in range(2)]
    assert states == ["InProgress", "JobComplete"]
    first = await caller.http.get(f"{path}/results", params={"maxRecords": "3"}, headers={"Accept": "text/csv"})
    assert first.text.splitlines()[0] == '"Id","Name","IsDeleted","AnnualRevenue"'
    assert first.headers["Sforce-NumberOfRecords"] == "3"
    assert first.headers["Sforce-Locator"] != "null"
    assert (await caller.http.delete(path)).status_code == 204
    assert await caller.error(await caller.http.get(path)) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "text", ["SELECT Body FROM Attachment", "SELECT BillingAddress FROM Account", "SELECT Nope FROM Account", "SELECT COUNT() FROM Account"]
)
async def test_jobs_that_cannot_be_done_are_refused(caller: Caller, text: str) -> None:
    body = {"operation": "query", "query": text, "contentType": "CSV"}
    assert await caller.error(await caller.http.post(f"{BASE}/jobs/query", json=body)) == (400, "API_ERROR")


async def test_removals_are_listed_within_their_window(caller: Caller) -> None:
    path = f"{BASE}/sobjects/Account/deleted/"
    now = caller.org.simulator.clock.now()
    moment = now.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    assert await caller.error(await caller.http.get(path, params={"start": "2020-01-01T00:00:00+00:00", "end": moment})) == (
        400,
        "INVALID_REPLICATION_DATE",
    )
    row = caller.org.rows("Account")[0]
    caller.org.store.delete("Account", row["Id"], now)
    start = now.replace(hour=0, minute=0).strftime("%Y-%m-%dT%H:%M:%S+00:00")
    later = (now.replace(microsecond=0)).isoformat()
    found = (await caller.http.get(path, params={"start": start, "end": later})).json()
    assert [one["id"] for one in found["deletedRecords"]] == [row["Id"]]


async def test_the_journal_tells_writes_from_reading(caller: Caller) -> None:
    await caller.http.post(f"{BASE}/sobjects/Account", json={})
    journal: dict[str, Any] = (await caller.http.get("/_sandbox/journal")).json()
    assert journal["write_attempts"] == 1
    assert "the-secret" not in orjson.dumps(journal).decode()


async def test_the_same_seed_gives_the_same_org() -> None:
    one, same = org(customers=9, is_clean=False), org(customers=9, is_clean=False)
    assert {name: one.store.rows(name) for name in one.store.objects} == {name: same.store.rows(name) for name in same.store.objects}
    statuses = {row["st__Status__c"] for row in one.rows(".Work_Order__c")}
    assert statuses >= {"Draft", "Scheduled", "In Progress", "Completed", "Cancelled", "Aborted", "Half done (old)"}


async def test_changes_for_a_delta_are_stamped_and_told(caller: Caller) -> None:
    changes = (await caller.http.post("/_sandbox/mutate", json={"seed": 3})).json()["changes"]
    assert {change["kind"] for change in changes} == {"created", "updated", "deleted", "removed"}
    now = caller.org.simulator.clock.now().strftime("%Y-%m-%d")
    for change in changes:
        row = caller.org.store.get(change["object"], change["id"])
        assert (row is None) == (change["kind"] == "removed")
        assert row is None or row["SystemModstamp"].startswith(now)


async def test_control_wants_its_key_and_says_what_is_wrong(caller: Caller) -> None:
    assert (await caller.http.get("/_sandbox/nothing")).status_code == 404
    assert (await caller.http.post("/_sandbox/faults", json={"kind": "nonsense"})).status_code == 400
    assert (await caller.http.post("/_sandbox/change", json={"object": "Account", "id": "x", "values": {}})).status_code == 400
