"""The aio server every service runs: telemetry, error mapping and deadlines around each handler; health and reflection beside them."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from services.common import contract, instruments, telemetry
from services.common.access.guard import Guard
from services.common.access.interceptor import AccessInterceptor
from services.common.access.refusals import Refusal, Refusals
from services.common.errors import ConfigurationError, TransloadError, UnavailableError
from services.common.grpc_client import MESSAGE_BYTES_MAX, UNARY_DEADLINE_SECONDS, Deadline, deadline
from services.common.open_streams import OpenStream, OpenStreams
from services.common.rpc_errors import status_of
from services.common.settings import OPEN, SecuritySettings
from services.common.tls import MAX_CONNECTION_AGE, server_credentials

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]
    Registration = tuple[Callable[[Any, aio.Server], None], object]

_LOG = telemetry.get_logger(__name__)

OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Two processes on one port would share it silently (SO_REUSEPORT): a second copy must fail to start instead.
    ("grpc.so_reuseport", 0),
    # Clients ping an idle connection every 20 s; the default would answer that with a hang-up.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
STREAM_GRACE_SECONDS: Final = 1.0
_CONTRACTS: Final = "/transload."
_CODE_NAMES: Final = {code.value[0]: code.name for code in grpc.StatusCode}

LIVENESS: Final = "liveness"
"""Name in the health service that says SERVING as long as the event loop answers."""


class Server:
    """A running server.

    Attributes:
        address: the bound `host:port`.
    """

    def __init__(self, server: aio.Server, health_servicer: Any, errors: ErrorInterceptor, address: str, names: Sequence[str]) -> None:
        self.address = address
        self._server = server
        self._errors = errors
        self._health = health_servicer
        self._names = ("", *names)
        self._is_serving = False

    async def set_serving(self, is_serving: bool) -> None:
        """Says in the health service whether work is welcome."""
        if is_serving == self._is_serving:
            return
        self._is_serving = is_serving
        status = health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self._health.set(name, status)

    async def stop(self, grace_seconds: float) -> None:
        """Refuses new calls and lets running ones end for `grace_seconds`, then cancels them.

        Streams get a second: one that watches a migration has no end of its own. Their callers see UNAVAILABLE and open them again elsewhere.
        """
        stopping = asyncio.ensure_future(self._server.stop(grace_seconds))
        await asyncio.wait((stopping,), timeout=min(grace_seconds, STREAM_GRACE_SECONDS))
        self._errors.end_streams()
        await stopping


@asynccontextmanager
async def serve(
    listen: str,
    servicers: Sequence[Registration],
    *,
    security: SecuritySettings = OPEN,
    health_listen: str = "",
    on_refused: Callable[[Refusal], Awaitable[None]] | None = None,
    streams: OpenStreams | None = None,
) -> AsyncIterator[Server]:
    """Starts a server on `host:port` (port 0 takes a free one), NOT_SERVING until told otherwise; stops it at once when the block ends.

    Args:
        listen: where.
        servicers: what is served, beside health and reflection.
        security: TLS, and who may call; by default everybody.
        health_listen: where health alone is answered without TLS; empty: nowhere.
        on_refused: told that somebody known may not do what it asked for.
        streams: how many streams may be open at once; by default 1,000.

    Raises:
        ConfigurationError: the address cannot be bound, or a certificate or the list of callers cannot be used.
    """
    errors = ErrorInterceptor(OpenStreams() if streams is None else streams)
    interceptors: list[aio.ServerInterceptor[Any, Any]] = [errors, DeadlineInterceptor()]
    if security.access_file is not None:
        interceptors.insert(1, AccessInterceptor(Guard(security.access_file), Refusals(on_refused)))
    else:
        interceptors.append(ContractInterceptor())
    if telemetry.is_measuring():
        interceptors.insert(0, TelemetryInterceptor())
    server = aio.server(interceptors=interceptors, options=[*OPTIONS, *(MAX_CONNECTION_AGE if security.tls else ())])
    health_servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]  # missing in the stubs
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    names = []
    for register, servicer in servicers:
        recorder = _Recorder(server)
        register(servicer, recorder)  # type: ignore[arg-type]  # stands in for the server to learn the service's name
        names.append(recorder.service_name)
    if security.shows_contracts:
        reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    # The library's health service starts as SERVING.
    for name in ("", *names):
        await health_servicer.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
    await health_servicer.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
    port = _bind(server, listen, "TRANSLOAD_GRPC_LISTEN", security)
    async with _health_alone(health_listen, health_servicer):
        await server.start()
        try:
            yield Server(server, health_servicer, errors, f"{listen.rpartition(':')[0]}:{port}", names)
        finally:
            await server.stop(None)


@asynccontextmanager
async def _health_alone(listen: str, health_servicer: Any) -> AsyncIterator[None]:
    """Answers the same health on a port of its own while the block runs: probes of Kubernetes know neither TLS nor certificates."""
    if not listen:
        yield
        return
    server = aio.server(options=list(OPTIONS))
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    _bind(server, listen, "TRANSLOAD_HEALTH_LISTEN", OPEN)
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


def _bind(server: aio.Server, listen: str, setting: str, security: SecuritySettings) -> int:
    """Answers the port that was bound."""
    try:
        if security.tls is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, server_credentials(security.tls, wants_client_certificates=security.wants_client_certificates))
    except RuntimeError as error:
        raise ConfigurationError(f"{setting}: {listen} cannot be bound", metadata={"setting": setting}) from error


class _Recorder:
    """Stands in for the server while a generated function registers a servicer, and notes the service's name."""

    def __init__(self, server: aio.Server) -> None:
        self._server = server
        self.service_name = ""

    def add_generic_rpc_handlers(self, handlers: tuple[Any, ...]) -> None:
        self.service_name = handlers[0].service_name()
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service_name: str, handlers: Any) -> None:
        self._server.add_registered_method_handlers(service_name, handlers)  # type: ignore[attr-defined]


class _Wrapping(aio.ServerInterceptor):  # type: ignore[type-arg]
    """Wraps the unary and the server-streaming handlers; our contracts have no client streams but reflection has, which passes through."""

    async def intercept_service(self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        method = handler_call_details.method
        serializers = {"request_deserializer": handler.request_deserializer, "response_serializer": handler.response_serializer}
        if handler.response_streaming:
            stream = handler.unary_stream

            async def answer_stream(request: Any, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
                async for response in self.around_stream(method, stream, request, context):
                    yield response

            return grpc.unary_stream_rpc_method_handler(answer_stream, **serializers)
        unary = handler.unary_unary

        async def answer(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            return await self.around_unary(method, unary, request, context)

        return grpc.unary_unary_rpc_method_handler(answer, **serializers)

    async def around_unary(self, method: str, handler: Callable[..., Any], request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        raise NotImplementedError

    def around_stream(self, method: str, handler: Callable[..., Any], request: Any, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        raise NotImplementedError


class ErrorInterceptor(_Wrapping):
    """Turns our errors into `google.rpc.Status`, and everything else into INTERNAL without details but with a logged traceback."""

    def __init__(self, streams: OpenStreams) -> None:
        self._streams = streams
        self._is_stopping = False

    def end_streams(self) -> None:
        """Ends every running stream with UNAVAILABLE."""
        self._is_stopping = True
        self._streams.cancel_all()

    async def around_unary(self, method: str, handler: Callable[..., Any], request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        """Guards one call."""
        try:
            return await handler(request, context)
        except aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - the outermost frame of a call
            await _abort(method, error, context)

    async def around_stream(
        self, method: str, handler: Callable[..., Any], request: Any, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Any]:
        """Guards one stream."""
        stream: OpenStream | None = None
        try:
            stream = self._streams.enter(method)
            async for response in handler(request, context):
                stream.offered = time.monotonic()
                yield response
                stream.offered = None
        except aio.AbortError:
            raise
        except asyncio.CancelledError:
            if not self._is_stopping or context.cancelled():
                raise
            await _abort(method, UnavailableError("this replica stops; ask again"), context)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a call
            await _abort(method, error, context)
        finally:
            if stream is not None:
                self._streams.leave(stream)


async def _abort(method: str, error: Exception, context: aio.ServicerContext[Any, Any]) -> None:
    if not isinstance(error, TransloadError) or error.reason == TransloadError.default_reason:
        # The words of what we did not foresee are a database's or Python's; callers get the reason, the log the rest.
        _LOG.exception("rpc.failed", error, method=method)
        error = TransloadError("internal error; the log of the service has the details")
    code, message, trailing = status_of(error)
    _LOG.debug("rpc.refused", method=method, code=code.name, reason=error.reason)
    await context.abort(code, message, trailing)


class DeadlineInterceptor(_Wrapping):
    """Gives every unary call an end, the caller's or our default, and hands it on to the calls made while serving it."""

    async def around_unary(self, method: str, handler: Callable[..., Any], request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        """Bounds one call."""
        remaining = context.time_remaining()
        seconds = UNARY_DEADLINE_SECONDS if remaining is None else remaining
        serving = Deadline(time.monotonic() + seconds)
        token = deadline.set(serving)
        bound = asyncio.timeout(seconds)
        try:
            async with bound:
                return await handler(request, context)
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise UnavailableError(f"{method} did not end within {seconds:.1f} s") from error
        finally:
            serving.is_over = True
            deadline.reset(token)

    async def around_stream(
        self, method: str, handler: Callable[..., Any], request: Any, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Any]:
        """Leaves a stream its caller's deadline, which gRPC itself enforces; calls made inside keep their own default."""
        del method
        async for response in handler(request, context):
            yield response


class ContractInterceptor(aio.ServerInterceptor):  # type: ignore[type-arg]
    """Reads requests in gRPC's stead, which would answer UNKNOWN, with the parser's words, to what it cannot parse. Stands next to the handlers.

    Where callers are known, the guard of access reads them.
    """

    async def intercept_service(self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Wraps the handler of one call of ours; health and reflection are the library's own."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming or not handler_call_details.method.startswith(_CONTRACTS):
            return handler
        parse = handler.request_deserializer
        if handler.response_streaming:

            async def answer_stream(raw: bytes, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
                async for response in handler.unary_stream(contract.read(parse, raw), context):
                    yield response

            return grpc.unary_stream_rpc_method_handler(answer_stream, response_serializer=handler.response_serializer)

        async def answer(raw: bytes, context: aio.ServicerContext[Any, Any]) -> Any:
            return await handler.unary_unary(contract.read(parse, raw), context)

        return grpc.unary_unary_rpc_method_handler(answer, response_serializer=handler.response_serializer)


class TelemetryInterceptor(_Wrapping):
    """A span and a duration per call, joined to the caller's trace."""

    def __init__(self) -> None:
        self._duration = instruments.histogram(instruments.RPC_SECONDS)

    async def around_unary(self, method: str, handler: Callable[..., Any], request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        """Records one call."""
        span, token, attributes, started = _start(method, context)
        try:
            return await handler(request, context)
        finally:
            self._finish(span, token, attributes, started, context)

    async def around_stream(
        self, method: str, handler: Callable[..., Any], request: Any, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Any]:
        """Records one stream."""
        span, token, attributes, started = _start(method, context)
        try:
            async for response in handler(request, context):
                yield response
        finally:
            self._finish(span, token, attributes, started, context)

    def _finish(self, span: Any, token: Any, attributes: dict[str, str], started: float, context: aio.ServicerContext[Any, Any]) -> None:
        code: Any = context.code()  # the aio server answers a number, a StatusCode or None
        name = code.name if isinstance(code, grpc.StatusCode) else _CODE_NAMES.get(code or 0, "UNKNOWN")
        span.set_attribute("rpc.grpc.status_code", name)
        if name in {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED"}:
            span.set_status(Status(StatusCode.ERROR, name))
        span.end()
        labels = {"rpc.service": attributes["rpc.service"], "rpc.method": attributes["rpc.method"], "rpc.response.status_code": name}
        # Before the span is left, so that an exemplar leads to it.
        self._duration.record(time.monotonic() - started, labels)
        otel_context.detach(token)


def _start(method: str, context: aio.ServicerContext[Any, Any]) -> tuple[Any, Any, dict[str, str], float]:
    service, _, name = method.lstrip("/").partition("/")
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
    headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    parent = telemetry.extract(headers)
    span = telemetry.tracer().start_span(method.lstrip("/"), context=parent, kind=SpanKind.SERVER, attributes=attributes)
    token = otel_context.attach(trace.set_span_in_context(span, parent))
    return span, token, attributes, time.monotonic()
