"""NATS JetStream: one connection that comes back by itself, streams that are declared again when they are gone, publishing with an answer."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nats.errors import MaxPayloadError
from nats.js import api
from nats.js.errors import APIError, BadRequestError, NoStreamResponseError, NotFoundError, ServiceUnavailableError
from opentelemetry.trace import SpanKind

from services.common import instruments, telemetry
from services.common.backoff import Backoff
from services.common.bus_connection import OUTAGES, Connection
from services.common.bus_users import LEDGER_USER
from services.common.clock import SystemClock
from services.common.errors import PermanentError, UnavailableError
from services.common.streams import CONSUMERS, STREAMS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from nats.aio.client import Client
    from nats.js.client import JetStreamContext

    from services.common.bus_users import BusUser
    from services.common.clock import Clock
    from services.common.settings import NatsSettings
    from services.common.streams import ConsumerSpec, StreamSpec

_LOG = telemetry.get_logger(__name__)

REQUEST_TIMEOUT_SECONDS: Final = 5.0
PUBLISH_ATTEMPTS_MAX: Final = 5
# What was sent on a connection that then broke is never answered. Repeating is harmless, so the first attempt does not wait long.
PUBLISH_TIMEOUT_SECONDS_MIN: Final = 1.0
# An election takes the servers some seconds; who has had no answer for longer is connected to one that is cut off from the others.
ELSEWHERE_SECONDS: Final = 10.0

_STREAM_NAME_IN_USE: Final = 10058
# The stream has as many messages or bytes as it may hold.
_STREAM_FULL: Final = 10077


@dataclass(frozen=True, slots=True)
class Lag:
    """What waits in front of a consumer."""

    consumer: ConsumerSpec
    waiting: int
    """Messages nobody has fetched."""
    unanswered: int
    """Messages in hand, and those that are to come back."""


class Bus:
    """Publishes and subscribes on one connection."""

    def __init__(
        self,
        client: Client,
        *,
        replicas: int = 1,
        streams: Sequence[StreamSpec] = STREAMS,
        consumers: Sequence[ConsumerSpec] = CONSUMERS,
        manages: bool = True,
        has_others: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """Takes a connection.

        Args:
            client: connected.
            replicas: copies of each stream.
            streams: what we publish to or consume.
            consumers: what we consume, or declare.
            manages: whether we declare streams and consumers; else we wait until somebody has.
            has_others: whether there are servers to go to when this one does not answer.
            clock: for tests.
        """
        self.use(client)
        self._manages = manages
        self._has_others = has_others
        self._unanswered_since: float | None = None
        self._replicas = replicas
        self._streams = tuple(streams)
        self._consumers = tuple(consumers)
        self._clock = clock or SystemClock()
        self._backoff = Backoff(0.25, 2.0)
        self._declaring = asyncio.Lock()
        self._declared_time = float("-inf")
        self._published = instruments.counter(instruments.SENT)

    def use(self, client: Client) -> None:
        """Goes on with another connection."""
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream(timeout=REQUEST_TIMEOUT_SECONDS)

    async def publish(self, subject: str, payload: bytes, *, msg_id: str, full_wait_seconds: float = 0.0) -> None:
        """Publishes and waits until the server has stored the message. Repeating with the same `msg_id` within two minutes stores it once.

        Args:
            subject: see `StreamSpec.subject`.
            payload: at most the server's limit, 1 MiB by default.
            msg_id: what the message is about, never random.
            full_wait_seconds: how long to wait for room when the stream is full.

        Raises:
            UnavailableError: nobody stored it in time, or the stream is full.
            PermanentError: the payload is larger than the server takes.
        """
        attributes = {"messaging.system": "nats", "messaging.destination.name": subject.partition(".")[0], "messaging.message.id": msg_id}
        with telemetry.tracer().start_as_current_span("publish", kind=SpanKind.PRODUCER, attributes=attributes):
            await self._publish(subject, payload, msg_id, self._clock.monotonic() + full_wait_seconds)
        self._published.add(1, {"messaging.destination.name": attributes["messaging.destination.name"]})

    @property
    def client(self) -> Client:
        """The connection now."""
        return self._client

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands now; while it does not, it is being made again."""
        return self._client.is_connected

    async def ping(self) -> None:
        """Checks that the server answers and every stream is there. Raises UnavailableError."""
        await self.incarnation()

    async def incarnation(self) -> str:
        """Answers a text that changes whenever a stream was created anew, that is, when waiting work may be lost and has to be announced again.

        Raises:
            UnavailableError: the server does not answer, or a stream is missing and cannot be declared now.
        """
        if not self.is_connected:
            raise UnavailableError("NATS is not connected")
        try:
            return await self._incarnation()
        except NotFoundError:
            await self.declare()
            try:
                return await self._incarnation()
            except OUTAGES as error:
                raise UnavailableError(f"NATS does not answer ({type(error).__name__})") from error
        except APIError as error:
            raise UnavailableError(f"NATS answers {error.err_code}: {error.description}") from error
        except OUTAGES as error:
            raise UnavailableError(f"NATS does not answer ({type(error).__name__})") from error

    async def lags(self) -> list[Lag]:
        """Answers how much waits in front of every consumer.

        Raises:
            UnavailableError: the server does not answer.
        """
        if not self.is_connected:
            raise UnavailableError("NATS is not connected")
        try:
            infos = [(spec, await self._jetstream.consumer_info(spec.stream.name, spec.name)) for spec in self._consumers]
        except OUTAGES as error:
            raise UnavailableError(f"NATS does not answer ({type(error).__name__})") from error
        return [Lag(spec, info.num_pending or 0, info.num_ack_pending or 0) for spec, info in infos]

    async def declare(self) -> None:
        """Creates every stream and consumer that is missing and brings the others to what `streams` says; what waits in them stays.

        Who does not manage them only looks whether they are there.

        Raises:
            UnavailableError: the server does not answer or is not ready, or nobody has declared them yet.
        """
        asked = self._clock.monotonic()
        async with self._declaring:
            if self._declared_time >= asked:
                return  # somebody else did it while we waited for the lock
            try:
                if self._manages:
                    await self._declare_all()
                else:
                    await self._incarnation()
            except NotFoundError as error:
                raise UnavailableError("the ledger has not declared the streams yet") from error
            except OUTAGES as error:
                raise UnavailableError(f"streams cannot be declared now ({type(error).__name__}: {error})") from error
            self._declared_time = self._clock.monotonic()

    async def pull(self, spec: ConsumerSpec) -> JetStreamContext.PullSubscription:
        """Opens a subscription of a declared consumer. Messages are fetched from it one by one."""
        return await self._jetstream.pull_subscribe_bind(consumer=spec.name, stream=spec.stream.name)

    async def _publish(self, subject: str, payload: bytes, msg_id: str, room_until: float) -> None:
        failure: Exception | None = None
        attempt = 0
        while attempt < PUBLISH_ATTEMPTS_MAX:
            attempt += 1
            headers = telemetry.inject({api.Header.MSG_ID.value: msg_id})
            try:
                if not self._client.is_connected:
                    raise ConnectionResetError("not connected")  # the client would buffer it and answer late or never
                timeout_seconds = min(REQUEST_TIMEOUT_SECONDS, PUBLISH_TIMEOUT_SECONDS_MIN * attempt)
                await self._jetstream.publish(subject, payload, timeout=timeout_seconds, headers=headers)
            except MaxPayloadError as error:
                raise PermanentError(f"message {msg_id} has {len(payload)} bytes, more than NATS takes", reason="VALUE_TOO_LONG") from error
            except (NoStreamResponseError, ServiceUnavailableError) as error:
                if getattr(error, "err_code", None) != _STREAM_FULL:
                    failure = error
                    await self._declare_quietly()
                elif self._clock.monotonic() < room_until:
                    attempt = 0
                else:
                    raise UnavailableError(f"stream {subject.partition('.')[0].upper()} is full", metadata={"stream": subject}) from error
            except OUTAGES as error:
                failure = error
            else:
                return
            await self._clock.sleep(self._backoff.delay_seconds(attempt))
        raise UnavailableError(f"NATS did not store {msg_id} ({type(failure).__name__}: {failure})") from failure

    async def _declare_all(self) -> None:
        for stream in self._streams:
            await self._declare_stream(stream)
        for consumer in self._consumers:
            await self._jetstream.add_consumer(consumer.stream.name, _consumer_config(consumer))

    async def _go_elsewhere(self) -> None:
        """Leaves a server that has not answered for long. It may be cut off from the others; our connection to it would stand for ever."""
        now = self._clock.monotonic()
        if self._unanswered_since is None:
            self._unanswered_since = now
        elif self._has_others and now - self._unanswered_since >= ELSEWHERE_SECONDS:
            self._unanswered_since = None
            _LOG.warning("nats.left", problem="the server does not answer")
            await self._client.force_reconnect()

    async def _declare_quietly(self) -> None:
        try:
            await self.declare()
        except UnavailableError as error:
            _LOG.warning("streams.not_declared", problem=error.message)

    async def _declare_stream(self, spec: StreamSpec) -> None:
        config = api.StreamConfig(
            name=spec.name,
            subjects=[spec.subjects],
            retention=api.RetentionPolicy.WORK_QUEUE,
            storage=api.StorageType.FILE,
            discard=api.DiscardPolicy.NEW,
            max_msgs=spec.messages_max,
            max_bytes=spec.bytes_max,
            duplicate_window=spec.duplicate_window_seconds,
            num_replicas=self._replicas,
        )
        try:
            await self._jetstream.add_stream(config)
        except BadRequestError as error:
            if error.err_code != _STREAM_NAME_IN_USE:
                raise
            await self._jetstream.update_stream(config)

    async def _incarnation(self) -> str:
        try:
            infos = [await self._jetstream.stream_info(stream.name) for stream in self._streams]
            for consumer in self._consumers:
                await self._jetstream.consumer_info(consumer.stream.name, consumer.name)
        except NotFoundError:
            self._unanswered_since = None
            raise
        except (*OUTAGES, asyncio.CancelledError):  # cancelled: who asked had no more patience
            await self._go_elsewhere()
            raise
        self._unanswered_since = None
        return json.dumps({info.config.name: str(info.created) for info in infos}, sort_keys=True)


@asynccontextmanager
async def connect(settings: NatsSettings, *, user: BusUser = LEDGER_USER, clock: Clock | None = None) -> AsyncIterator[Bus]:
    """Connects, waiting as long as it takes for a server to come up and for the streams to be there, and drains when the block ends.

    Raises:
        ConfigurationError: the file of authorities cannot be used.
    """
    connection = Connection(settings, user, clock or SystemClock())
    bus = Bus(
        await connection.open(),
        replicas=settings.replicas,
        streams=user.streams,
        consumers=user.consumers,
        manages=user.manages,
        has_others="," in settings.url,
        clock=clock,
    )
    keeping = asyncio.create_task(connection.keep(bus))
    try:
        await _declare(bus, clock or SystemClock())
        yield bus
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await connection.drain(bus.client)


async def _declare(bus: Bus, clock: Clock) -> None:
    backoff = Backoff(0.2, 2.0)
    attempt = 0
    while True:
        attempt += 1
        try:
            return await bus.declare()
        except UnavailableError as error:
            _LOG.warning("streams.not_declared", problem=error.message, attempt=attempt)
        await clock.sleep(backoff.delay_seconds(attempt))


def _consumer_config(spec: ConsumerSpec) -> api.ConsumerConfig:
    return api.ConsumerConfig(
        durable_name=spec.name,
        ack_policy=api.AckPolicy.EXPLICIT,
        deliver_policy=api.DeliverPolicy.ALL,
        ack_wait=spec.ack_wait_seconds,
        # A message past a server-side limit would stay in the stream but in no counter, so nobody would see it: the limit is ours.
        max_deliver=-1,
        max_ack_pending=spec.unanswered_max,
    )
