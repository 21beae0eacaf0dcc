"""The pull loop: fetch, keep alive, give every message exactly one answer, drain.

Each of `concurrency` workers asks for one message when it is free for one, so that memory is bounded and a message never waits in our hands.
The answer follows the class of the error (see `errors`). What no answer reached comes back by itself after `ack_wait_seconds`.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nats.errors import Error as NatsError
from nats.js.errors import APIError
from opentelemetry.trace import SpanKind, Status, StatusCode

from services.common import instruments, telemetry
from services.common.backoff import Backoff
from services.common.clock import SystemClock
from services.common.errors import (
    ClaimHeldError,
    InvalidRequestError,
    NotFoundError,
    PausedError,
    PermanentError,
    PreconditionError,
    RateLimitedError,
    TransientError,
    TransloadError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from nats.aio.msg import Msg
    from nats.js.client import JetStreamContext

    from services.common.clock import Clock
    from services.common.jetstream import Bus
    from services.common.streams import ConsumerSpec

    Handle = Callable[[bytes], Awaitable[None]]
    OnBuried = Callable[[bytes, Exception], Awaitable[None]]

_LOG = telemetry.get_logger(__name__)

# A pull request is lost with the connection it was sent on, so this is also the longest wait after a reconnection.
FETCH_SECONDS: Final = 2.0
RECONNECT_POLL_SECONDS: Final = 0.1
ACK_SECONDS: Final = 5.0
_OUTAGES: Final = (NatsError, asyncio.TimeoutError, OSError, EOFError)
_UNWANTED: Final = (NotFoundError, PreconditionError)
"""Whoever was asked knows nothing of the work, or does not want it any more: the message is left over from a run that ended, or made up."""


@dataclass(frozen=True, slots=True)
class ConsumerPolicy:
    """How often and how soon a message comes back.

    Attributes:
        transient: pauses after a failure that may pass.
        held: pauses while another worker holds the claim or the migration is paused.
        pause_seconds_max: longest pause asked for by a rate limit that we keep in one go, so that a raised limit is noticed.
        bug_deliveries_max: deliveries after which a message that always meets an unknown error is buried. Work that is still wanted is announced
            again by the ledger, so a message that is given up is not work that is lost.
        refused_deliveries_max: the same for a message whose work nobody knows or wants.
    """

    transient: Backoff = field(default_factory=lambda: Backoff(0.5, 60.0))
    held: Backoff = field(default_factory=lambda: Backoff(1.0, 8.0))
    pause_seconds_max: float = 60.0
    bug_deliveries_max: int = 20
    refused_deliveries_max: int = 6


class Consumer:
    """Feeds a handler from one consumer of a work queue until stopped."""

    def __init__(
        self,
        bus: Bus,
        spec: ConsumerSpec,
        handle: Handle,
        *,
        concurrency: int,
        on_buried: OnBuried | None = None,
        policy: ConsumerPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Takes the parts.

        Args:
            bus: where from.
            spec: which consumer.
            handle: does the work of one message, given its payload; returns only after the ledger knows. It may be given the same message again.
            concurrency: messages in hand at once, at least 1.
            on_buried: told about a message that will not come back, with the error; telling twice must be harmless.
                If it fails, the message comes back.
            policy: pauses and limits.
            clock: for tests.
        """
        self.spec = spec
        self._bus = bus
        self._handle = handle
        self._concurrency = max(1, concurrency)
        self._on_buried = on_buried
        self._policy = policy or ConsumerPolicy()
        self._clock = clock or SystemClock()
        self._stopping = asyncio.Event()
        self._paused_until = float("-inf")
        self._settled = instruments.counter(instruments.CONSUMED)
        # There as 0 from the start, so that an alert on what should never come has something to look at.
        for answer in ("ack", "nak", "term", "drop", "none"):
            self._settled.add(0, {instruments.STREAM: spec.stream.name, instruments.ANSWER: answer})
        self._duration = instruments.histogram(instruments.PROCESS_SECONDS)

    async def run(self) -> None:
        """Consumes until `stop`, then ends when the messages in hand are answered. Cancelling it gives them up; they come back later."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._work())

    def stop(self) -> None:
        """Stops fetching; `run` ends once the messages in hand are answered."""
        self._stopping.set()

    async def _work(self) -> None:
        subscription: JetStreamContext.PullSubscription | None = None
        failures = 0
        while not self._stopping.is_set():
            await self._wait(self._paused_until - self._clock.monotonic())
            if not self._bus.is_connected:
                # Requests sent now would pile up in the client's buffer and bring more messages than we have hands.
                await self._wait(RECONNECT_POLL_SECONDS)
                continue
            try:
                subscription = subscription or await self._bus.pull(self.spec)
                message = await self._fetch(subscription)
                failures = 0
            except (*_OUTAGES, UnavailableError) as error:
                # The stream or the consumer is gone, or nobody is there. Declare again; whatever was in it is announced again by the ledger.
                failures += 1
                _LOG.warning("consumer.lost", consumer=self.spec.name, problem=type(error).__name__, attempt=failures)
                await self._close(subscription)
                subscription = None
                await self._declare()
                await self._wait(self._policy.held.delay_seconds(failures) / 4)
                continue
            if message is not None:
                await self._settle(message)
        await self._close(subscription)

    async def _fetch(self, subscription: JetStreamContext.PullSubscription) -> Msg | None:
        """Answers the next message, or None when there was none for a while or we are to stop."""
        fetching = asyncio.ensure_future(subscription.fetch(1, timeout=FETCH_SECONDS))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((fetching, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not fetching.done():
                return None  # what was on its way comes back after `ack_wait_seconds`
            return fetching.result()[0]
        except APIError:
            raise
        except asyncio.TimeoutError:  # noqa: UP041 - nats-py's own class derives from this one
            return None
        finally:
            fetching.cancel()
            stopping.cancel()

    async def _settle(self, message: Msg) -> None:
        """Handles one message and gives it exactly one answer: ack, nak or term."""
        headers = message.headers or {}
        attributes = {
            "messaging.system": "nats",
            "messaging.destination.name": self.spec.stream.name,
            "messaging.consumer.group.name": self.spec.name,
            "messaging.message.id": headers.get("Nats-Msg-Id", ""),
        }
        started = self._clock.monotonic()
        with telemetry.tracer().start_as_current_span(
            f"process {self.spec.stream.name}", context=telemetry.extract(headers), kind=SpanKind.CONSUMER, attributes=attributes
        ) as span:
            try:
                async with self._keep_alive(message):
                    await self._handle(message.data)
            except Exception as error:  # noqa: BLE001 - the one place that has to survive any handler
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                answer = await self._refuse(message, error)
            else:
                answer = await self._answer("ack", lambda: message.ack_sync(timeout=ACK_SECONDS))
            labels = {instruments.STREAM: self.spec.stream.name, instruments.ANSWER: answer}
            self._settled.add(1, labels)
            # Inside the span, so that an exemplar leads to it.
            self._duration.record(self._clock.monotonic() - started, labels)

    async def _refuse(self, message: Msg, error: Exception) -> str:
        delivery = message.metadata.num_delivered
        fields = {"consumer": self.spec.name, "subject": message.subject, "delivery": delivery, "error": type(error).__name__}
        if isinstance(error, TransloadError):
            fields["reason"] = error.reason
        else:
            _LOG.exception("message.failed", error, **fields)
        if isinstance(error, _UNWANTED) and delivery >= self._policy.refused_deliveries_max:
            # No alarm: after a rollback, what was announced before is in nobody's way, and what is still wanted is announced again.
            _LOG.warning("message.dropped", **_named(message), **fields)
            return await self._answer("drop", message.term)
        if self._is_hopeless(error, delivery):
            if await self._bury(message, error):
                _LOG.error("message.buried", **_named(message), **fields)
                return await self._answer("term", message.term)
            return await self._answer("nak", lambda: message.nak(delay=self._policy.transient.delay_seconds(delivery)))
        delay_seconds = self._delay_seconds(error, delivery)
        _LOG.info("message.handed_back", delay_seconds=round(delay_seconds, 2), **fields)
        return await self._answer("nak", lambda: message.nak(delay=delay_seconds))

    def _is_hopeless(self, error: Exception, delivery: int) -> bool:
        if isinstance(error, PermanentError):
            return True
        if isinstance(error, InvalidRequestError):
            return delivery >= self._policy.refused_deliveries_max
        return not isinstance(error, TransloadError) and delivery >= self._policy.bug_deliveries_max

    def _delay_seconds(self, error: Exception, delivery: int) -> float:
        """Says when the message shall come back; a rate limit and an outage also keep us from fetching others meanwhile.

        Unless the error names the one `connection` that is at fault: messages for others do not have to wait for it.
        """
        is_for_all = not (isinstance(error, TransloadError) and error.metadata.get("connection"))
        if isinstance(error, RateLimitedError):
            seconds = min(error.retry_after_seconds, self._policy.pause_seconds_max)
            if is_for_all:
                self._pause(seconds)
            return max(seconds, 0.05)
        if isinstance(error, (ClaimHeldError, PausedError)):
            return self._policy.held.delay_seconds(delivery)
        seconds = self._policy.transient.delay_seconds(delivery)
        if isinstance(error, TransientError) and is_for_all:
            self._pause(min(seconds, self._policy.transient.base_seconds))
        return seconds

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    async def _bury(self, message: Msg, error: Exception) -> bool:
        if self._on_buried is None:
            return True
        try:
            await self._on_buried(message.data, error)
        except Exception as failure:  # noqa: BLE001 - the message comes back, so nothing is lost
            _LOG.warning("message.not_buried", consumer=self.spec.name, error=type(failure).__name__)
            return False
        return True

    async def _answer(self, answer: str, send: Callable[[], Awaitable[object]]) -> str:
        try:
            await send()
        except _OUTAGES as error:
            _LOG.warning("message.unanswered", consumer=self.spec.name, answer=answer, error=type(error).__name__)
            return "none"
        return answer

    @asynccontextmanager
    async def _keep_alive(self, message: Msg) -> AsyncIterator[None]:
        """Tells the server that work goes on, well within `ack_wait_seconds`."""

        async def tell() -> None:
            while True:
                await asyncio.sleep(self.spec.ack_wait_seconds / 3)
                await self._answer("in_progress", message.in_progress)

        task = asyncio.create_task(tell())
        try:
            yield
        finally:
            task.cancel()

    async def _declare(self) -> None:
        try:
            await self._bus.declare()
        except UnavailableError as error:
            _LOG.warning("streams.not_declared", problem=error.message)

    async def _close(self, subscription: JetStreamContext.PullSubscription | None) -> None:
        if subscription is not None:
            try:
                await subscription.unsubscribe()
            except _OUTAGES as error:
                _LOG.debug("subscription.not_closed", error=type(error).__name__)

    async def _wait(self, seconds: float) -> None:
        """Waits, but not beyond `stop`."""
        if seconds <= 0:
            return
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((sleeping, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()


def _named(message: Msg) -> dict[str, object]:
    """Enough to find a message at its sender again, and nothing of what is in it."""
    digest = hashlib.sha256(message.data).hexdigest()
    return {"message_id": (message.headers or {}).get("Nats-Msg-Id", ""), "bytes": len(message.data), "sha256": digest}
