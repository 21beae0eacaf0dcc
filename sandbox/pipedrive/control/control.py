"""The control interface under `/_sandbox/`: state, journal, faults, clock, budget and tokens, for tests and rehearsals."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from sandbox.common.asgi import Request, Response, json_response
from sandbox.common.faults import FaultRuleError
from sandbox.pipedrive.account.export import export_state
from sandbox.pipedrive.control.moves import ControlError, change_budget, move_clock, revoke_token
from sandbox.pipedrive.control.replay import recording_beginning, replay
from sandbox.pipedrive.gateway.engine import Engine

Action = Callable[[Request], Response | Awaitable[Response]]

PREFIX = "/_sandbox/"
KEY_HEADER = b"x-sandbox-key"
_ROWS_DEFAULT = 1000


class Control:
    """Answers control requests. They cost nothing and are not in the journal."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._account = engine.account
        self._limits = engine.limits
        self._journal = engine.journal
        self._faults = engine.faults
        self._recorder = engine.recorder
        self._webhooks = engine.webhooks
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
            ("POST", "replay"): self._replay,
            ("GET", "people"): self._show_people,
            ("POST", "people"): self._ask_people,
            ("DELETE", "people"): self._dismiss_people,
            ("POST", "rot"): self._rot,
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
        self._engine.reset()
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
        body = _object(request)
        name = str(body.get("file", ""))
        beginning = recording_beginning(self._engine) if body.get("is_complete") else None
        try:
            self._recorder.start(
                Path(name) if name else None,
                is_emptied=bool(body.get("is_emptied", True)),
                takes_reads=bool(body.get("reads", False)),
                beginning=beginning,
            )
        except OSError as error:
            raise ControlError(f"cannot write {name}: {error.strerror or error}") from error
        return json_response(200, {"recording": name})

    def _replay(self, request: Request) -> Response:
        self._recorder.stop()
        return json_response(200, replay(self._engine, Path(str(_object(request).get("file", "")))))

    def _show_people(self, request: Request) -> Response:
        del request
        return json_response(200, self._engine.people.describe())

    def _ask_people(self, request: Request) -> Response:
        body = _body(request)
        if isinstance(body, dict) and body.keys() == {"do"}:
            deeds = body["do"] if isinstance(body["do"], list) else [body["do"]]
            return json_response(200, {"done": [self._engine.people.do(deed) for deed in deeds]})
        self._engine.people.add(body)
        return self._show_people(request)

    def _dismiss_people(self, request: Request) -> Response:
        self._engine.people.rules.clear()
        return self._show_people(request)

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
        move_clock(self._account, _body(request))
        return self._show_clock(request)

    def _show_budget(self, request: Request) -> Response:
        del request
        return json_response(200, self._limits.state())

    def _rot(self, request: Request) -> Response:
        """Change one bit in the bytes of a file, `{"file": id}`, and nothing else: as a storage does that fails silently."""
        wanted = _object(request).get("file")
        file = self._account.store["file"].get(wanted) if isinstance(wanted, int) else None
        if file is None or not file.get("digest"):
            raise ControlError("file: the id of a file with bytes")
        content = self._account.store.get_blob(file["digest"])
        changed = bytes([content[0] ^ 1]) + content[1:] if content else b"\x00"
        digest = hashlib.sha256(changed).hexdigest()
        self._account.store.put_blob(digest, changed)
        self._account.store.put("file", {**file, "digest": digest})
        return json_response(200, {"file": wanted, "digest": digest})

    def _set_budget(self, request: Request) -> Response:
        change_budget(self._limits.budget, _body(request))
        return self._show_budget(request)

    def _give_token(self, request: Request) -> Response:
        body = _object(request)
        user_id = body.get("user_id", 1)
        if type(user_id) is not int or self._account.store["user"].get(user_id) is None:
            raise ControlError(f"there is no user {user_id}")
        token = str(body.get("token") or secrets.token_hex(20))
        self._account.store.set_meta("tokens", {**self._account.store.meta["tokens"], token: user_id})
        return json_response(200, {"token": token, "user_id": user_id})

    def _revoke(self, request: Request) -> Response:
        body = _object(request)
        token = str(body.get("token", self._account.options.token))
        return json_response(200, {"revoked": revoke_token(self._account, token)})


def _body(request: Request) -> Any:
    try:
        return orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError as error:
        raise ControlError("the body is not JSON") from error


def _object(request: Request) -> dict[str, Any]:
    body = _body(request)
    if not isinstance(body, dict):
        raise ControlError("the body is no JSON object")
    return body


def _number(text: str, name: str) -> int:
    if not text.isdigit():
        raise ControlError(f"{name} must be a whole number")
    return int(text)
