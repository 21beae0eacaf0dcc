"""One account for all tests, and the findings about each operation, made once."""

from collections.abc import Callable, Iterator

import pytest

from sandbox.pipedrive.gateway.routes import Route
from tests.openapi.exercise import Findings, exercise
from tests.openapi.spec import Operation, load
from tests.openapi.world import World

Inspect = Callable[[Route], Findings]


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture(scope="session")
def inspect(world: World) -> Inspect:
    """Return the findings about an operation."""
    known: dict[str, Findings] = {}

    def findings(route: Route) -> Findings:
        if route.operation not in known:
            known[route.operation] = exercise(world, route, operation_of(route))
        return known[route.operation]

    return findings


def operation_of(route: Route) -> Operation:
    """Return the operation of the specification."""
    operation = load().find(route.method, route.template)
    assert operation is not None, f"{route.operation} is in none of the official files"
    return operation
