"""Hands of a loader: a slow or stopped company leaves some for the others."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from services.loader.attempts import Attempts
from services.loader.hands import BusyTargetError, Hands
from services.loader.worker import LoadWorker
from tests.fakes.clock import FakeClock
from tests.unit.loader.world import World, batch_of
from transload.v1 import ledger_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.loader.work import Batch
    from transload.v1.records_pb2 import MappedBatch


async def hold(hands: Hands, company: str, until: asyncio.Event) -> None:
    async with hands.of(company):
        await until.wait()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.requirement("L-10")
async def test_a_company_that_stands_still_has_its_own_hands_and_no_more() -> None:
    hands, released = Hands(each_max=2, clock=FakeClock()), asyncio.Event()
    holders = [asyncio.create_task(hold(hands, "slow", released)) for _ in range(2)]
    await settled()
    with pytest.raises(BusyTargetError):
        async with hands.of("slow"):
            pass
    async with hands.of("other"):
        pass
    released.set()
    await asyncio.gather(*holders)
    async with hands.of("slow"):
        pass


async def test_a_company_at_work_is_waited_for() -> None:
    hands, first, second = Hands(each_max=1, clock=FakeClock()), asyncio.Event(), asyncio.Event()
    first.set()
    await hold(hands, "crm", first)
    holder = asyncio.create_task(hold(hands, "crm", second))
    await settled()
    waiting = asyncio.create_task(hold(hands, "crm", first))
    await settled()
    assert not waiting.done()
    second.set()
    await asyncio.gather(holder, waiting)


class TwoCompanies:
    """A ledger that knows which migration goes where, and loading rules that hang for one company."""

    def __init__(self) -> None:
        self.hanging = asyncio.Event()
        self.loaded: list[str] = []

    async def begin(self, batch: MappedBatch) -> pb.BeginBatchResponse:
        return pb.BeginBatchResponse(connection=batch.migration_id, run_kind="load")

    async def settle(self, *_: Any, **__: Any) -> bool:
        return True

    async def report_target(self, *_: Any, **__: Any) -> None:
        pass

    @contextlib.contextmanager
    def unsettled(self, batch: Batch) -> Iterator[None]:
        yield

    async def follow_references(self, _batch: Batch) -> dict[str, str]:
        return {}

    async def apply(self, batch: Batch) -> None:
        if batch.migration_id == "slow":
            await self.hanging.wait()
        self.loaded.append(batch.migration_id)


@pytest.mark.requirement("L-10")
async def test_batches_for_a_slow_company_do_not_hold_up_those_for_another() -> None:
    world, both = World(), TwoCompanies()
    for name in ("SLOW", "CRM"):
        world.environ |= {f"TRANSLOAD_CONNECTION_{name}_URL": "http://pipedrive.test", f"TRANSLOAD_CONNECTION_{name}_KEY": "token"}
    parts: Any = both
    worker = LoadWorker(ledger=parts, targets=world.targets, upsert=parts, clock=world.clock, hands=Hands(each_max=4, clock=world.clock))

    def batch(migration_id: str, number: int) -> bytes:
        made = batch_of("organization", {})
        made.batch_id, made.migration_id = f"{migration_id}/{number}", migration_id
        return made.SerializeToString()

    slow = [asyncio.create_task(worker.handle(batch("slow", number))) for number in range(4)]
    await settled()
    for number in range(4, 8):
        with pytest.raises(BusyTargetError):
            await worker.handle(batch("slow", number))
    for number in range(3):
        await worker.handle(batch("crm", number))
    assert both.loaded == ["crm"] * 3
    both.hanging.set()
    await asyncio.gather(*slow)


async def test_calls_to_one_company_leave_those_to_another_their_place() -> None:
    attempts, hanging = Attempts(in_flight_max=1), asyncio.Event()

    class Client:
        """A company."""

    def group(client: Client, act: Any) -> Any:
        batch: Any = type("Batch", (), {"client": client, "stop": None})()
        return attempts.group(batch, [], act)

    done: list[str] = []

    async def hang() -> None:
        await hanging.wait()

    async def note() -> None:
        done.append("done")

    slow, other = Client(), Client()
    first = asyncio.create_task(group(slow, hang))
    second = asyncio.create_task(group(slow, note))
    await settled()
    await group(other, note)
    assert (done, second.done()) == (["done"], False)
    hanging.set()
    await asyncio.gather(first, second)
