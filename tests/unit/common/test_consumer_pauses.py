"""What keeps the consumer from fetching: troubles of all, not those of one company."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from services.common.consumer import Consumer
from services.common.errors import RateLimitedError, TransientError, TransloadError
from services.common.streams import LOADER, MAPPED
from tests.fakes.clock import FakeClock


@dataclass
class Message:
    """A message as nats-py hands it out, and the answers it got."""

    data: bytes
    answers: list[tuple[str, float | None]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    subject: str = "mapped.m.deals"
    metadata: Any = field(default_factory=lambda: SimpleNamespace(num_delivered=1))

    async def ack_sync(self, timeout: float) -> None:  # noqa: ASYNC109 - nats-py's own signature
        del timeout
        self.answers.append(("ack", None))

    async def nak(self, delay: float) -> None:
        self.answers.append(("nak", delay))


class Queue:
    """A bus with messages; asked for more when it is empty, it stops the consumer."""

    is_connected = True

    def __init__(self, *payloads: bytes) -> None:
        self.waiting = [Message(payload) for payload in payloads]
        self.given: list[tuple[float, Message]] = []
        self.clock = FakeClock(is_automatic=True)
        self.consumer: Consumer | None = None

    async def pull(self, spec: Any) -> Queue:
        del spec
        return self

    async def fetch(self, count: int, timeout: float) -> list[Message]:  # noqa: ASYNC109 - nats-py's own signature
        del count, timeout
        if not self.waiting:
            assert self.consumer is not None
            self.consumer.stop()
            raise TimeoutError
        message = self.waiting.pop(0)
        self.given.append((self.clock.monotonic(), message))
        return [message]

    async def unsubscribe(self) -> None:
        """Nothing to end."""


@pytest.mark.requirement("L-10")
@pytest.mark.parametrize(
    ("error", "least", "most", "delay"),
    [
        (RateLimitedError("used up", retry_after_seconds=10.0, metadata={"connection": "crm"}), 0.0, 0.0, 10.0),
        (RateLimitedError("used up", retry_after_seconds=10.0), 10.0, 10.0, 10.0),
        (TransientError("away", reason="TARGET_UNREACHABLE", metadata={"connection": "crm"}), 0.0, 0.0, None),
        (TransientError("away"), 0.25, 0.5, None),
    ],
)
async def test_one_exhausted_company_does_not_hold_up_the_batches_of_others(
    error: TransloadError, least: float, most: float, delay: float | None
) -> None:
    queue = Queue(b"exhausted", b"other")

    async def handle(payload: bytes) -> None:
        if payload == b"exhausted":
            raise error

    bus: Any = queue
    queue.consumer = Consumer(bus, LOADER, handle, concurrency=1, clock=queue.clock)
    await queue.consumer.run()
    (first_time, first), (second_time, second) = queue.given
    assert second.answers == [("ack", None)]
    assert least <= second_time - first_time <= most
    assert first.answers[0][0] == "nak"
    assert delay is None or first.answers[0][1] == pytest.approx(delay)


def test_all_batches_of_the_stream_may_wait_for_their_companies_at_once() -> None:
    assert LOADER.unanswered_max > MAPPED.messages_max
