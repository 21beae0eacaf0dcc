"""Carries queued messages to NATS: published, stored by the server, then removed. A message may go twice, never zero times."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from services.common import telemetry
from services.common.backoff import Backoff
from services.common.clock import Clock
from services.common.errors import PermanentError, TransloadError
from services.ledger.domain import OutboxMessage
from services.ledger.repository import Ledger

_LOG = telemetry.get_logger(__name__)

MESSAGES_MAX: Final = 512
"""Messages looked at in one round."""
CONCURRENCY: Final = 16
"""Messages on their way at the same time."""


class Publisher(Protocol):
    """Where messages go."""

    async def publish(self, subject: str, payload: bytes, *, msg_id: str) -> None:
        """Publish one message and wait until the server has stored it."""
        ...


class OutboxRelay:
    """Empties the outbox after every commit that may have filled it."""

    def __init__(self, *, ledger: Ledger, publisher: Publisher, clock: Clock, backoff: Backoff | None = None) -> None:
        self._ledger = ledger
        self._publisher = publisher
        self._clock = clock
        self._backoff = backoff or Backoff(0.2, 5.0)
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Carry messages until cancelled."""
        unsubscribe = self._ledger.subscribe(lambda _: self._wake.set(), outbox_only=True)
        failures = 0
        try:
            while True:
                self._wake.clear()
                try:
                    found, carried = await self.carry()
                except TransloadError as error:
                    _LOG.warning("outbox.failed", reason=error.reason, message=error.message)
                    found, carried = 1, 0
                failures = 0 if carried or not found else failures + 1
                if failures:
                    await self._clock.sleep(self._backoff.delay_seconds(failures))
                elif not found:
                    await self._wake.wait()
        finally:
            unsubscribe()

    async def carry(self) -> tuple[int, int]:
        """Carry one round; answers how many messages waited and how many were carried.

        A stream that takes nothing (it is full, or away) does not hold up the messages of other streams.
        """
        waiting = await self._ledger.look(lambda reader: reader.list_outbox(limit=MESSAGES_MAX))
        carried: list[int] = []
        stuck: set[str] = set()
        for start in range(0, len(waiting), CONCURRENCY):
            part = [message for message in waiting[start : start + CONCURRENCY] if _stream(message) not in stuck]
            results = await asyncio.gather(*(self._publish(message) for message in part))
            carried.extend(message.order for message, is_carried in zip(part, results, strict=True) if is_carried)
            stuck.update(_stream(message) for message, is_carried in zip(part, results, strict=True) if not is_carried)
        await self._remove(carried)
        return len(waiting), len(carried)

    async def _publish(self, message: OutboxMessage) -> bool:
        link = telemetry.link_from(message.trace_parent)
        with telemetry.tracer().start_as_current_span("outbox.carry", links=[link] if link else None):
            try:
                await self._publisher.publish(message.subject, message.payload, msg_id=message.message_id)
            except PermanentError as error:
                # Nobody will ever take it; left in the outbox it would hold up everything behind it. The work it stands for stays open in the ledger.
                _LOG.error("outbox.refused", migration_id=message.migration_id, message_id=message.message_id, reason=error.reason)
                return True
            except TransloadError as error:
                _LOG.warning("outbox.postponed", migration_id=message.migration_id, message_id=message.message_id, reason=error.reason)
                return False
        return True

    async def _remove(self, orders: Sequence[int]) -> None:
        if orders:
            await self._ledger.transact(lambda tx: tx.remove_outbox(orders))


def _stream(message: OutboxMessage) -> str:
    return message.subject.partition(".")[0]
