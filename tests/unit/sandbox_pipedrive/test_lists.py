"""Lists of version 2: filters, order, cursors that survive inserts and deletes."""

import asyncio
import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.pipedrive.options import Options
from tests.unit.sandbox_pipedrive.driver import CONTROL_KEY, TOKEN, Driver, Start


async def _walk(api: Driver, path: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await api.get(path, **query, **cursor)
        found += answer.data
        following = answer.body["additional_data"]["next_cursor"]
        if following is None:
            return found
        cursor = {"cursor": following}


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize(
    ("path", "column"), [("deals", "id"), ("deals", "update_time"), ("organizations", "add_time"), ("products", "name"), ("stages", "order_nr")]
)
async def test_walk_sees_everything_once_in_order(api: Driver, path: str, column: str, direction: str) -> None:
    found = await _walk(api, f"/api/v2/{path}", limit="5", sort_by=column, sort_direction=direction)
    keys = [(record[column], record["id"]) for record in found]
    assert keys == sorted(keys, reverse=direction == "desc")
    assert len({record["id"] for record in found}) == len(found) == len(api.account.store[path[:-1]])


async def test_empty_list_is_an_array_and_the_last_page_has_no_cursor(start: Start) -> None:
    answer = await start(seed=None).get("/api/v2/persons")
    assert answer.body == {"success": True, "data": [], "additional_data": {"next_cursor": None}}


async def test_default_page_holds_100(api: Driver) -> None:
    for number in range(100):
        await api.post("/api/v2/organizations", {"name": f"n{number}"})
    answer = await api.get("/api/v2/organizations")
    assert len(answer.data) == 100
    cursor = answer.body["additional_data"]["next_cursor"]
    assert json.loads(base64.urlsafe_b64decode(cursor + "==")) == {"field": "id", "fieldValue": 100, "sortDirection": "asc", "id": 100}
    assert len((await api.get("/api/v2/organizations", limit="500")).data) == 112


async def test_cursor_belongs_to_one_order(api: Driver) -> None:
    cursor = (await api.get("/api/v2/deals", limit="2")).body["additional_data"]["next_cursor"]
    assert (await api.get("/api/v2/deals", cursor=cursor, sort_by="update_time")).status == 400
    forged = base64.urlsafe_b64encode(json.dumps({"field": "update_time", "fieldValue": 3, "sortDirection": "asc", "id": 3}).encode()).decode()
    assert (await api.get("/api/v2/deals", cursor=forged, sort_by="update_time")).status == 400


async def test_ids_leave_out_what_is_not_there(api: Driver) -> None:
    await api.delete("/api/v2/persons/2")
    assert [person["id"] for person in (await api.get("/api/v2/persons", ids="3,1,2,999")).data] == [1, 3]


async def test_quick_filters(api: Driver) -> None:
    mine = (await api.post("/api/v2/deals", {"title": "x", "org_id": 3, "person_id": 4, "status": "won"})).data["id"]
    assert mine in [deal["id"] for deal in (await api.get("/api/v2/deals", org_id="3")).data]
    assert [deal["id"] for deal in (await api.get("/api/v2/deals", org_id="3", person_id="4")).data] == [mine]
    assert {deal["status"] for deal in (await api.get("/api/v2/deals", status="won,lost")).data} == {"won", "lost"}
    assert [person["id"] for person in (await api.get("/api/v2/persons", deal_id=str(mine))).data] == [4]
    assert (await api.get("/api/v2/stages", pipeline_id="99")).data == []


async def test_changes_are_found_by_whole_seconds(api: Driver) -> None:
    await api.control("POST", "clock", {"advance_seconds": 100})
    changed = (await api.patch("/api/v2/deals/5", {"title": "new"})).data
    since = changed["update_time"]
    assert [deal["id"] for deal in (await api.get("/api/v2/deals", updated_since=since)).data] == [5]
    assert 5 not in [deal["id"] for deal in (await api.get("/api/v2/deals", updated_until=since)).data]


Step = tuple[str, int]


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["add", "delete", "change", "read"]), st.integers(1, 40)), max_size=60),
    limit=st.integers(1, 7),
    is_descending=st.booleans(),
)
def test_walk_misses_and_repeats_nothing_that_stays(steps: list[Step], limit: int, is_descending: bool) -> None:
    asyncio.run(_walk_while_changing(steps, limit, is_descending=is_descending))


async def _walk_while_changing(steps: list[Step], limit: int, *, is_descending: bool) -> None:
    api = Driver(Options(token=TOKEN, control_key=CONTROL_KEY, seed=None, limits=False))
    for number in range(20):
        await api.post("/api/v2/organizations", {"name": f"n{number}"})
    initial = set(range(1, 21))
    gone: set[int] = set()
    seen: list[int] = []
    query = {"limit": str(limit), "sort_direction": "desc" if is_descending else "asc"}
    cursor: str | None = ""
    for action, number in [*steps, *[("read", 0)] * 30]:
        if action == "add":
            await api.post("/api/v2/organizations", {"name": "later"})
        elif action == "delete" and (await api.delete(f"/api/v2/organizations/{number}")).status == 200:
            gone.add(number)
        elif action == "change":
            await api.patch(f"/api/v2/organizations/{number}", {"name": "changed"})
        elif action == "read" and cursor is not None:
            answer = await api.get("/api/v2/organizations", **query, **({"cursor": cursor} if cursor else {}))
            seen += [record["id"] for record in answer.data]
            cursor = answer.body["additional_data"]["next_cursor"]
    assert len(seen) == len(set(seen))
    assert initial - gone <= set(seen)
