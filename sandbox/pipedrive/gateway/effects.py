"""Carrying out operations: those of requests, of people in the web application, and recorded ones that are played again.

An operation is carried out without a break and at one moment of the account's clock, so that the same operations at the same
moments always lead to the same state.
"""

import traceback
from collections.abc import Awaitable
from typing import Any

from sandbox.common.asgi import Request, Response, json_response
from sandbox.pipedrive.account.account import Account, Actor
from sandbox.pipedrive.account.purge import Purge
from sandbox.pipedrive.control.recorder import Recorder
from sandbox.pipedrive.gateway.call import Call, Result
from sandbox.pipedrive.gateway.errors import ApiError, internal_error
from sandbox.pipedrive.gateway.routes import Route, Router
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.conversions import finish_due


class Effects:
    """Everything that changes the account once it is filled."""

    def __init__(self, account: Account, router: Router, recorder: Recorder) -> None:
        self._account = account
        self._router = router
        self._recorder = recorder
        self._purge = Purge(account)

    def perform(self, route: Route, call: Call, source: str = "api", credential: str = "") -> Response:
        """Let an operation answer at this moment. `source` is `app` for a person in the web application."""
        account = self._account
        moment = account.clock.epoch()
        with self._recorder.performing, account.clock.held(moment):
            response = _answer(route, call, account, source)
        if self._recorder.is_on:
            self._recorder.performed(
                call.request,
                status=response.status,
                tokens=route.tokens if source == "api" else 0,
                at=moment,
                user_id=call.user["id"],
                source=source,
                credential=credential,
            )
        return response

    def request(self, request: Request, user: Record, source: str) -> Response | None:
        """Carry out a request that needs no credential and costs nothing; None when there is no such operation."""
        _, methods, params = self._router.find(request.path)
        route = methods.get(request.method)
        if route is None:
            return None
        return self.perform(route, Call(request, route.version, user, params, request.query()), source)

    def let_time_work(self) -> None:
        """Do what is due at this moment without anybody asking: finish conversions, purge the trash."""
        purges = self._purge.is_due()
        if purges or self._account.pending_conversions:
            self.work_of_time(self._account.clock.epoch(), purges=purges)

    def work_of_time(self, moment: float, *, purges: bool) -> None:
        """Do what is due at a moment, and look through the trash or not."""
        account = self._account
        with self._recorder.performing, account.clock.held(moment):
            finish_due(account)
            if purges:
                self._purge.run()
        account.store.commit()
        self._recorder.event("time", at=moment, purges=purges)

    def clear(self) -> None:
        """Forget when something in the trash is due."""
        self._purge.clear()


def _answer(route: Route, call: Call, account: Account, source: str) -> Response:
    """Let an operation answer. A defect of the simulator becomes a 500 and a traceback on stderr."""
    try:
        if not route.has_query:
            call.refuse_query()
        if route.needs_admin and not call.user["is_admin"]:
            raise ApiError(403, "This operation is allowed for admin users only")
        account.actor = Actor(call.user["id"], source)
        outcome = route.handler(call)
        result = _completed(outcome) if isinstance(outcome, Awaitable) else outcome
    except ApiError as error:
        return json_response(error.status, error.body(route.version))
    except Exception:  # noqa: BLE001 - the last place before the wire
        traceback.print_exc()
        return json_response(500, internal_error(route.version))
    if result.content is not None:
        return Response(result.status, result.content, result.content_type, list(result.headers))
    return json_response(result.status, result.body, list(result.headers))


def _completed(outcome: Awaitable[Result]) -> Result:
    """Take the result of an operation that is written as a coroutine; it has all it needs and must not wait."""
    steps: Any = outcome.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: Result = end.value
        return result
    steps.close()
    raise RuntimeError("an operation waited, so others could change the account in the middle of it")
