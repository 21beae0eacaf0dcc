"""The parameters of lists do what the specification says they do."""

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.operations import build_routes
from sandbox.pipedrive.gateway.routes import Route
from tests.contract.pipedrive_spec.conftest import operation_of
from tests.openapi.spec import available, requires_spec
from tests.openapi.strategies import First, informed_query
from tests.openapi.targets import Context, paths
from tests.openapi.world import World, everything_on

pytestmark = requires_spec

COLUMNS: dict[str, tuple[str, ...]] = {"user_id": ("user_id", "owner_id"), "organization_id": ("organization_id", "org_id")}
"""Keys of a record by the parameter that asks for a value of them, where they are not called the same."""
COLUMNS |= {name: (name,) for name in ("owner_id", "person_id", "org_id", "deal_id", "lead_id", "pipeline_id", "stage_id", "status", "done")}


def _lists() -> list[Route]:
    if not available():
        return []
    routes = [route for route in build_routes(Account(everything_on())) if route.method == "GET" and not route.is_search]
    return [route for route in routes if "limit" in operation_of(route).query]


LISTS = _lists()
each_list = pytest.mark.parametrize("route", LISTS, ids=lambda route: route.operation)


def ask(world: World, route: Route, **query: Any) -> Any:
    """Return the answer of a list, with the parameters it requires."""
    context = Context(world, operation_of(route))
    answer = world.send("GET", paths(context, route.template)[0], query={**informed_query(First(), context), **query})
    assert answer.status == 200, answer.body
    return answer.body


@each_list
def test_pages_follow_one_another(world: World, route: Route) -> None:
    whole = ask(world, route, limit=50)["data"] or []
    walked: list[Any] = []
    for position in pages(world, route):
        walked += ask(world, route, limit=2, **position)["data"] or []
    assert walked == whole[: len(walked)]
    assert len(walked) >= min(len(whole), 6)


def pages(world: World, route: Route) -> Iterator[dict[str, Any]]:
    """Yield the positions of the first three pages of two."""
    position: dict[str, Any] = {}
    for page in range(1, 4):
        yield position
        beside = ask(world, route, limit=2, **position).get("additional_data") or {}
        if "next_cursor" in beside:
            if beside["next_cursor"] is None:
                return
            position = {"cursor": beside["next_cursor"]}
        else:
            position = {"start": 2 * page}


@pytest.mark.parametrize(
    ("route", "name"),
    [(route, name) for route in LISTS for name in operation_of(route).query if name in COLUMNS],
    ids=lambda value: value if isinstance(value, str) else value.operation,
)
def test_filters_keep_what_fits(world: World, route: Route, name: str) -> None:
    everything = ask(world, route, limit=50)["data"] or []
    values = {text for record in everything for text in values_of(record, name)}
    for value in sorted(values)[:4]:
        kept = ask(world, route, limit=50, **{name: value})["data"] or []
        assert kept
        assert all(value in values_of(record, name) for record in kept)
        assert len(kept) >= sum(value in values_of(record, name) for record in everything)


def values_of(record: dict[str, Any], name: str) -> set[str]:
    """Return the values of a record that a filter looks at, as texts; a link may be an object."""
    found = {item["value"] if isinstance(item, dict) else item for item in (record.get(column) for column in COLUMNS[name])}
    return {str(item).lower() if isinstance(item, bool) else str(item) for item in found if item is not None}


@pytest.mark.parametrize(
    ("route", "column", "direction"),
    [
        (route, column, direction)
        for route in LISTS
        if "sort_by" in operation_of(route).query
        for column in operation_of(route).query["sort_by"].schema["enum"]
        for direction in ("asc", "desc")
    ],
    ids=lambda value: value if isinstance(value, str) else value.operation,
)
def test_lists_are_in_the_order_asked_for(world: World, route: Route, column: str, direction: str) -> None:
    shown = ask(world, route, limit=50, sort_by=column, sort_direction=direction)["data"]
    keys = [(record[column] is not None, record[column] or 0, record["id"]) for record in shown]
    assert keys == sorted(keys, reverse=direction == "desc")


@pytest.mark.parametrize("route", [route for route in LISTS if "ids" in operation_of(route).query], ids=lambda route: route.operation)
def test_ids_keep_the_records_named_and_leave_unknown_ones_out(world: World, route: Route) -> None:
    known = [record["id"] for record in ask(world, route, limit=50)["data"]][:2]
    shown = ask(world, route, ids=",".join(map(str, [*known, 999_999])))["data"]
    assert [record["id"] for record in shown] == known


@pytest.mark.parametrize("route", [route for route in LISTS if "updated_since" in operation_of(route).query], ids=lambda route: route.operation)
def test_times_of_change_bound_a_list(world: World, route: Route) -> None:
    everything = ask(world, route, limit=50)["data"]
    assert ask(world, route, limit=50, updated_since="2020-01-01T00:00:00Z")["data"] == everything
    assert not ask(world, route, limit=50, updated_since="2090-01-01T00:00:00Z")["data"]
    if "updated_until" in operation_of(route).query:
        assert not ask(world, route, limit=50, updated_until="2020-01-01T00:00:00Z")["data"]
        assert ask(world, route, limit=50, updated_until="2090-01-01T00:00:00Z")["data"] == everything
