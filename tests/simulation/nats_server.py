"""JetStream in memory, as far as the product uses it, and the client that speaks to it: stands in for `nats.aio.client.Client`.

Work queues with one durable pull consumer each: publishing with de-duplication by message id, bounds that refuse, delivery until acknowledged,
redelivery after `ack_wait` or a nak with its delay, signs of life, and everything gone when the store is wiped. What a real JetStream may do once
in a while (lose acknowledged messages, deliver twice, late, in another order, lose an answer) the seed decides.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import nats.errors
from nats.js import api
from nats.js.errors import BadRequestError, NotFoundError, ServiceUnavailableError

from tests.simulation.processes import OWNER, in_world_later

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.network import Network

PAYLOAD_BYTES_MAX: Final = 1024 * 1024
RECONNECT_SECONDS: Final = 0.25
NAME_IN_USE: Final = 10058
STREAM_FULL: Final = 10077


@dataclass(slots=True)
class Message:
    """A message in a stream."""

    sequence: int
    subject: str
    payload: bytes
    headers: dict[str, str]
    deliveries: int = 0
    due: float = 0.0
    """When it may be delivered next."""
    ticket: int = 0
    """The delivery that is in hand; 0: none."""


@dataclass(slots=True)
class _Wish:
    """A pull request that waits."""

    subscription: SimulatedSubscription
    until: float


@dataclass(slots=True)
class Stream:
    """A work queue with its one consumer."""

    config: api.StreamConfig
    created: str
    consumer: api.ConsumerConfig | None = None
    messages: dict[int, Message] = field(default_factory=dict)
    last_sequence: int = 0
    ids: dict[str, tuple[float, int]] = field(default_factory=dict)
    wishes: deque[_Wish] = field(default_factory=deque)
    queue: list[tuple[float, int]] = field(default_factory=list)
    """Messages nobody has in hand: when due, sequence."""
    timer: asyncio.TimerHandle | None = None
    """Serves again when the next of them is due."""

    @property
    def byte_count(self) -> int:
        """Bytes that wait."""
        return sum(len(message.payload) for message in self.messages.values())


@dataclass(slots=True)
class Mischief:
    """Chances of what a stream store may do, per event."""

    lost_after_ack: float = 0.0
    twice: float = 0.0
    shuffled: float = 0.0
    ack_lost: float = 0.0


class NatsStore:
    """The server: lives apart from all processes, may be killed, started again and wiped."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.streams: dict[str, Stream] = {}
        self.mischief = Mischief()
        self.is_up = True
        self.starts = 1
        self.on_acknowledged: Callable[[str, bytes], None] | None = None
        """Told what has been acknowledged, so that somebody can check whether the ledger knows."""
        self._tickets = itertools.count(1)
        self._created = itertools.count(1)

    # --- what happens to it ----------------------------------------------------------------------------------------

    def kill(self) -> None:
        """End it; what it stored stays, what was in hand comes back."""
        self.is_up = False
        for stream in self.streams.values():
            stream.wishes.clear()

    def start(self) -> None:
        """Start it again."""
        self.is_up = True
        self.starts += 1

    def wipe(self) -> None:
        """Lose everything it stored."""
        self.streams.clear()

    # --- requests --------------------------------------------------------------------------------------------------

    def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> object:
        """Store a message; answers an exception or an acknowledgement."""
        stream = self.streams.get(subject.partition(".")[0].upper())
        if stream is None:
            return nats.errors.NoRespondersError()
        now = _now()
        message_id = headers.get(api.Header.MSG_ID.value, "")
        known = stream.ids.get(message_id) if message_id else None
        if known is not None and now - known[0] < (stream.config.duplicate_window or 120.0):
            return api.PubAck(stream=stream.config.name or "", seq=known[1], duplicate=True)
        is_full = len(stream.messages) >= (stream.config.max_msgs or 0) > 0
        if is_full or ((stream.config.max_bytes or 0) > 0 and stream.byte_count + len(payload) > (stream.config.max_bytes or 0)):
            return ServiceUnavailableError(code=503, err_code=STREAM_FULL, description="maximum messages exceeded")
        stream.last_sequence += 1
        sequence = stream.last_sequence
        if message_id:
            stream.ids[message_id] = (now, sequence)
        if self.network.draw.random() >= self.mischief.lost_after_ack:
            stream.messages[sequence] = Message(sequence, subject, payload, headers, due=now)
            heapq.heappush(stream.queue, (now, sequence))
            self._serve(stream)
        else:
            self.network.trace.note(f"nats loses {message_id} after the acknowledgement")
            self.network.hits["streams: lost"] += 1
        return api.PubAck(stream=stream.config.name or "", seq=sequence)

    def add_stream(self, config: api.StreamConfig) -> object:
        """Create a stream."""
        stream = self.streams.get(config.name or "")
        if stream is None:
            self.streams[config.name or ""] = Stream(config, f"{next(self._created)}/{self.starts}")
        elif stream.config != config:
            return BadRequestError(code=400, err_code=NAME_IN_USE, description="stream name already in use with a different configuration")
        return None

    def update_stream(self, config: api.StreamConfig) -> object:
        """Change a stream; what waits in it stays."""
        stream = self.streams.get(config.name or "")
        if stream is None:
            return _no_stream()
        stream.config = config
        return None

    def add_consumer(self, name: str, config: api.ConsumerConfig) -> object:
        """Create or change a consumer."""
        stream = self.streams.get(name)
        if stream is None:
            return _no_stream()
        stream.consumer = config
        return None

    def stream_info(self, name: str) -> object:
        """Describe a stream."""
        stream = self.streams.get(name)
        if stream is None:
            return _no_stream()
        return SimpleNamespace(config=stream.config, created=stream.created, state=SimpleNamespace(messages=len(stream.messages)))

    def consumer_info(self, name: str, consumer: str) -> object:
        """Describe a stream's consumer."""
        stream = self.streams.get(name)
        if stream is None or stream.consumer is None or stream.consumer.durable_name != consumer:
            return _no_stream()
        return SimpleNamespace(config=stream.consumer)

    def pull(self, name: str, consumer: str, subscription: SimulatedSubscription, until: float) -> None:
        """Take a pull request; whoever asks for what is not there hears so."""
        stream = self.streams.get(name)
        if stream is None or stream.consumer is None or stream.consumer.durable_name != consumer:
            self.network.carry(subscription.refuse, ServiceUnavailableError())
            return
        stream.wishes.append(_Wish(subscription, until))
        self._serve(stream)

    def settle(self, stream: Stream, sequence: int, ticket: int, answer: str, delay: float = 0.0) -> bool:
        """Take an answer to a delivery; whether it was taken."""
        message = stream.messages.get(sequence)
        if message is None or self.streams.get(stream.config.name or "") is not stream:
            return False
        if answer in {"ack", "term"}:
            # A late acknowledgement counts, too: the message is done.
            del stream.messages[sequence]
            if answer == "ack" and self.on_acknowledged is not None:
                self.on_acknowledged(message.subject, message.payload)
        elif message.ticket == ticket and answer == "nak":
            self._hand_back(stream, message, delay)
        elif message.ticket == ticket:
            self._watch(stream, message, ticket)
        return True

    # --- delivery --------------------------------------------------------------------------------------------------

    def _serve(self, stream: Stream) -> None:
        now = _now()
        draw = self.network.draw
        while stream.wishes and stream.queue and stream.queue[0][0] <= now:
            wish = stream.wishes.popleft()
            if wish.until <= now or wish.subscription.is_closed:
                continue
            if self.mischief.shuffled and draw.random() < self.mischief.shuffled:
                position = draw.randrange(len(stream.queue))
                self.network.hits["streams: out of order"] += position > 0
                due, sequence = stream.queue[position]
                if due > now:
                    position, (due, sequence) = 0, stream.queue[0]
                del stream.queue[position]
                heapq.heapify(stream.queue)
            else:
                _, sequence = heapq.heappop(stream.queue)
            message = stream.messages.get(sequence)
            if message is None or message.ticket:
                stream.wishes.appendleft(wish)
                continue
            self._deliver(stream, message, wish.subscription)
        if stream.wishes and stream.queue:
            due = max(now, stream.queue[0][0]) + 1e-6
            if stream.timer is None or stream.timer.when() > due:
                if stream.timer is not None:
                    stream.timer.cancel()
                stream.timer = in_world_later(due - now, self._serve_again, stream)

    def _serve_again(self, stream: Stream) -> None:
        stream.timer = None
        if self.is_up and self.streams.get(stream.config.name or "") is stream:
            self._serve(stream)

    def _deliver(self, stream: Stream, message: Message, subscription: SimulatedSubscription) -> None:
        message.deliveries += 1
        message.ticket = next(self._tickets)
        delivery = Delivery(
            self, stream, message.sequence, message.ticket, message.subject, message.payload, dict(message.headers), message.deliveries
        )
        self.network.carry(subscription.receive, delivery)
        if self.mischief.twice and self.network.draw.random() < self.mischief.twice:
            self.network.trace.note(f"nats delivers {message.headers.get('Nats-Msg-Id', '')} twice")
            self.network.hits["streams: twice"] += 1
            ticket, message.ticket = message.ticket, 0
            heapq.heappush(stream.queue, (_now() + self.network.draw.random(), message.sequence))
            del ticket
            return
        self._watch(stream, message, message.ticket)

    def _watch(self, stream: Stream, message: Message, ticket: int) -> None:
        """Bring the message back unless it is answered in time; each sign of life begins the wait anew."""
        wait = (stream.consumer.ack_wait if stream.consumer is not None else None) or 30.0
        message.due = _now() + wait
        in_world_later(wait + 1e-6, self._expire, stream, message, ticket)

    def _expire(self, stream: Stream, message: Message, ticket: int) -> None:
        if message.ticket == ticket and message.due <= _now() and message.sequence in stream.messages:
            self._hand_back(stream, message, 0.0)

    def _hand_back(self, stream: Stream, message: Message, delay: float) -> None:
        message.ticket = 0
        heapq.heappush(stream.queue, (_now() + delay, message.sequence))
        self._serve(stream)


@dataclass(slots=True)
class Delivery:
    """A message as a consumer is given it: stands in for `nats.aio.msg.Msg`."""

    store: NatsStore
    stream: Stream
    sequence: int
    ticket: int
    subject: str
    data: bytes
    headers: dict[str, str]
    deliveries: int

    @property
    def metadata(self) -> SimpleNamespace:
        """Answer how often it was delivered."""
        return SimpleNamespace(num_delivered=self.deliveries)

    async def ack_sync(self, timeout: float = 1.0) -> Delivery:  # noqa: ASYNC109 - the client's own name
        """Acknowledge and wait until the server knows."""
        await _request(self.store, lambda: self.store.settle(self.stream, self.sequence, self.ticket, "ack") or None, timeout)
        return self

    async def nak(self, delay: float | None = None) -> None:
        """Hand it back."""
        self._tell("nak", delay or 0.0)

    async def term(self) -> None:
        """Bury it."""
        self._tell("term")

    async def in_progress(self) -> None:
        """Give a sign of life."""
        self._tell("in_progress")

    def _tell(self, answer: str, delay: float = 0.0) -> None:
        network = self.store.network
        if not network.is_lost():
            network.carry(self._arrive, answer, delay)

    def _arrive(self, answer: str, delay: float) -> None:
        if self.store.is_up:
            self.store.settle(self.stream, self.sequence, self.ticket, answer, delay)


class SimulatedClient:
    """One connection: stands in for `nats.aio.client.Client`."""

    store: NatsStore
    """Of the simulation that runs; set by the harness on a subclass."""

    def __init__(self) -> None:
        self._is_open = False
        self._seen_start = 0
        self._lost_time = float("-inf")
        self.is_closed = False
        self.is_draining = False

    async def connect(self, *_: object, **__: object) -> None:
        """Connect once."""
        await self.store.network.hop()
        if not self.store.is_up:
            raise nats.errors.NoServersError
        self._is_open = True
        self._seen_start = self.store.starts

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands; it is made again a moment after the server is back."""
        if not self._is_open:
            return False
        now = _now()
        if not self.store.is_up:
            self._lost_time = now
            return False
        if self._seen_start != self.store.starts:
            if now - self._lost_time < RECONNECT_SECONDS:
                return False
            self._seen_start = self.store.starts
        return True

    def jetstream(self, timeout: float = 5.0) -> SimulatedJetStream:
        """Answer the JetStream side."""
        return SimulatedJetStream(self, timeout)

    async def drain(self) -> None:
        """Close."""
        self._is_open = False
        self.is_closed = True

    async def close(self) -> None:
        """Close."""
        self._is_open = False
        self.is_closed = True


class SimulatedJetStream:
    """Stands in for `JetStreamContext`."""

    def __init__(self, client: SimulatedClient, timeout: float) -> None:
        self._client = client
        self._store = client.store
        self._timeout = timeout

    async def publish(self, subject: str, payload: bytes = b"", timeout: float | None = None, headers: dict[str, str] | None = None) -> Any:  # noqa: ASYNC109
        """Publish and wait for the acknowledgement."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise nats.errors.MaxPayloadError
        headers = dict(headers or {})
        try:
            return await _request(self._store, lambda: self._store.publish(subject, payload, headers), timeout or self._timeout)
        except nats.errors.NoRespondersError as error:
            raise nats.js.errors.NoStreamResponseError from error

    async def add_stream(self, config: api.StreamConfig) -> None:
        """Create a stream."""
        await _request(self._store, lambda: self._store.add_stream(config), self._timeout)

    async def update_stream(self, config: api.StreamConfig) -> None:
        """Change a stream."""
        await _request(self._store, lambda: self._store.update_stream(config), self._timeout)

    async def add_consumer(self, stream: str, config: api.ConsumerConfig) -> None:
        """Create a consumer."""
        await _request(self._store, lambda: self._store.add_consumer(stream, config), self._timeout)

    async def stream_info(self, name: str) -> Any:
        """Describe a stream."""
        return await _request(self._store, lambda: self._store.stream_info(name), self._timeout)

    async def consumer_info(self, stream: str, consumer: str) -> Any:
        """Describe a consumer."""
        return await _request(self._store, lambda: self._store.consumer_info(stream, consumer), self._timeout)

    async def pull_subscribe_bind(self, *, consumer: str, stream: str) -> SimulatedSubscription:
        """Open a subscription; nothing is asked of the server yet."""
        return SimulatedSubscription(self._store, stream, consumer)


class SimulatedSubscription:
    """Stands in for a pull subscription."""

    def __init__(self, store: NatsStore, stream: str, consumer: str) -> None:
        self._store = store
        self._stream = stream
        self._consumer = consumer
        self._arrived: deque[Delivery | Exception] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self.is_closed = False
        owner = OWNER.get()
        if owner is not None:
            owner.on_death.append(self._close)

    async def fetch(self, batch: int = 1, timeout: float = 5.0) -> list[Delivery]:  # noqa: ASYNC109 - the client's own name
        """Answer the next message."""
        assert batch == 1
        while self._arrived:
            # What came after an earlier request had been given up.
            message = self._arrived.popleft()
            if isinstance(message, Delivery):
                return [message]
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        if not self._store.network.is_lost():
            self._store.network.carry(self._ask, until)
        while not self._arrived:
            self._waiting = loop.create_future()
            timer = loop.call_at(until, _wake, self._waiting)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
            if not self._arrived and loop.time() >= until:
                raise nats.errors.TimeoutError
        message = self._arrived.popleft()
        if isinstance(message, Exception):
            raise message
        return [message]

    async def unsubscribe(self) -> None:
        """Close."""
        self._close()

    def receive(self, delivery: Delivery) -> None:
        """Take a message from the server; on a closed subscription it is lost and comes back after `ack_wait`."""
        if not self.is_closed:
            self._arrived.append(delivery)
            _wake(self._waiting)

    def refuse(self, error: Exception) -> None:
        """Take the news that nobody serves this."""
        if self._waiting is not None:
            self._arrived.append(error)
            _wake(self._waiting)

    def _ask(self, until: float) -> None:
        if self._store.is_up and not self.is_closed:
            self._store.pull(self._stream, self._consumer, self, until)

    def _close(self) -> None:
        self.is_closed = True


async def _request(store: NatsStore, serve: Callable[[], object], timeout: float) -> Any:  # noqa: ASYNC109 - the client's own name
    """Ask the server something. Nobody answers while it is down; a lost question or answer is a time-out."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[object] = loop.create_future()
    network = store.network

    def arrive() -> None:
        if store.is_up:
            answer = serve()
            if not network.is_lost() and network.draw.random() >= store.mischief.ack_lost:
                network.carry(deliver, answer)
            else:
                network.hits["streams: acknowledgement lost"] += store.mischief.ack_lost > 0

    def deliver(answer: object) -> None:
        if not answered.done():
            answered.set_result(answer)

    if not network.is_lost():
        network.carry(arrive)
    timer = loop.call_later(timeout, deliver, nats.errors.TimeoutError())
    try:
        answer = await answered
    finally:
        timer.cancel()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _no_stream() -> NotFoundError:
    return NotFoundError(code=404, err_code=10059, description="stream not found")


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


def _now() -> float:
    return asyncio.get_running_loop().time()
