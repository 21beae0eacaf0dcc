"""A lean ASGI layer for simulators: whole requests in, whole answers out.

A simulator hands `application` one coroutine that turns a `Request` into a `Response`. Raising `ConnectionCutError` closes the
connection without a single byte of answer, which is how a simulator plays a network that fails after the work was done.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON_TYPE = b"application/json; charset=utf-8"
TRANSPORT = "sandbox.transport"
"""Key in the ASGI scope under which the server leaves the connection's transport."""


class ConnectionCutError(Exception):
    """Asks the server to close the connection without an answer."""


@dataclass(slots=True)
class Request:
    """One complete HTTP request."""

    method: str
    path: str
    query_string: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: bytes) -> str:
        """Return a header by its lower-case name, `""` when it is absent."""
        return self.headers.get(name, b"").decode("latin-1")

    def query(self) -> dict[str, str]:
        """Return the query parameters; the last of several with one name counts."""
        if not self.query_string:
            return {}
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))


@dataclass(slots=True)
class Response:
    """One complete HTTP answer."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON_TYPE
    headers: Headers = field(default_factory=list)


Handler = Callable[[Request], Awaitable[Response]]
Background = Callable[[], AbstractAsyncContextManager[None]]
"""Work that goes on beside the requests for as long as the server runs."""


def json_response(status: int, value: Any, headers: Headers | None = None) -> Response:
    """Return `value` as a JSON answer."""
    return Response(status, orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), JSON_TYPE, headers if headers is not None else [])


def html_response(status: int, text: str) -> Response:
    """Return `text` as an HTML answer."""
    return Response(status, text.encode(), b"text/html; charset=utf-8")


def application(handle: Handler, background: Background = nullcontext) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Make an ASGI application of one request handler and what runs beside it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(background, receive, send)
        if scope["type"] != "http":
            return
        request = await _read(scope, receive)
        if request is None:
            return
        try:
            response = await handle(request)
        except ConnectionCutError:
            await _cut(scope)
            return
        headers = [(b"content-type", response.content_type), (b"content-length", b"%d" % len(response.body)), *response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.body})

    return app


async def _live(background: Background, receive: Receive, send: Send) -> None:
    """Run the background work from the server's start to its end."""
    await receive()
    async with background():
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _read(scope: Scope, receive: Receive) -> Request | None:
    """Collect the whole body; None when the client went away while sending it."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    body = message.get("body", b"")
    if message.get("more_body"):
        chunks = [body]
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
        body = b"".join(chunks)
    raw_path = scope.get("raw_path")
    path = unquote(raw_path.decode("ascii", "replace")) if raw_path else scope["path"]
    return Request(scope["method"], path, scope.get("query_string", b""), dict(scope["headers"]), body)


async def _cut(scope: Scope) -> None:
    transport = scope.get(TRANSPORT)
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0)  # lets the server notice, so that it does not try to answer
