"""Queued messages reach their stream at least once, in order, and one stuck stream holds up no other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from services.common.backoff import Backoff
from services.common.errors import PermanentError, UnavailableError
from services.ledger.domain import EventDraft, Migration, OutboxMessage
from services.ledger.outbox import OutboxRelay
from services.ledger.sql.ledger import SqlLedger
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Stream:
    """A publisher that fails as the test says."""

    def __init__(self) -> None:
        self.published: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.carried = asyncio.Event()
        self.refusals = 0
        self.refused = asyncio.Event()

    async def publish(self, subject: str, payload: bytes, *, msg_id: str) -> None:
        await asyncio.sleep(0)
        error = self.failures.get(subject.partition(".")[0])
        if error is not None:
            self.refusals += 1
            if self.refusals == 3:
                self.refused.set()
            raise error
        assert payload == msg_id.encode()
        self.published.append(msg_id)
        self.carried.set()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    clock = FakeClock()
    async with SqlLedger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=clock) as opened:
        async with opened.transaction() as tx:
            await tx.save_migration(Migration("acme", "Acme", "stel_order", "a", "b", clock.now()))
        yield opened


async def queue(ledger: SqlLedger, *ids: str) -> None:
    async with ledger.transaction() as tx:
        await tx.append_event("acme", EventDraft("test.queued", "tester"))
        await tx.add_outbox([OutboxMessage(f"{name.partition('-')[0]}.acme.x", name, name.encode(), "acme") for name in ids])


async def waiting(ledger: SqlLedger) -> list[str]:
    async with ledger.read() as reader:
        return [message.message_id for message in await reader.list_outbox()]


def relay(ledger: SqlLedger, stream: Stream, clock: FakeClock | None = None) -> OutboxRelay:
    return OutboxRelay(ledger=ledger, publisher=stream, clock=clock or FakeClock(), backoff=Backoff(0.2, 5.0))


async def test_messages_are_carried_in_order_and_then_gone(ledger: SqlLedger) -> None:
    stream = Stream()
    names = [f"raw-{number:03}" for number in range(40)]
    await queue(ledger, *names)
    assert await relay(ledger, stream).carry() == (40, 40)
    assert stream.published == names
    assert await waiting(ledger) == []


async def test_a_full_stream_holds_up_no_other(ledger: SqlLedger) -> None:
    stream = Stream()
    stream.failures["raw"] = UnavailableError("full")
    await queue(ledger, *(f"raw-{number}" for number in range(30)), "mapped-1")
    assert await relay(ledger, stream).carry() == (31, 1)
    assert stream.published == ["mapped-1"]
    stream.failures.clear()
    assert await relay(ledger, stream).carry() == (30, 30)


async def test_a_message_nobody_will_ever_take_does_not_stay(ledger: SqlLedger) -> None:
    stream = Stream()
    stream.failures["raw"] = PermanentError("larger than the server takes")
    await queue(ledger, "raw-1", "mapped-1")
    assert await relay(ledger, stream).carry() == (2, 2)
    assert await waiting(ledger) == []


async def test_it_wakes_after_a_commit_and_waits_out_an_outage(ledger: SqlLedger) -> None:
    stream, clock = Stream(), FakeClock(is_automatic=True)
    stream.failures["raw"] = UnavailableError("away")
    task = asyncio.create_task(relay(ledger, stream, clock).run())
    await queue(ledger, "raw-1")
    await asyncio.wait_for(stream.refused.wait(), 10)
    stream.failures.clear()
    await asyncio.wait_for(stream.carried.wait(), 10)
    stream.carried.clear()
    await queue(ledger, "raw-2")
    await asyncio.wait_for(stream.carried.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stream.published == ["raw-1", "raw-2"]
    assert 0 < clock.slept_seconds[0] <= 0.2
