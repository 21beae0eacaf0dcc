"""Channels to other services: balanced, retried while nobody answers, with a deadline on every call, and with our own errors.

Every RPC of `transload.v1` is idempotent (by request id or by content), so repeating one after UNAVAILABLE is safe.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.trace import SpanKind

from services.common import secrecy, telemetry
from services.common.errors import UnavailableError
from services.common.rpc_errors import from_rpc_error
from services.common.tls import PeerChannels, check_token_way
from transload.security import PLAIN, ChannelSecurity
from transload.several import SeveralChannels, addresses_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


UNARY_DEADLINE_SECONDS: Final = 20.0
STREAM_DEADLINE_SECONDS: Final = 600.0
# A servicer that passes its own deadline on keeps this much to report the failure itself.
DEADLINE_MARGIN_SECONDS: Final = 0.2
DEADLINE_SECONDS_MIN: Final = 0.05
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024

_SERVICE_CONFIG: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}

OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # A peer that restarts is back in seconds; the default grows to two minutes between attempts.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Our peers are our own processes; a proxy for the outside world must not stand between them.
    ("grpc.enable_http_proxy", 0),
)


@dataclass(slots=True)
class Deadline:
    """The end of the RPC being served, set by the server and obeyed by the calls it makes.

    Attributes:
        until: monotonic time at which it must have answered.
        is_over: it has answered; tasks it left running inherit the context, but no deadline.
    """

    until: float
    is_over: bool = False


deadline: ContextVar[Deadline | None] = ContextVar("transload_deadline", default=None)
"""Of the RPC this code runs for, if any."""


@asynccontextmanager
async def channel(
    address: str, *, unary_deadline_seconds: float = UNARY_DEADLINE_SECONDS, security: ChannelSecurity = PLAIN
) -> AsyncIterator[aio.Channel]:
    """Opens a channel to `host:port` and closes it when the block ends; connecting happens at the first call.

    Several addresses with commas are those of replicas of which one is at work: a call that one does not take goes to the next.

    Calls through it raise `TransloadError`s instead of `AioRpcError`s. A unary call without `timeout` gets the default deadline, at most what remains
    of the RPC being served; a stream gets ten minutes. When certificates change in their files, later calls go through a new connection.

    Raises:
        ConfigurationError: the certificates cannot be used, or the token would travel readable.
    """
    addresses = addresses_of(address)
    # With several, going to the next one is the better repetition.
    options = OPTIONS if len(addresses) == 1 else (*OPTIONS, ("grpc.enable_retries", 0))
    async with AsyncExitStack() as stack:
        inner = [await _opened(stack, one, options, security) for one in addresses]
        current = inner[0] if len(inner) == 1 else SeveralChannels(inner).as_channel
        yield cast("aio.Channel", _Channel(current, unary_deadline_seconds, telemetry.is_exporting(), security))


async def _opened(stack: AsyncExitStack, address: str, options: tuple[tuple[str, Any], ...], security: ChannelSecurity) -> Callable[[], aio.Channel]:
    """Answers what answers the channel in force to one address."""
    if security.tls is None:
        check_token_way(security, address)
        plain = await stack.enter_async_context(aio.insecure_channel(address, options=list(options)))
        return lambda: plain
    return (await stack.enter_async_context(PeerChannels(address, security.tls, options))).current


async def ping(to: aio.Channel, *, timeout_seconds: float = 2.0) -> None:
    """Checks that the peer answers at all, ready or not. Raises UnavailableError."""
    await health_pb2_grpc.HealthStub(to).Check(health_pb2.HealthCheckRequest(service="liveness"), timeout=timeout_seconds)


async def is_serving(to: aio.Channel, *, service: str = "", timeout_seconds: float = 2.0) -> bool:
    """Answers whether the peer says SERVING now; False also when it does not answer."""
    try:
        response = await health_pb2_grpc.HealthStub(to).Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_seconds)
    except UnavailableError:
        return False
    return bool(response.status == health_pb2.HealthCheckResponse.SERVING)


class _Channel:
    """Stands before a channel and gives every call a deadline, a trace context, our token and our errors.

    gRPC's own client interceptors do the same with three tasks more per call.
    """

    def __init__(self, inner: Callable[[], aio.Channel], unary_deadline_seconds: float, is_traced: bool, security: ChannelSecurity) -> None:
        self._inner = inner
        self._unary_deadline_seconds = unary_deadline_seconds
        self._is_traced = is_traced
        self._security = security

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner(), name)

    def _made_once(self, make: Callable[[aio.Channel], Callable[..., Any]]) -> Callable[[], Callable[..., Any]]:
        """Answers what answers the call of the channel in force: made anew only when that is another one."""
        known: list[Any] = [None, None]

        def call() -> Callable[..., Any]:
            inner = self._inner()
            if known[0] is not inner:
                known[:] = inner, make(inner)
            return cast("Callable[..., Any]", known[1])

        call()
        return call

    def _metadata(self, metadata: Any) -> Any:
        if self._security.token is not None:
            # The file may hold another one than at the start.
            secrecy.remember(self._security.token())
            metadata = [*(metadata or ()), *self._security.headers()]
        return _with_context(metadata) if self._is_traced else metadata

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        call = self._made_once(lambda inner: inner.unary_unary(method, *args, **kwargs))

        async def invoke(request: Any, *, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:  # noqa: ASYNC109 - gRPC's own name
            seconds = _remaining(timeout or self._unary_deadline_seconds)
            try:
                if not self._is_traced:
                    return await call()(request, timeout=seconds, metadata=self._metadata(metadata), **options)
                with telemetry.tracer().start_as_current_span(method.lstrip("/"), kind=SpanKind.CLIENT, attributes=_attributes(method)):
                    return await call()(request, timeout=seconds, metadata=self._metadata(metadata), **options)
            except aio.AioRpcError as error:
                raise from_rpc_error(error) from error

        return invoke

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        call = self._made_once(lambda inner: inner.unary_stream(method, *args, **kwargs))

        async def invoke(request: Any, *, timeout: float | None = None, metadata: Any = None, **options: Any) -> AsyncIterator[Any]:  # noqa: ASYNC109
            seconds = _remaining(timeout or STREAM_DEADLINE_SECONDS)
            stream = call()(request, timeout=seconds, metadata=self._metadata(metadata), **options)
            try:
                async for response in stream:
                    yield response
            except aio.AioRpcError as error:
                raise from_rpc_error(error) from error
            finally:
                stream.cancel()

        return invoke


def _remaining(seconds: float) -> float:
    serving = deadline.get()
    if serving is None or serving.is_over:
        return seconds
    return max(DEADLINE_SECONDS_MIN, min(seconds, serving.until - time.monotonic() - DEADLINE_MARGIN_SECONDS))


def _with_context(metadata: Any) -> list[tuple[str, Any]]:
    return [*(metadata or ()), *telemetry.inject({}).items()]


def _attributes(method: str) -> dict[str, str]:
    service, _, name = method.lstrip("/").partition("/")
    return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}


async def wait_until_serving(address: str, *, timeout_seconds: float) -> None:
    """Waits until the service at `host:port`, or at one of several with commas, says SERVING.

    Raises:
        UnavailableError: it did not within `timeout_seconds`.
    """
    try:
        async with asyncio.timeout(timeout_seconds), AsyncExitStack() as stack:
            to = [await stack.enter_async_context(channel(one)) for one in addresses_of(address)]
            while not any([await is_serving(one) for one in to]):  # noqa: ASYNC110 - the other process cannot set an event of ours
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise UnavailableError(f"{address} was not ready within {timeout_seconds:g} s") from error
