"""The control interface under `/_sandbox/`: state, journal, faults, clock, budget and tokens, for tests and rehearsals."""

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from sandbox.common.asgi import Request, Response, json_response
from sandbox.common.faults import FaultRuleError, Faults
from sandbox.pipedrive.account import Account
from sandbox.pipedrive.clock import SPEED_MAX, read_time
from sandbox.pipedrive.export import export_state
from sandbox.pipedrive.faults import Rule
from sandbox.pipedrive.journal import Journal
from sandbox.pipedrive.limits import Limits
from sandbox.pipedrive.recorder import Recorder
from sandbox.pipedrive.seed import fill
from sandbox.pipedrive.webhooks import Webhooks

Action = Callable[[Request], Response | Awaitable[Response]]

PREFIX = "/_sandbox/"
KEY_HEADER = b"x-sandbox-key"
_ROWS_DEFAULT = 1000


class ControlError(Exception):
    """A control request makes no sense; the message says why."""


class Control:
    """Answers control requests. They cost nothing and are not in the journal."""

    def __init__(self, account: Account, limits: Limits, journal: Journal, faults: Faults[Rule], recorder: Recorder, *, webhooks: Webhooks) -> None:
        self._account = account
        self._webhooks = webhooks
        self._limits = limits
        self._journal = journal
        self._faults = faults
        self._recorder = recorder
        self._actions: dict[tuple[str, str], Action] = {
            ("GET", "export"): self._export,
            ("GET", "digest"): self._digest,
            ("GET", "counts"): self._counts,
            ("GET", "journal"): self._rows,
            ("GET", "journal/summary"): self._summary,
            ("DELETE", "journal"): self._clear_journal,
            ("POST", "reset"): self._reset,
            ("GET", "faults"): self._show_faults,
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "windows"): self._show_windows,
            ("GET", "clock"): self._show_clock,
            ("POST", "clock"): self._move_clock,
            ("GET", "budget"): self._show_budget,
            ("POST", "budget"): self._set_budget,
            ("POST", "tokens"): self._give_token,
            ("POST", "revoke"): self._revoke,
            ("POST", "recording"): self._record,
            ("GET", "webhooks"): self._show_webhooks,
            ("POST", "webhooks/flush"): self._flush_webhooks,
        }

    async def handle(self, request: Request) -> Response:
        """Answer one control request."""
        if not secrets.compare_digest(request.header(KEY_HEADER).encode(), self._account.options.control_key.encode()):
            return json_response(401, {"error": f"the control interface needs its key in the header {KEY_HEADER.decode()}"})
        action = self._actions.get((request.method, request.path.removeprefix(PREFIX).rstrip("/")))
        if action is None:
            return json_response(
                404, {"error": "unknown control request", "known": sorted(f"{method} {PREFIX}{name}" for method, name in self._actions)}
            )
        try:
            outcome = action(request)
            response = await outcome if isinstance(outcome, Awaitable) else outcome
        except (ControlError, FaultRuleError) as error:
            return json_response(400, {"error": str(error)})
        self._account.store.commit()
        return response

    def _export(self, request: Request) -> Response:
        del request
        content, digest = export_state(self._account)
        return Response(200, b'{"digest":"%s","state":%s}' % (digest.encode(), content), headers=[(b"x-sandbox-digest", digest.encode())])

    def _digest(self, request: Request) -> Response:
        del request
        return json_response(200, {"digest": export_state(self._account)[1]})

    def _counts(self, request: Request) -> Response:
        del request
        live = {kind: sum(not record["is_deleted"] for record in table) for kind, table in self._account.store.tables.items()}
        deleted = {kind: len(table) - live[kind] for kind, table in self._account.store.tables.items()}
        return json_response(200, {"live": live, "deleted": deleted, "open_deals": self._account.open_deals})

    def _rows(self, request: Request) -> Response:
        query = request.query()
        start, limit = _number(query.get("start", "0"), "start"), _number(query.get("limit", str(_ROWS_DEFAULT)), "limit")
        kept = {"kept": len(self._journal.entries), "total": self._journal.total, "is_whole": self._journal.is_whole}
        return json_response(200, {"entries": self._journal.rows(start, limit), **kept, "account": self._terms(), "days": self._limits.budget.days()})

    def _terms(self) -> dict[str, Any]:
        """Return what a checker of the journal must know of the account."""
        options = self._account.options
        names = ("plan", "seats", "top_up", "reset_zone", "limits", "window_of")
        return {name: getattr(options, name) for name in names}

    def _summary(self, request: Request) -> Response:
        del request
        return json_response(200, self._journal.summary() | {"budget": self._limits.state()})

    def _clear_journal(self, request: Request) -> Response:
        del request
        self._journal.clear()
        return json_response(200, {"cleared": True})

    def _reset(self, request: Request) -> Response:
        del request
        self._account.restart()
        fill(self._account)
        self._limits.clear()
        self._journal.clear()
        self._faults.clear()
        return self._digest(Request("GET", PREFIX + "digest"))

    def _show_faults(self, request: Request) -> Response:
        del request
        return json_response(200, self._faults.describe())

    def _add_faults(self, request: Request) -> Response:
        self._faults.add(_body(request))
        return self._show_faults(request)

    def _clear_faults(self, request: Request) -> Response:
        self._faults.clear()
        return self._show_faults(request)

    def _record(self, request: Request) -> Response:
        body = _body(request)
        name = str(body.get("file", ""))
        self._recorder.start(Path(name) if name else None, is_emptied=bool(body.get("is_emptied", True)), takes_reads=bool(body.get("reads", False)))
        return json_response(200, {"recording": name})

    def _show_webhooks(self, request: Request) -> Response:
        del request
        return json_response(200, {"webhooks": self._webhooks.state()})

    async def _flush_webhooks(self, request: Request) -> Response:
        await self._webhooks.flush()
        return self._show_webhooks(request)

    def _show_clock(self, request: Request) -> Response:
        del request
        clock = self._account.clock
        return json_response(
            200,
            {"now": clock.now(), "monotonic": clock.monotonic(), "offset_seconds": clock.offset_seconds, "speed": clock.speed, "jumps": clock.jumps},
        )

    def _show_windows(self, request: Request) -> Response:
        del request
        return json_response(200, self._limits.windows_state())

    def _move_clock(self, request: Request) -> Response:
        body = _body(request)
        clock = self._account.clock
        if "advance_seconds" in body:
            clock.advance(_decimal(body["advance_seconds"], "advance_seconds"))
        elif body.get("to") == "midnight":
            clock.advance(clock.seconds_to_midnight(self._account.options.reset_zone) + 1)
        elif "jump_seconds" in body:
            clock.jump(_decimal(body["jump_seconds"], "jump_seconds"))
        elif "set" in body:
            clock.set(_moment(body["set"]))
        elif "speed" in body:
            clock.set_speed(_speed(body["speed"]))
        else:
            raise ControlError('give one of "advance_seconds", "to": "midnight", "jump_seconds", "set", "speed"')
        self._account.keep_clock()
        return self._show_clock(request)

    def _show_budget(self, request: Request) -> Response:
        del request
        return json_response(200, self._limits.state())

    def _set_budget(self, request: Request) -> Response:
        budget = self._limits.budget
        changes = {
            "used": lambda number: budget.add("used", number - budget.used),
            "spend": lambda number: budget.add("others", number),
            "remaining": lambda number: budget.add("used", budget.total - budget.others - number - budget.used),
            "top_up": lambda number: budget.add("extra", number),
        }
        body = _body(request)
        if not isinstance(body, dict) or not body.keys() <= changes.keys():
            raise ControlError(f"known are: {', '.join(changes)}")
        for name, number in {name: int(_decimal(value, name)) for name, value in body.items()}.items():
            changes[name](number)
        return self._show_budget(request)

    def _give_token(self, request: Request) -> Response:
        body = _body(request)
        user_id = body.get("user_id", 1)
        if self._account.store["user"].get(user_id) is None:
            raise ControlError(f"there is no user {user_id}")
        token = str(body.get("token") or secrets.token_hex(20))
        self._account.store.set_meta("tokens", {**self._account.store.meta["tokens"], token: user_id})
        return json_response(200, {"token": token, "user_id": user_id})

    def _revoke(self, request: Request) -> Response:
        body = _body(request)
        token = body.get("token", self._account.options.token)
        tokens = dict(self._account.store.meta["tokens"])
        revoked = tokens.pop(token, None) is not None
        self._account.store.set_meta("tokens", tokens)
        return json_response(200, {"revoked": revoked})


def _body(request: Request) -> Any:
    try:
        return orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError as error:
        raise ControlError("the body is not JSON") from error


def _number(text: str, name: str) -> int:
    if not text.isdigit():
        raise ControlError(f"{name} must be a whole number")
    return int(text)


def _moment(value: Any) -> float:
    try:
        return read_time(str(value))
    except ValueError as error:
        raise ControlError(f"'{value}' is not a time between 1971 and 2999, such as 2026-01-31T23:59:00Z") from error


def _speed(value: Any) -> float:
    number = _decimal(value, "speed")
    if not 0 < number <= SPEED_MAX:
        raise ControlError(f"speed must be above 0 and at most {SPEED_MAX:,.0f}")
    return number


def _decimal(value: Any, name: str) -> float:
    if type(value) not in (int, float):
        raise ControlError(f"{name} must be a number")
    return float(value)
