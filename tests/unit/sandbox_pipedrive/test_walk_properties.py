"""A walk by cursor while others add, change, delete and merge: what stays and keeps its place is seen once, whatever the order."""

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.pipedrive.options import Options
from tests.unit.sandbox_pipedrive.driver import CONTROL_KEY, TOKEN, Driver
from tests.unit.sandbox_pipedrive.fake_time import FakeTime

DAY = 86_400
MUTABLE = {"update_time", "name", "due_date", "order_nr", "billing_date"}
"""Orders in which a change can move a record; such a one may then be seen again, or not at all."""


@dataclass(frozen=True)
class Walk:
    """A list, what it holds, and how a record of it is made and changed."""

    path: str
    kind: str
    sorts: tuple[str, ...]
    body: dict[str, Any]
    change: dict[str, Any]
    dates: str = ""
    """A key that gets a date of its own in each record."""
    query: tuple[tuple[str, str], ...] = ()


WALKS = (
    Walk("/api/v2/organizations", "organization", ("id", "add_time", "update_time"), {"name": "x"}, {"name": "y"}, "add_time"),
    Walk("/api/v2/persons", "person", ("id", "add_time", "update_time"), {"name": "x"}, {"name": "y"}, "add_time", (("owner_id", "1"),)),
    Walk("/api/v2/persons", "person", ("id", "add_time", "update_time"), {"name": "x", "org_id": 1}, {"name": "y"}, "", (("org_id", "1"),)),
    Walk("/api/v2/deals", "deal", ("id", "add_time", "update_time"), {"title": "x"}, {"title": "y"}, "", (("status", "open,won,lost"),)),
    Walk("/api/v2/products", "product", ("id", "name", "add_time", "update_time"), {"name": "x"}, {"name": "a"}),
    Walk("/api/v2/activities", "activity", ("id", "add_time", "update_time", "due_date"), {"subject": "x"}, {"due_date": "2020-01-01"}, "due_date"),
    Walk("/api/v2/stages", "stage", ("id", "add_time", "update_time", "order_nr"), {"name": "x", "pipeline_id": 1}, {"name": "y"}),
    Walk("/api/v2/deals/1/products", "deal_product", ("id", "order_nr"), {"product_id": 1, "item_price": 1, "quantity": 1}, {"quantity": 2}),
)

steps = st.lists(st.tuples(st.sampled_from(["add", "delete", "change", "read", "read", "sleep", "merge"]), st.integers(0, 10**6)), max_size=60)


@settings(deadline=None, max_examples=150)
@given(walk=st.sampled_from(WALKS), sort=st.integers(0, 3), is_descending=st.booleans(), limit=st.integers(1, 7), given_steps=steps)
def test_walk_misses_and_repeats_nothing_that_keeps_its_place(
    walk: Walk, sort: int, given_steps: list[tuple[str, int]], *, is_descending: bool, limit: int
) -> None:
    asyncio.run(_walk(walk, walk.sorts[sort % len(walk.sorts)], given_steps, is_descending=is_descending, limit=limit))


async def _walk(walk: Walk, sort: str, given_steps: list[tuple[str, int]], *, is_descending: bool, limit: int) -> None:
    time = FakeTime()
    api = Driver(Options(token=TOKEN, control_key=CONTROL_KEY, seed=1, limits=False, purge_days=1), time.clock())
    for number in range(15):
        await _add(api, walk, number)
        time.sleep(number % 2)
    initial = {record["id"] for record in api.account.store[walk.kind] if _belongs(walk, record)}
    moved: set[int] = set()
    gone: set[int] = set()
    seen: list[int] = []
    keys: list[Any] = []
    cursor: str | None = ""
    query = {"limit": str(limit), "sort_by": sort, "sort_direction": "desc" if is_descending else "asc", **dict(walk.query)}
    for action, number in [*given_steps, *[("read", 0)] * 60]:
        chosen = random.Random(number).choice(sorted(initial))
        match action:
            case "add":
                await _add(api, walk, number)
            case "sleep":
                time.sleep(number % (2 * DAY))
            case "change":
                await api.patch(f"{walk.path}/{chosen}", walk.change)
                moved.add(chosen)
            case "delete":
                await api.delete(f"{walk.path}/{chosen}")
                gone.add(chosen)
            case "merge" if walk.kind in {"organization", "person", "deal"}:
                other = random.Random(number + 1).choice(sorted(initial))
                await api.put(f"/v1/{walk.path.rpartition('/')[2]}/{chosen}/merge", {"merge_with_id": other})
                gone |= {chosen} if chosen != other else set()
                moved |= {chosen, other}
            case "read" if cursor is not None:
                answer = await api.get(walk.path, **query, **({"cursor": cursor} if cursor else {}))
                seen += [record["id"] for record in answer.data]
                keys += [(record[sort], record["id"]) for record in answer.data]
                cursor = answer.body["additional_data"]["next_cursor"]
    assert cursor is None
    assert keys == sorted(keys, reverse=is_descending)
    free = moved if sort in MUTABLE else set()
    steady = [record_id for record_id in seen if record_id not in free]
    assert len(steady) == len(set(steady))
    assert initial - gone - free <= set(seen)


async def _add(api: Driver, walk: Walk, number: int) -> None:
    dated = {}
    if walk.dates:
        day = f"2024-0{1 + number % 9}-0{1 + number // 9 % 9}"
        dated = {walk.dates: day if walk.dates == "due_date" else f"{day}T00:00:00Z"}
    assert (await api.post(walk.path, {**walk.body, **dated})).status in {200, 201}


def _belongs(walk: Walk, record: dict[str, Any]) -> bool:
    wanted = {name: int(value) for name, value in walk.query if name != "status"}
    if walk.kind == "deal_product":
        wanted = {"deal_id": 1}
    return not record["is_deleted"] and all(record[name] == value for name, value in wanted.items())
