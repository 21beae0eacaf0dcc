"""The control interface of a simulator: what tests may do below `/_sandbox/`, with the header `x-sandbox-key`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from sandbox.common.asgi import Request, Response, json_response
from sandbox.common.faults import FaultRuleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sandbox.common.clock import Clock
    from sandbox.common.faults import Faults
    from sandbox.common.journal import Journal

    Route = Callable[[Request], Any]
    """Answers JSON values, or a whole response; nothing is an empty object."""
    Routes = dict[tuple[str, str], Route]
    """By method and what follows `/_sandbox/` in the path."""

PREFIX: Final = "/_sandbox/"


class ControlInterface:
    """Checks the key and finds the route; a mistake of the caller is a 400 that says what it is."""

    def __init__(self, key: str, routes: Routes) -> None:
        """Serve these routes.

        Args:
            key: what the header must hold; empty: nothing.
            routes: those of this simulator.
        """
        self._key = key
        self._routes: Routes = {("GET", "health"): lambda _: {"status": "ok"}, **routes}

    @staticmethod
    def is_meant(request: Request) -> bool:
        """Say whether a request is for the control interface."""
        return request.path.startswith(PREFIX)

    def answer(self, request: Request) -> Response:
        """Answer a request."""
        route = self._routes.get((request.method, request.path.removeprefix(PREFIX)))
        if route is None:
            return json_response(404, {"error": "no such control"})
        if self._key and request.header(b"x-sandbox-key") != self._key:
            return json_response(401, {"error": "the header x-sandbox-key is missing or wrong"})
        try:
            answer = route(request)
        except (ValueError, TypeError, KeyError, FaultRuleError) as error:
            return json_response(400, {"error": str(error)})
        return answer if isinstance(answer, Response) else json_response(200, answer or {})


def mutate_routes(change: Callable[[int], Any]) -> Routes:
    """Answer the route of a day's work: the same seed changes the same, and without one each day is another."""
    count = 0

    def mutate(request: Request) -> Any:
        nonlocal count
        seed = json_object(request).get("seed", count + 1)
        count += 1
        return {"seed": seed, "changes": change(int(seed))}

    return {("POST", "mutate"): mutate}


def journal_routes(journal: Journal) -> Routes:
    """Answer the routes that show and forget what was asked."""
    return {("GET", "journal"): lambda _: journal.as_json(), ("DELETE", "journal"): lambda _: journal.clear()}


def clock_routes(clock: Clock, stamp: Callable[[datetime], str]) -> Routes:
    """Answer the routes that show the clock, as `stamp` writes its time, and set it forward by `advance_seconds`."""

    def moved(request: Request) -> Any:
        clock.advance(float(json_object(request).get("advance_seconds", 0)))
        return {"now": stamp(clock.now())}

    return {("GET", "clock"): moved, ("POST", "clock"): moved}


def fault_routes(faults: Faults[Any]) -> Routes:
    """Answer the routes that show, add and take away rules for faults."""

    def add(request: Request) -> Any:
        faults.add(orjson.loads(request.body or b"{}"))
        return faults.describe()

    def clear(_: Request) -> Any:
        faults.clear()
        return faults.describe()

    return {("GET", "faults"): lambda _: faults.describe(), ("POST", "faults"): add, ("DELETE", "faults"): clear}


def json_object(request: Request) -> dict[str, Any]:
    """Read the JSON object that is a request's body; an empty body is an empty object.

    Raises:
        ValueError: It is something else.
    """
    value = orjson.loads(request.body or b"{}")
    if not isinstance(value, dict):
        raise ValueError("the body must be a JSON object")  # noqa: TRY004 - callers treat both kinds of bad body alike
    return value
