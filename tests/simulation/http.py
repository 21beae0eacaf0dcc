"""HTTP without sockets: calls the simulators' handlers in process, with the time it takes and the ways in which a network fails.

The server's side runs as the world's: it goes on when the client dies or gives up.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import httpx
from multidict import CIMultiDict

from sandbox.common.asgi import TRANSPORT, ConnectionCutError, Request, Response
from services.loader.pipedrive.http import NoAnswerError, NotSentError, Reply
from tests.simulation.processes import in_world_later, world_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from sandbox.pipedrive.gateway.app import PipedriveApp
    from sandbox.stel_order.control import Control
    from tests.simulation.network import Network


WAY_SECONDS_MAX: Final = 4.0
"""How long a request may be on its way at most, whatever became of its client: the one assumption of docs/exactly-once.md, less a margin."""


@dataclass(slots=True)
class Breakage:
    """Chances of what happens to one request on the way, beside what the simulators themselves play.

    Attributes:
        name: whose way, for the table of hits.
        late: the connection breaks while the request is on its way, and it takes effect all the same, a moment later.
        cut_upload: for requests whose body is sent piece by piece: the connection breaks in the middle.
    """

    name: str = ""
    not_sent: float = 0.0
    lost_before: float = 0.0
    lost_after: float = 0.0
    late: float = 0.0
    cut_upload: float = 0.0

    def draw(self, network: Network) -> str:
        """Draw what becomes of a request."""
        shares = {"not_sent": self.not_sent, "lost_before": self.lost_before, "lost_after": self.lost_after, "late": self.late}
        if not any(shares.values()):
            return ""
        chance = network.draw.random()
        for name, share in shares.items():
            if chance < share:
                network.hits[f"{self.name}: {name.replace('_', ' ')}"] += 1
                return name
            chance -= share
        return ""


class PipedriveHttp:
    """Stands in for `AiohttpHttp`."""

    def __init__(self, app: PipedriveApp, network: Network, breakage: Breakage, *, timeout_seconds: float) -> None:
        self._app = app
        self._network = network
        self._breakage = breakage
        self._timeout_seconds = timeout_seconds

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None) -> Reply:
        """Send a request once and read the whole answer."""
        network = self._network
        body = await self._body(content)
        fate = self._breakage.draw(network)
        if fate == "not_sent":
            await network.hop()
            raise NotSentError("ClientConnectorError")
        parts = urlsplit(url)
        wire_headers = {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in headers.items()}
        request = Request(method, unquote(parts.path), parts.query.encode("ascii"), wire_headers, body)
        if fate == "late":
            network.trace.note(f"http {method} {parts.path} arrives although its connection broke")
            in_world_later(network.draw.random() * WAY_SECONDS_MAX, self._arrive_late, request)
            await network.hop()
            raise NoAnswerError("ServerDisconnectedError")
        if fate == "lost_before":
            network.trace.note(f"http {method} {parts.path} is lost on the way there")
            await asyncio.sleep(self._timeout_seconds)
            raise NoAnswerError("SocketTimeoutError")
        try:
            response = await _served(network, lambda: self._handle(request), is_answer_lost=fate == "lost_after", seconds=self._timeout_seconds)
        except ConnectionCutError as error:
            raise NoAnswerError("ServerDisconnectedError") from error
        except TimeoutError as error:
            raise NoAnswerError("SocketTimeoutError") from error
        answered = CIMultiDict({name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers})
        answered["content-type"] = response.content_type.decode("latin-1")
        return Reply(response.status, answered, response.body)

    async def _body(self, content: bytes | AsyncIterator[bytes] | None) -> bytes:
        """Take the body; an upload may break off in its middle, and the server, which never had all of it, does nothing."""
        if content is None or isinstance(content, bytes):
            return content or b""
        network = self._network
        chunks: list[bytes] = []
        is_cut = self._breakage.cut_upload > 0 and network.draw.random() < self._breakage.cut_upload
        async for chunk in content:
            if is_cut and chunks:
                network.hits[f"{self._breakage.name}: upload cut"] += 1
                network.trace.note("http upload is cut")
                await network.hop()
                raise NoAnswerError("ClientOSError")
            chunks.append(chunk)
        return b"".join(chunks)

    def _arrive_late(self, request: Request) -> None:
        asyncio.get_running_loop().create_task(self._handle_unheard(request), context=world_context())  # the loop keeps all its tasks

    async def _handle_unheard(self, request: Request) -> None:
        with suppress(ConnectionCutError):
            await self._handle(request)

    async def _handle(self, request: Request) -> Response:
        response = await self._app.handle(request)
        self._network.trace.note(f"{request.method} {request.path} {request.query_string.decode()} -> {response.status}", "pipedrive")
        return response


class SourceTransport(httpx.AsyncBaseTransport):
    """Stands in for `OnceTransport`."""

    def __init__(self, control: Control, network: Network, breakage: Breakage) -> None:
        self._control = control
        self._network = network
        self._breakage = breakage

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and answer with what came of it."""
        fate = self._breakage.draw(self._network)
        await self._network.hop()
        if fate == "not_sent":
            raise httpx.ConnectError("no connection")
        if fate == "lost_before":
            raise httpx.ReadTimeout("no answer")
        scope = {
            "type": "http",
            "method": request.method,
            "path": unquote(request.url.path),
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            TRANSPORT: (transport := _Transport()),
        }
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            messages.append(message)

        async def serve() -> None:
            await self._control(scope, receive, send)

        read_seconds = request.extensions.get("timeout", {}).get("read") or float("inf")
        try:
            await _served(self._network, serve, is_answer_lost=False, seconds=read_seconds)
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer") from error
        if fate == "lost_after" or not messages:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        body = b"".join(message.get("body", b"") for message in messages[1:])
        return httpx.Response(messages[0]["status"], headers=messages[0]["headers"], stream=_Body(body, is_cut=transport.is_closed), request=request)


class _Transport:
    """The server's connection."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


class _Body(httpx.AsyncByteStream):
    def __init__(self, data: bytes, *, is_cut: bool) -> None:
        self._data = data
        self._is_cut = is_cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
        if self._is_cut:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


async def _served(network: Network, serve: Callable[[], Coroutine[Any, Any, Any]], *, is_answer_lost: bool, seconds: float) -> Any:
    """Let the world serve something and answer what came of it within `seconds`; it goes on when nobody waits any more.

    Raises:
        TimeoutError: the answer was lost, or too late.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Any] = loop.create_future()

    def deliver(answer: Any, error: BaseException | None) -> None:
        if answered.done():
            return
        if error is not None:
            answered.set_exception(error)
        else:
            answered.set_result(answer)

    async def handle() -> None:
        try:
            answer, problem = await serve(), None
        except ConnectionCutError as error:
            answer, problem = None, error
        if is_answer_lost:
            network.trace.note("http answer is lost on the way back")
        else:
            network.carry(deliver, answer, problem)

    def arrive() -> None:
        loop.create_task(handle(), context=world_context())  # noqa: RUF006 - the loop keeps all its tasks

    in_world_later(min(network.seconds(), WAY_SECONDS_MAX), arrive)
    if seconds == float("inf"):
        return await answered
    silence = loop.call_later(seconds, deliver, None, TimeoutError())
    try:
        return await answered
    finally:
        silence.cancel()
