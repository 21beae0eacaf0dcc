"""The HTTP side of the simulated account: credential, windows, route, budget, faults, effect, journal, in this order."""

import asyncio
import traceback
from collections.abc import Awaitable

import orjson

from sandbox.common.asgi import ConnectionCutError, Headers, Request, Response, html_response, json_response
from sandbox.common.faults import Faults
from sandbox.pipedrive.account import Account, Actor
from sandbox.pipedrive.call import Call
from sandbox.pipedrive.changes import ChangeLog
from sandbox.pipedrive.control import PREFIX as CONTROL_PREFIX
from sandbox.pipedrive.control import Control
from sandbox.pipedrive.errors import CLOUDFLARE_PAGE, RATE_LIMIT_TEXT, ApiError, internal_error, unauthorized
from sandbox.pipedrive.faults import Rule
from sandbox.pipedrive.journal import Entry, Journal
from sandbox.pipedrive.limits import Credential, Limits
from sandbox.pipedrive.operations import build_routes
from sandbox.pipedrive.pages.site import Pages
from sandbox.pipedrive.public_images import PREFIX as PUBLIC_PREFIX
from sandbox.pipedrive.public_images import answer_public
from sandbox.pipedrive.recorder import Recorder
from sandbox.pipedrive.routes import Route, Router
from sandbox.pipedrive.seed import check_origin, fill
from sandbox.pipedrive.v2.conversions import finish_due
from sandbox.pipedrive.webhooks import Webhooks

_UNAUTHORIZED = orjson.dumps(unauthorized())


class PipedriveApp:
    """Answers every request to one account."""

    def __init__(self, account: Account) -> None:
        self.account = account
        if "salt" not in account.store.meta:
            fill(account)
        else:
            check_origin(account)
            account.go_on()
        account.attach()
        self.webhooks = Webhooks(account)
        account.store.observers += [ChangeLog(account).observe, self.webhooks.observe]
        self._accept_token()
        self.limits = Limits(account.options, account.clock, account.store)
        self.journal = Journal(account.options.journal_max)
        self.faults = Faults(Rule)
        self.recorder = Recorder()
        self.router = Router(build_routes(account))
        self._control = Control(account, self.limits, self.journal, self.faults, self.recorder, webhooks=self.webhooks)
        self._pages = Pages(account, self.limits, self.journal)
        self._correlation = 0
        self._labels: dict[tuple[str, bool], str] = {}

    def _accept_token(self) -> None:
        """Let the token given at start in, also when the account was kept from an earlier start with another."""
        store = self.account.store
        if self.account.options.token not in store.meta["tokens"]:
            store.set_meta("tokens", {**store.meta["tokens"], self.account.options.token: 1})
            store.commit()

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        if self.account.pending_conversions:
            finish_due(self.account)
        if request.path.startswith(PUBLIC_PREFIX):
            return answer_public(self.account, request)
        page = self._pages.answer(request)
        if page is not None:
            return page
        if request.path.startswith(CONTROL_PREFIX):
            return await self._control.handle(request)
        visit = _Visit(self, request)
        try:
            response = await visit.answer()
        except ConnectionCutError:
            visit.note(0)
            raise
        self._correlation += 1
        response.headers.append((b"x-correlation-id", b"sandbox-%012d" % self._correlation))
        visit.note(response.status)
        return response

    def credential(self, request: Request) -> Credential | None:
        """Return who calls: header, bearer token, or query parameter."""
        token, is_bearer = request.header(b"x-api-token"), False
        if not token:
            authorization = request.header(b"authorization")
            if authorization[:7].lower() == "bearer ":
                token, is_bearer = authorization[7:].strip(), True
        if not token and b"api_token=" in request.query_string:
            token = request.query().get("api_token", "")
        user_id = self.account.store.meta["tokens"].get(token) if token else None
        user = self.account.store["user"].get(user_id) if user_id is not None else None
        if user is None or not user["active_flag"]:
            return None
        kind = self.account.options.token_kind
        is_oauth = is_bearer if kind == "auto" else kind == "oauth"
        return Credential(token, user["id"], is_oauth, self._labels.get((token, is_oauth)) or self._new_label(token, user["id"], is_oauth=is_oauth))

    def _new_label(self, token: str, user_id: int, *, is_oauth: bool) -> str:
        """Name a token that is seen for the first time: by its user and kind, and by a number when that is taken."""
        label = stem = f"user:{user_id}:{'oauth' if is_oauth else 'api'}"
        number = 1
        while label in self._labels.values():
            number += 1
            label = f"{stem}:{number}"
        self._labels[token, is_oauth] = label
        return label


class _Visit:
    """One request on its way through the account."""

    def __init__(self, app: PipedriveApp, request: Request) -> None:
        self._app = app
        self._request = request
        self._time = app.account.clock.monotonic()
        self._at = app.account.now()
        self._day = self._window = ""
        self._took_search = False
        self._credential: Credential | None = None
        self._route: Route | None = None
        self._tokens = 0
        self._rule: Rule | None = None

    async def answer(self) -> Response:
        app, request = self._app, self._request
        credential = self._credential = app.credential(request)
        if credential is None:
            return Response(401, _UNAUTHORIZED, headers=[(b"x-401-by-gw", b"true")])
        if app.limits.is_blocked(credential):
            return html_response(403, CLOUDFLARE_PAGE)
        if not app.limits.admit_burst(credential, self._time):
            return self._refuse(credential, "window")
        self._window = app.limits.window_name(credential)
        app.journal.admit(self._window, self._time)
        app.limits.note_write(credential, request.method)
        version, methods, params = app.router.find(request.path)
        route = self._route = methods.get(request.method)
        if route is None:
            error = ApiError(405, "Method not allowed") if methods else ApiError(404, "Unknown method .")
            return json_response(error.status, error.body(version), app.limits.headers(credential))
        if route.is_search:
            if not app.limits.admit_search(credential, self._time):
                return self._refuse(credential, "window")
            self._took_search = True
        if not self._pay(route):
            return self._refuse(credential, "budget")
        return await self._perform(credential, route, params)

    def _pay(self, route: Route) -> bool:
        """Take the tokens from the budget of the day, before anything is awaited, so that no two requests share the same ones."""
        clock, limits = self._app.account.clock, self._app.limits
        clock.hold()
        try:
            if not limits.can_spend(route.tokens):
                return False
            self._at, self._day, self._tokens = clock.now(), limits.budget.look(), route.tokens
            limits.spend(route.tokens)
        finally:
            clock.release()
        return True

    async def _perform(self, credential: Credential, route: Route, params: tuple[str, ...]) -> Response:
        app, request = self._app, self._request
        rule = self._rule = app.faults.pick(request.method, request.path) if app.faults.rules else None
        if rule is not None:
            early = await self._fail_before(rule, route)
            if early is not None:
                return self._charge(early, credential)
        user = app.account.store["user"].get(credential.user_id)
        assert user is not None  # noqa: S101 - tokens are only given to users
        call = Call(request, route.version, user, params, request.query())
        response = self._charge(await _run(route, call, app.account), credential)
        if rule is not None:
            self._fail_after(rule, route, response)
        return response

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
                return json_response(
                    rule.status, rule.body if rule.body is not None else ApiError(rule.status, "Injected").body(route.version), headers
                )
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
        self._settle(is_charged=not is_error or (self._app.account.options.charge_errors and response.status not in {401, 429}))
        response.headers += self._app.limits.headers(credential)
        return response

    def _settle(self, *, is_charged: bool) -> None:
        if not is_charged:
            self._app.limits.spend(-self._tokens, self._day)
            self._tokens = 0
        self._app.account.store.commit()

    def _refuse(self, credential: Credential, what: str) -> Response:
        """Answer 429 for a full window or an empty budget."""
        limits = self._app.limits
        limits.refused(credential)
        headers = limits.headers(credential, refused=what)
        match self._app.account.options.refusal_body:
            case "text":
                return Response(429, RATE_LIMIT_TEXT.encode(), b"text/plain; charset=utf-8", headers)
            case "empty":
                return Response(429, headers=headers)
            case _:
                version = 2 if self._request.path.startswith("/api/v2/") else 1
                return json_response(429, ApiError(429, RATE_LIMIT_TEXT).body(version), headers)

    def note(self, status: int) -> None:
        """Write the request into the journal."""
        credential, route, rule = self._credential, self._route, self._rule
        self._app.recorder.note(self._request, status=status, tokens=self._tokens)
        self._app.journal.add(
            Entry(
                time=self._time,
                at=self._at,
                day=self._day,
                credential=credential.label if credential is not None else "",
                window=self._window,
                is_search=self._took_search,
                method=self._request.method,
                path=self._request.path,
                operation=route.operation if route is not None else "",
                tokens=self._tokens,
                status=status,
                fault=rule.kind if rule is not None else "",
            )
        )


async def _run(route: Route, call: Call, account: Account) -> Response:
    """Let an operation answer. A defect of the simulator becomes a 500 and a traceback on stderr."""
    try:
        if not route.has_query:
            call.refuse_query()
        if route.needs_admin and not call.user["is_admin"]:
            raise ApiError(403, "This operation is allowed for admin users only")
        account.actor = Actor(call.user["id"], "api")
        outcome = route.handler(call)
        result = await outcome if isinstance(outcome, Awaitable) else outcome
    except ApiError as error:
        return json_response(error.status, error.body(route.version))
    except Exception:  # noqa: BLE001 - the last place before the wire
        traceback.print_exc()
        return json_response(500, internal_error(route.version))
    if result.content is not None:
        return Response(result.status, result.content, result.content_type)
    return json_response(result.status, result.body)
