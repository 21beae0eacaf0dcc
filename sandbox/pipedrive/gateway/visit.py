"""One request on its way through the account: credential, windows, route, budget, faults, effect, journal, in this order."""

import asyncio
from dataclasses import dataclass

import orjson

from sandbox.common.asgi import ConnectionCutError, Headers, Request, Response, html_response, json_response
from sandbox.common.faults import FaultRuleError
from sandbox.pipedrive.control.faults import Rule
from sandbox.pipedrive.control.journal import Entry
from sandbox.pipedrive.gateway.call import Call
from sandbox.pipedrive.gateway.engine import Engine
from sandbox.pipedrive.gateway.errors import CLOUDFLARE_PAGE, RATE_LIMIT_TEXT, ApiError, internal_error, unauthorized
from sandbox.pipedrive.gateway.oauth_scopes import allows
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.limits.limits import Credential

FAULT_HEADER = b"x-sandbox-fault"
_UNAUTHORIZED = orjson.dumps(unauthorized())


@dataclass(slots=True)
class _Place:
    """What a request took of the limits."""

    window: str = ""
    is_search: bool = False
    tokens: int = 0
    day: str = ""


class Visit:
    """Answers one request and writes it into the journal."""

    def __init__(self, engine: Engine, request: Request, credential: Credential | None) -> None:
        self._engine = engine
        self._request = request
        self._credential = credential
        self._time = engine.account.clock.monotonic()
        self._at = engine.account.now()
        self._place = _Place()
        self._route: Route | None = None
        self._rule: Rule | None = None
        self._is_performed = False

    async def answer(self) -> Response:
        """Answer the request.

        Raises:
            ConnectionCutError: When a fault cuts the connection.
        """
        engine, request, credential, place = self._engine, self._request, self._credential, self._place
        limits = engine.limits
        if credential is None:
            return Response(401, _UNAUTHORIZED, headers=[(b"x-401-by-gw", b"true")])
        if limits.is_blocked(credential):
            return html_response(403, CLOUDFLARE_PAGE)
        if not limits.admit_burst(credential, self._time):
            return self._refuse(credential, "window")
        place.window = limits.window_name(credential)
        engine.journal.admit(place.window, self._time)
        limits.note_write(credential, request.method)
        version, methods, params = engine.router.find(request.path)
        route = self._route = methods.get(request.method)
        if route is None:
            error = ApiError(405, "Method not allowed") if methods else ApiError(404, "Unknown method .")
            return json_response(error.status, error.body(version), limits.headers(credential))
        if credential.scopes is not None and not allows(credential.scopes, route):
            return json_response(403, ApiError(403, "Scope and URL mismatch").body(version), limits.headers(credential))
        if route.is_search:
            if not limits.admit_search(credential, self._time):
                return self._refuse(credential, "window")
            place.is_search = True
        if not self._pay(route):
            return self._refuse(credential, "budget")
        return await self._perform(credential, route, params)

    def _pay(self, route: Route) -> bool:
        """Take the tokens from the budget of the day, before anything is awaited, so that no two requests share the same ones."""
        clock, limits = self._engine.account.clock, self._engine.limits
        with clock.held(clock.epoch()):
            if not limits.can_spend(route.tokens):
                return False
            self._at, self._place.day, self._place.tokens = clock.now(), limits.budget.look(), route.tokens
            limits.spend(route.tokens)
        return True

    async def _perform(self, credential: Credential, route: Route, params: tuple[str, ...]) -> Response:
        engine, request = self._engine, self._request
        rule = self._rule = self._fault()
        if rule is not None:
            early = await self._fail_before(rule, route)
            if early is not None:
                return self._charge(early, credential)
        user = engine.account.store["user"].get(credential.user_id)
        if user is None:  # the account was reset while the request waited
            return self._charge(Response(401, _UNAUTHORIZED), credential)
        if engine.people.rules:
            engine.people.happen("before", request)
        response = engine.effects.perform(route, Call(request, route.version, user, params, request.query()), credential=credential.label)
        self._is_performed = True
        if engine.people.rules:
            engine.people.happen("after", request)
        response = self._charge(response, credential)
        if rule is not None:
            self._fail_after(rule, route, response)
        return response

    def _fault(self) -> Rule | None:
        """Return the rule that makes this request fail: its own, where it may have one, or one in force."""
        engine, request = self._engine, self._request
        if engine.account.options.fault_headers and FAULT_HEADER in request.headers:
            text = request.header(FAULT_HEADER)
            try:
                return engine.faults.make(orjson.loads(text) if text.startswith("{") else {"kind": text})
            except (FaultRuleError, orjson.JSONDecodeError) as error:
                return engine.faults.make({"kind": "status", "status": 400, "body": {"error": f"{FAULT_HEADER.decode()}: {error}"}})
        return engine.faults.pick(request.method, request.path) if engine.faults.rules else None

    async def _fail_before(self, rule: Rule, route: Route) -> Response | None:
        """Play the faults that come before any effect; None lets the request go on."""
        if rule.seconds > 0:
            await asyncio.sleep(rule.seconds)
        match rule.kind:
            case "error_before":
                return json_response(500, internal_error(route.version))
            case "cut_before":
                self._settle(is_charged=False)
                raise ConnectionCutError
            case "empty_200":
                return Response(200)
            case "status":
                headers: Headers = [(name.lower().encode(), value.encode()) for name, value in rule.headers.items()]
                if isinstance(rule.body, str):
                    response = html_response(rule.status, rule.body)
                    response.headers += headers
                    return response
                body = rule.body if rule.body is not None else ApiError(rule.status, "Injected").body(route.version)
                return json_response(rule.status, body, headers)
            case _:
                return None

    @staticmethod
    def _fail_after(rule: Rule, route: Route, response: Response) -> None:
        """Play the faults that come after the effect is durable."""
        if rule.kind == "cut_after":
            raise ConnectionCutError
        if rule.kind == "error_after":
            response.status, response.body = 500, orjson.dumps(internal_error(route.version))

    def _charge(self, response: Response, credential: Credential) -> Response:
        """Keep the tokens or give them back, make everything durable, and tell the rest of the budget."""
        is_error = response.status >= 400
        self._settle(is_charged=not is_error or (self._engine.account.options.charge_errors and response.status not in {401, 429}))
        response.headers += self._engine.limits.headers(credential)
        return response

    def _settle(self, *, is_charged: bool) -> None:
        if not is_charged:
            self._engine.limits.spend(-self._place.tokens, self._place.day)
            self._place.tokens = 0
        self._engine.account.store.commit()

    def _refuse(self, credential: Credential, what: str) -> Response:
        """Answer 429 for a full window or an empty budget."""
        limits = self._engine.limits
        limits.refused(credential)
        headers = limits.headers(credential, refused=what)
        match self._engine.account.options.refusal_body:
            case "text":
                return Response(429, RATE_LIMIT_TEXT.encode(), b"text/plain; charset=utf-8", headers)
            case "empty":
                return Response(429, headers=headers)
            case _:
                version = 2 if self._request.path.startswith("/api/v2/") else 1
                return json_response(429, ApiError(429, RATE_LIMIT_TEXT).body(version), headers)

    def note(self, status: int) -> None:
        """Write the request into the journal, and into a recording unless it is there already."""
        credential, route, rule, place = self._credential, self._route, self._rule, self._place
        if not self._is_performed:
            self._engine.recorder.refused(self._request, status=status, tokens=place.tokens)
        self._engine.journal.add(
            Entry(
                time=self._time,
                at=self._at,
                day=place.day,
                credential=credential.label if credential is not None else "",
                window=place.window,
                is_search=place.is_search,
                method=self._request.method,
                path=self._request.path,
                operation=route.operation if route is not None else "",
                tokens=place.tokens,
                status=status,
                fault=rule.kind if rule is not None else "",
            )
        )
