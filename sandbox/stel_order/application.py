"""The simulator as one ASGI application: the interface below `/app`, files below `/files`, control below `/_sandbox`."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox.common.asgi import JSON_TYPE, TRANSPORT, Receive, Request, Response, Scope, Send, html_response, json_response
from sandbox.common.clock import Clock
from sandbox.common.faults import Faults
from sandbox.common.journal import Call, Journal
from sandbox.stel_order import binaries, listing
from sandbox.stel_order.faults import Rule
from sandbox.stel_order.generator import Builder
from sandbox.stel_order.generator.build import FILES_BASE
from sandbox.stel_order.quota import CallQuota
from sandbox.stel_order.schema import COLLECTIONS, ERROR_CODES, SingleShape
from sandbox.stel_order.store import Row, stamp

_LOOP_TURNS_TO_CLOSE = 5
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Any other verb is an attempt to write."""


@dataclass(slots=True)
class Options:
    """How the simulator answers where the real interface is not publicly known."""

    key: str
    quota_status: int = 429
    bad_key_status: int = 401
    has_array_errors: bool = False
    """Wraps error answers in an array of one."""
    counts_files: bool = False
    """Lets downloads draw from the call budget."""
    denied: set[str] = field(default_factory=set)
    """Collections the key has no right to read."""


@dataclass(slots=True)
class Refusal(Exception):  # noqa: N818 - a result of the interface, not an error of the simulator
    """An answer with an error code."""

    status: int
    code: str
    description: str = ""


class StelOrder:
    """Answers the calls of the interface and of its file server."""

    def __init__(self, account: Builder, options: Options, clock: Clock, quota: CallQuota) -> None:
        self.account = account
        self.options = options
        self.clock = clock
        self.quota = quota
        self.faults = Faults(Rule)
        self.journal = Journal()

    async def __call__(self, request: Request, scope: Scope, send: Send) -> None:
        """Answer one call to `/app` or `/files`, with the fault that a rule wants."""
        full_path = request.path + (f"?{request.query_string.decode('latin-1')}" if request.query_string else "")
        rule = self.faults.pick(request.method, full_path)
        if rule is not None and rule.seconds:
            await asyncio.sleep(rule.seconds)
        if rule is not None and rule.kind == "cut_before":
            self._note(request, 0, "", is_counted=False)
            await _close(scope, is_abort=True)
            return
        response = self._faulty(rule, request) or self._answer(request)
        if isinstance(response, str):
            await _send_oversize(send, response)
        elif rule is not None and rule.kind == "cut":
            await _send_half(scope, send, response)
        else:
            await send_response(send, response)

    def _faulty(self, rule: Rule | None, request: Request) -> Response | None:
        """Return the wrong answer a rule wants in place of the true one."""
        if rule is None or rule.kind in {"slow", "cut"}:
            return None
        if rule.kind == "status":
            self._note(request, rule.status, "", is_counted=False)
            headers = [(name.lower().encode(), value.encode()) for name, value in rule.headers.items()]
            if isinstance(rule.body, str):
                return Response(rule.status, rule.body.encode(), b"text/html; charset=utf-8", headers)
            return json_response(rule.status, rule.body if rule.body is not None else {"description": "fault"}, headers)
        true_answer = self._answer(request)
        if rule.kind == "not_json" or isinstance(true_answer, str):
            return html_response(200, "<html><body>We are doing maintenance.</body></html>")
        true_answer.body = true_answer.body[: len(true_answer.body) // 2]
        return true_answer

    def _answer(self, request: Request) -> Response | str:
        """Return the answer; a string is the name of the oversize file, which is streamed."""
        is_counted = False
        try:
            if request.path.startswith("/files/"):
                if self.options.counts_files:
                    self._take()
                    is_counted = True
                response = self._file(request)
            elif request.path == "/app/errorCodes" and request.method == "GET":
                response = json_response(200, [{"description": text, "error-code": code} for code, text in ERROR_CODES.items()])
            else:
                self._check_key(request)
                self._take()
                is_counted = True
                response = self._interface(request)
        except Refusal as refusal:
            response = self._refuse(refusal)
            self._note(request, refusal.status, refusal.code, is_counted=is_counted)
            return response
        status = 200 if isinstance(response, str) else response.status
        self._note(request, status, "", is_counted=is_counted)
        return response

    def _interface(self, request: Request) -> Response:
        if request.method != "GET":
            raise Refusal(405, "E000003", "This sandbox account is read-only")
        parts = request.path.removeprefix("/app/").split("/")
        collection = COLLECTIONS.get(parts[0])
        if collection is None or len(parts) > 2 or not request.path.startswith("/app/"):
            return html_response(404, "<html><head><title>Error 404</title></head><body>Not Found</body></html>")
        if collection.name in self.options.denied:
            raise Refusal(403, "E000006")
        base = _files_base(request)
        if len(parts) == 2 and parts[1]:
            return self._single(collection.name, parts[1], collection.single, base)
        try:
            rows = listing.page(self.account.store, collection, request.query())
        except listing.BadParameterError as error:
            raise Refusal(400, "E000003", str(error)) from error
        return Response(200, encode(rows, base), JSON_TYPE)

    def _single(self, collection: str, text: str, shape: SingleShape, base: bytes) -> Response:
        if shape is SingleShape.REFUSED:
            raise Refusal(400, "E000003", "This module does not answer single records")
        number = text.removeprefix("-")
        row = self.account.store.get(collection, int(text)) if number.isdecimal() else None
        if row is None:
            raise Refusal(404, "E000003", "The record does not exist")
        body = encode([row], base)
        return Response(200, body if shape is SingleShape.ARRAY else body[1:-1], JSON_TYPE)

    def _file(self, request: Request) -> Response | str:
        name = request.path.rsplit("/", 1)[-1]
        stem = name.rsplit(".", 1)[0]
        if request.method != "GET" or not request.query().get("token") or stem.startswith(binaries.MISSING_STEM):
            return html_response(404 if request.method == "GET" else 405, "<html><body>Not here</body></html>")
        if stem == binaries.OVERSIZE_STEM:
            return name
        return Response(200, binaries.content(request.path), binaries.content_type(name).encode())

    def _check_key(self, request: Request) -> None:
        given = request.header(b"apikey") or request.query().get("APIKEY", "")
        if given != self.options.key:
            raise Refusal(self.options.bad_key_status, "E000004")

    def _take(self) -> None:
        code = self.quota.take()
        if code is not None:
            raise Refusal(self.options.quota_status, code)

    def _refuse(self, refusal: Refusal) -> Response:
        body = {"error-code": refusal.code, "description": refusal.description or ERROR_CODES[refusal.code]}
        return json_response(refusal.status, [body] if self.options.has_array_errors else body)

    def _note(self, request: Request, status: int, code: str, *, is_counted: bool) -> None:
        query = request.query()
        has_key = "APIKEY" in query
        shown = {name: "***" if name in {"APIKEY", "token"} else value for name, value in query.items()}
        is_write = request.method not in _READING
        time = stamp(self.clock.now())
        self.journal.add(Call(request.method, request.path, shown, status, code, is_counted, is_write, time=time, key_in_query=has_key))


def encode(rows: Iterable[Row], files_base: bytes) -> bytes:
    """Return rows as a JSON array, with links that lead to this file server."""
    body = b"[" + b",".join(row.body for row in rows) + b"]"
    return body.replace(FILES_BASE.encode(), files_base)


async def read_request(scope: Scope, receive: Receive) -> Request:
    """Collect a request with its whole body."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            break
    return Request(scope["method"], scope["path"], scope.get("query_string", b""), dict(scope["headers"]), body)


async def send_response(send: Send, response: Response) -> None:
    """Send a complete answer."""
    await send(
        {"type": "http.response.start", "status": response.status, "headers": _headers(response.content_type, len(response.body), response.headers)}
    )
    await send({"type": "http.response.body", "body": response.body})


async def _send_oversize(send: Send, name: str) -> None:
    headers = _headers(binaries.content_type(name).encode(), binaries.OVERSIZE_BYTES, [])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for chunk in binaries.oversize_chunks():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _send_half(scope: Scope, send: Send, response: Response) -> None:
    await send(
        {"type": "http.response.start", "status": response.status, "headers": _headers(response.content_type, len(response.body), response.headers)}
    )
    await send({"type": "http.response.body", "body": response.body[: len(response.body) // 2], "more_body": True})
    await _close(scope, is_abort=False)


async def _close(scope: Scope, *, is_abort: bool) -> None:
    """Close the connection under the server's feet and let it notice."""
    transport = scope.get(TRANSPORT)
    if transport is None:
        return
    if is_abort:
        transport.abort()
    else:
        transport.close()
    for _ in range(_LOOP_TURNS_TO_CLOSE):
        await asyncio.sleep(0)


def _headers(content_type: bytes, length: int, more: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", content_type), (b"content-length", b"%d" % length), *more]


def _files_base(request: Request) -> bytes:
    return b"http://" + (request.headers.get(b"host") or b"localhost") + b"/files"
