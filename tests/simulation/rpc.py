"""gRPC without sockets: stands in for `grpc.aio` below the product's own channel and server wrappers.

Requests and answers cross as bytes. A call to a process that does not listen, or that dies meanwhile, ends with UNAVAILABLE; the client repeats
it as gRPC's retry policy of `grpc_client` does. A caller who goes away cancels the handler, as the aio server does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import grpc
from grpc import aio
from grpc.aio import Metadata

from tests.simulation.processes import OWNER, Incarnation, context_of, world_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from tests.simulation.network import Network

ATTEMPTS_MAX: Final = 5
BACKOFF_SECONDS: Final = (0.1, 0.2, 0.4, 0.8)
DEFAULT_SECONDS: Final = 20.0


@dataclass(eq=False)
class Status(Exception):  # noqa: N818 - an answer, not an error of the simulation
    """How a call ended badly."""

    code: grpc.StatusCode
    details: str
    trailing: tuple[tuple[str, Any], ...] = ()

    def as_error(self) -> aio.AioRpcError:
        """Make the exception that gRPC's client raises."""
        return aio.AioRpcError(self.code, Metadata(), Metadata(*self.trailing), self.details, self.details)


UNREACHABLE: Final = Status(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses")
BROKEN: Final = Status(grpc.StatusCode.UNAVAILABLE, "Socket closed")


class Wire:
    """All servers, by address."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.servers: dict[str, SimulatedServer] = {}

    def server(self, *, interceptors: Sequence[aio.ServerInterceptor[Any, Any]] = (), options: object = None) -> SimulatedServer:
        """Stand in for `grpc.aio.server`."""
        del options
        owner = OWNER.get()
        assert owner is not None, "only a process serves"
        return SimulatedServer(self, owner, interceptors)

    def insecure_channel(self, address: str, options: object = None) -> SimulatedChannel:
        """Stand in for `grpc.aio.insecure_channel`."""
        del options
        return SimulatedChannel(self, address)


class SimulatedServer:
    """Serves while its process lives."""

    def __init__(self, wire: Wire, owner: Incarnation, interceptors: Sequence[aio.ServerInterceptor[Any, Any]]) -> None:
        self._wire = wire
        self.owner = owner
        self._interceptors = interceptors
        self._generic: list[Any] = []
        self._handlers: dict[str, Any] = {}
        self._address = ""
        self._is_serving = False
        self.calls: set[_Serving] = set()

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Take a service."""
        self._generic.extend(handlers)

    def add_registered_method_handlers(self, service_name: str, handlers: Any) -> None:
        """Take a service once more, as generated code gives it twice."""

    def add_insecure_port(self, address: str) -> int:
        """Listen from the start on."""
        self._address = address
        return int(address.rpartition(":")[2])

    async def start(self) -> None:
        """Take calls."""
        self._is_serving = True
        self._wire.servers[self._address] = self
        self.owner.on_death.append(self.break_off)

    async def stop(self, grace: float | None) -> None:
        """Take no more calls, let running ones end for a while, then cancel them."""
        self._is_serving = False
        if self._wire.servers.get(self._address) is self:
            del self._wire.servers[self._address]
        tasks = [call.task for call in self.calls if call.task is not None]
        if tasks and grace:
            await asyncio.wait(tasks, timeout=grace)
        for call in list(self.calls):
            call.cancel()

    def break_off(self) -> None:
        """Break every connection: the process is dead."""
        self._is_serving = False
        if self._wire.servers.get(self._address) is self:
            del self._wire.servers[self._address]
        for call in list(self.calls):
            self._wire.network.carry(call.fail, BROKEN)
        self.calls.clear()

    def serve(self, call: _Serving) -> None:
        """Begin to serve a call that has arrived."""
        self.calls.add(call)
        call.task = asyncio.get_running_loop().create_task(self._handle(call), context=context_of(self.owner))

    async def _handle(self, call: _Serving) -> None:
        try:
            handler = await self._handler(call.method)
            if handler is None:
                raise Status(grpc.StatusCode.UNIMPLEMENTED, f"{call.method} is not served")
            # As in gRPC: without one the handler is given the bytes.
            request = handler.request_deserializer(call.request) if handler.request_deserializer is not None else call.request
            if handler.response_streaming:
                async for response in handler.unary_stream(request, call.context):
                    call.send(handler.response_serializer(response))
                call.end()
            else:
                response = await handler.unary_unary(request, call.context)
                call.send(handler.response_serializer(response))
                call.end()
        except aio.AbortError:
            assert call.context.status is not None
            call.end(call.context.status)
        except Status as status:
            call.end(status)
        except asyncio.CancelledError:
            call.end(Status(grpc.StatusCode.CANCELLED, "the server cancelled the call"))
            raise
        finally:
            self.calls.discard(call)

    async def _handler(self, method: str) -> Any:
        """Find a method's handler with all interceptors around it; it is the same for every call."""
        if method not in self._handlers:
            details = _Details(method, ())

            async def innermost(details: Any) -> Any:
                return next((handler for one in self._generic if (handler := one.service(details)) is not None), None)

            continuation: Callable[..., Any] = innermost
            for interceptor in reversed(self._interceptors):
                continuation = _around(interceptor, continuation)
            self._handlers[method] = await continuation(details)
        return self._handlers[method]


def _around(interceptor: aio.ServerInterceptor[Any, Any], inner: Callable[..., Any]) -> Callable[..., Any]:
    async def intercept(details: Any) -> Any:
        return await interceptor.intercept_service(inner, details)

    return intercept


@dataclass(frozen=True, slots=True)
class _Details:
    method: str
    invocation_metadata: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class SimulatedContext:
    """What a handler is given beside its request."""

    until: float | None
    metadata: tuple[tuple[str, Any], ...] = ()
    status: Status | None = None
    is_cancelled: bool = False

    def time_remaining(self) -> float | None:
        """Answer the seconds the caller still waits."""
        return None if self.until is None else self.until - asyncio.get_running_loop().time()

    def invocation_metadata(self) -> tuple[tuple[str, Any], ...]:
        """Answer the caller's headers."""
        return self.metadata

    def cancelled(self) -> bool:
        """Whether the caller went away."""
        return self.is_cancelled

    def code(self) -> Any:
        """Answer how the call ended."""
        return self.status.code if self.status is not None else None

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the call with an error."""
        self.status = Status(code, details, tuple(trailing_metadata))
        raise aio.AbortError


@dataclass(slots=True, eq=False)
class _Serving:
    """A call on the way: how the server's side reaches the client's."""

    method: str
    request: bytes
    context: SimulatedContext
    network: Network
    on_message: Callable[[bytes], None]
    on_end: Callable[[Status | None], None]
    task: asyncio.Task[None] | None = None
    is_over: bool = False
    _arrival: float = field(default=0.0)

    def send(self, response: bytes) -> None:
        """Send an answer; those of one call keep their order."""
        self._in_order(self._deliver, response)

    def end(self, status: Status | None = None) -> None:
        """Send the end."""
        self._in_order(self._finish, status)

    def fail(self, status: Status) -> None:
        """End now, on the client's side."""
        self._finish(status)

    def cancel(self) -> None:
        """Cancel the handler."""
        self.context.is_cancelled = True
        if self.task is not None and not self.task.done():
            self.task.cancel()

    def give_up(self) -> None:
        """End it from the client's side; the server hears of it."""
        if not self.is_over:
            self.is_over = True
            self.network.carry(self.cancel)

    def _in_order(self, deliver: Callable[..., None], *args: Any) -> None:
        loop = asyncio.get_running_loop()
        self._arrival = max(self._arrival + 1e-9, loop.time() + self.network.latency.draw(self.network.draw))

        loop.call_at(self._arrival, deliver, *args, context=world_context())

    def _deliver(self, response: bytes) -> None:
        if not self.is_over:
            self.on_message(response)

    def _finish(self, status: Status | None) -> None:
        if not self.is_over:
            self.is_over = True
            self.on_end(status)


class SimulatedChannel:
    """Calls the server at an address, whoever that is when the call is made."""

    def __init__(self, wire: Wire, address: str) -> None:
        self._wire = wire
        self._address = address

    async def __aenter__(self) -> Self:
        """Connecting happens at the first call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    async def close(self, grace: float | None = None) -> None:
        """Nothing is open."""

    def unary_unary(self, method: str, request_serializer: Any = None, response_deserializer: Any = None, **_: Any) -> Callable[..., Any]:
        """Make a callable of a method with one answer."""

        async def invoke(request: Any, *, timeout: float | None = None, metadata: Any = None, **_: Any) -> Any:  # noqa: ASYNC109 - gRPC's own name
            data = request_serializer(request)
            loop = asyncio.get_running_loop()
            until = loop.time() + (timeout or DEFAULT_SECONDS)
            status: Status | None = UNREACHABLE
            for attempt in range(ATTEMPTS_MAX):
                status, answer = await self._once(method, data, until, tuple(metadata or ()))
                if status is None:
                    assert answer is not None
                    return response_deserializer(answer)
                if status.code is not grpc.StatusCode.UNAVAILABLE or attempt == ATTEMPTS_MAX - 1:
                    break
                pause = BACKOFF_SECONDS[attempt] * (0.8 + 0.4 * self._wire.network.draw.random())
                if loop.time() + pause >= until:
                    status = Status(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
                    break
                await asyncio.sleep(pause)
            assert status is not None
            raise status.as_error()

        return invoke

    async def _once(self, method: str, data: bytes, until: float, metadata: tuple[tuple[str, Any], ...]) -> tuple[Status | None, bytes | None]:
        loop = asyncio.get_running_loop()
        answers: list[bytes] = []
        ended: asyncio.Future[Status | None] = loop.create_future()

        def on_end(status: Status | None) -> None:
            if not ended.done():
                ended.set_result(status)

        call = self._begin(method, data, until=until, metadata=metadata, on_message=answers.append, on_end=on_end)
        deadline = loop.call_at(until, on_end, Status(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
        try:
            status = await ended
        finally:
            deadline.cancel()
            call.give_up()
        return status, answers[0] if answers else None

    def unary_stream(self, method: str, request_serializer: Any = None, response_deserializer: Any = None, **_: Any) -> Callable[..., Any]:
        """Make a callable of a method that streams its answers."""

        def invoke(request: Any, *, timeout: float | None = None, metadata: Any = None, **_: Any) -> _StreamCall:
            loop = asyncio.get_running_loop()
            until = None if timeout is None else loop.time() + timeout
            stream = _StreamCall(response_deserializer)
            stream.call = self._begin(
                method, request_serializer(request), until=until, metadata=tuple(metadata or ()), on_message=stream.on_message, on_end=stream.on_end
            )
            if until is not None:
                stream.deadline = loop.call_at(until, stream.on_end, Status(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
            return stream

        return invoke

    def _begin(self, method: str, data: bytes, *, until: float | None, metadata: Any, on_message: Any, on_end: Any) -> _Serving:
        network = self._wire.network
        call = _Serving(method, data, SimulatedContext(until, metadata), network, on_message, on_end)
        owner = OWNER.get()
        if owner is not None:
            owner.on_death.append(call.give_up)
            if len(owner.on_death) > 256:
                owner.on_death[:] = [one for one in owner.on_death if not getattr(getattr(one, "__self__", None), "is_over", False)]
        if network.is_lost():
            network.carry(call.fail, UNREACHABLE)
            return call
        network.carry(self._arrive, call)
        return call

    def _arrive(self, call: _Serving) -> None:
        server = self._wire.servers.get(self._address)
        if server is None or not server.owner.is_alive:
            self._wire.network.carry(call.fail, UNREACHABLE)
        elif not call.is_over:
            server.serve(call)
            if self._wire.network.is_lost():
                # The connection breaks at some time while the call is served.
                self._wire.network.carry(call.fail, BROKEN)
                self._wire.network.carry(call.cancel)


class _StreamCall:
    """The client's side of a stream."""

    def __init__(self, deserialize: Callable[[bytes], Any]) -> None:
        self._deserialize = deserialize
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._status: Status | None = None
        self.call: _Serving | None = None
        self.deadline: asyncio.TimerHandle | None = None

    def on_message(self, message: bytes) -> None:
        self._messages.put_nowait(message)

    def on_end(self, status: Status | None) -> None:
        self._status = self._status or status
        self._messages.put_nowait(None)

    def cancel(self) -> bool:
        """Stop reading."""
        if self.deadline is not None:
            self.deadline.cancel()
        if self.call is not None:
            self.call.give_up()
        return True

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield the answers as they come."""
        while True:
            message = await self._messages.get()
            if message is None:
                break
            yield self._deserialize(message)
        if self._status is not None:
            raise self._status.as_error()
