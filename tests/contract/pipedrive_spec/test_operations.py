"""Every operation the simulator serves, against the official OpenAPI files.

Requests are made from the official schemas of requests; the answers must fit the official schemas of answers, but for the deviations
that are named with their reasons. The operations are taken from the simulator, so a new one is tested at once.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.deviations import DEVIATIONS, EVERYWHERE, KINDS, ends
from sandbox.pipedrive.gateway.operations import build_routes
from sandbox.pipedrive.gateway.routes import Route
from tests.contract.pipedrive_spec.conftest import Inspect, operation_of
from tests.openapi.exercise import refusal_problems, simplest
from tests.openapi.schemas import Problem, Schema
from tests.openapi.spec import JSON, Operation, available, load, requires_spec
from tests.openapi.targets import Context
from tests.openapi.world import World, everything_on

pytestmark = requires_spec

ROOT = Path(__file__).resolve().parents[3]
ROUTES = build_routes(Account(everything_on())) if available() else []
CALLED = ROOT / "services" / "loader" / "pipedrive" / "token_costs.csv"
each_operation = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)


@each_operation
def test_answers_are_as_the_specification_has_them(inspect: Inspect, route: Route) -> None:
    findings = inspect(route)
    unknown = [f"{problem.kind} {problem}" for problem in sorted(findings.problems) if not is_known(route, problem)]
    assert not unknown
    assert findings.succeeded, f"no request succeeded: {sorted(findings.refusals)}"


@each_operation
def test_documented_parameters_and_keys_are_accepted(inspect: Inspect, route: Route) -> None:
    refused = [f"{name}: {text}" for problem, name, text in refusals(inspect, route) if not is_known(route, problem)]
    assert not refused


@each_operation
def test_required_keys_and_parameters_are_required(world: World, route: Route) -> None:
    accepted = [place for place in not_required(world, route) if not is_known(route, Problem(place, "optional", ""))]
    assert not accepted


@pytest.mark.parametrize("route", [route for route in ROUTES if route.version == 2], ids=lambda route: route.operation)
def test_unknown_parameters_and_keys_are_refused(world: World, route: Route) -> None:
    operation = operation_of(route)
    request = simplest(Context(world, operation), route.template)
    with world.fresh():
        answer = world.send(route.method, request.path, request.body, request.content, {**request.query, "colour": "red"})
    assert answer.status == 400
    assert "Parameter 'colour' is not allowed for this request" in answer.error
    if JSON not in operation.requests:
        return
    body = [{**request.body[0], "colour": "red"}] if isinstance(request.body, list) else {**request.body, "colour": "red"}
    with world.fresh():
        answer = world.send(route.method, request.path, body, JSON, request.query)
    assert answer.status == 400
    assert "Parameter 'colour' is not allowed for this request" in answer.error
    assert not list(refusal_problems(route, answer))


def test_every_deviation_is_of_a_known_kind() -> None:
    assert {deviation.kind for deviation in DEVIATIONS} <= set(KINDS)
    assert all(deviation.why and deviation.places and deviation.operations for deviation in DEVIATIONS)


def test_every_deviation_is_needed(world: World, inspect: Inspect) -> None:
    seen = {(route.operation, problem.kind, problem.place) for route in ROUTES for problem in inspect(route).problems}
    seen |= {(route.operation, problem.kind, problem.place) for route in ROUTES for problem, _, _ in refusals(inspect, route)}
    seen |= {(route.operation, "optional", place) for route in ROUTES for place in not_required(world, route)}
    idle = []
    for deviation in DEVIATIONS:
        mine = [(operation, place) for operation, kind, place in seen if deviation.covers(operation, kind, place)]
        idle += [f"{deviation.kind} {end}" for end in deviation.places if not any(ends(place, end) for _, place in mine)]
        idle += [
            f"{deviation.kind} of {pattern}"
            for pattern in set(deviation.operations) - EVERYWHERE
            if not any(type(deviation)(deviation.kind, (pattern,), deviation.places, "").concerns(operation) for operation, _ in mine)
        ]
    assert not idle, "\n".join(idle)


def test_every_operation_the_product_calls_is_served_and_specified() -> None:
    served = {(route.method, shape(route.template)): route for route in ROUTES}
    rows = csv.DictReader(line for line in CALLED.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    called = [(row["method"], row["path"], int(row["token_count"])) for row in rows]
    assert len(called) > 80
    for method, path, tokens in called:
        route = served.get((method, shape(path)))
        assert route is not None, f"{method} {path} is not served"
        assert route.tokens == tokens, path
        operation = load().find(method, path)
        assert operation is not None, f"{method} {path} is not in the specification"
        assert operation.source != "v1-removed", f"{method} {path} has left the specification"


def test_the_list_of_official_operations_is_that_of_the_files() -> None:
    with (ROOT / "sandbox" / "pipedrive" / "official_operations.csv").open(encoding="utf-8") as file:
        listed = {(f"{row['method']} {row['path']}", row["source"]) for row in csv.DictReader(file)}
    assert listed == {(operation.name, operation.source) for operation in load().operations}


def is_known(route: Route, problem: Problem) -> bool:
    """Whether a deviation names a problem."""
    return any(deviation.covers(route.operation, problem.kind, problem.place) for deviation in DEVIATIONS)


def refusals(inspect: Inspect, route: Route) -> Iterator[tuple[Problem, str, str]]:
    """Yield the documented parameters that were refused, and the documented keys that the operation says not to know."""
    for name, text in inspect(route).refused.items():
        kind, _, key = name.partition(" ")
        if kind == "query" or (kind == "body" and f"Parameter '{key}' is not allowed" in text):
            yield Problem(key.partition("=")[0], "parameter" if kind == "query" else "key", text), name, text


def not_required(world: World, route: Route) -> Iterator[str]:
    """Yield the required keys and parameters without which a request succeeds all the same."""
    operation = operation_of(route)
    whole = simplest(Context(world, operation), route.template)
    for name, parameter in operation.query.items():
        if parameter.is_required:
            with world.fresh():
                query = {key: text for key, text in whole.query.items() if key != name}
                if world.send(route.method, whole.path, whole.body, whole.content, query).status != 400:
                    yield name
    for name in required_keys(operation, whole.content):
        item = whole.body[0] if isinstance(whole.body, list) else whole.body
        less = {key: value for key, value in item.items() if key != name}
        with world.fresh():
            body = [less] if isinstance(whole.body, list) else less
            if world.send(route.method, whole.path, body, whole.content, whole.query).status != 400:
                yield name


def required_keys(operation: Operation, content: str) -> list[str]:
    """Return the keys a body must have, or the items of a body that is a list."""
    schema: Schema = operation.requests.get(content, {})
    return list(schema.get("items", schema).get("required", ()))


def shape(path: str) -> str:
    """Return a template with the prefix the simulator uses and without the names of parameters."""
    path = path.replace("/api/v1/", "/v1/")
    return "/".join("{}" if segment.startswith("{") else segment for segment in path.split("/"))
