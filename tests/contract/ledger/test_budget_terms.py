"""Terms of budgets: one arbiter at a time, on every database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from services.common.errors import InvalidRequestError
from services.ledger.budgets import Held, Hold, hold_budget
from tests.contract.ledger.world import CONTEXT
from transload.v1 import ledger_service_pb2 as pb
from transload.v1.ledger_service_pb2 import KeptBudget

if TYPE_CHECKING:
    from tests.contract.ledger.world import World

TERM = timedelta(seconds=15)
NOTE = KeptBudget(daily_token_limit=30_000, floor_token_count=12_345).SerializeToString()


async def hold(world: World, holder: str, kept: bytes | None = None) -> Held:
    return await world.ledger.transact(lambda tx: hold_budget(tx, Hold("crm", holder, TERM, kept), world.clock.now()))


@pytest.mark.requirement("G-03")
async def test_another_arbiter_gets_the_budget_only_after_the_term_and_then_knows_what_was_left(world: World) -> None:
    assert (await hold(world, "a/1")).before is None
    assert (await hold(world, "a/1", NOTE)).is_granted
    world.clock.advance(14.9)
    assert not (await hold(world, "b/1")).is_granted
    world.clock.advance(0.2)
    held = await hold(world, "b/1")
    assert held.is_granted
    assert held.term.term_number == 2
    assert KeptBudget.FromString(held.term.kept).floor_token_count == 12_345
    assert KeptBudget.FromString(held.term.kept).is_shared, "leases of another replica may outlive it"
    assert held.before is not None
    assert held.before.replica == "a"


async def test_a_replica_started_again_takes_its_own_term_over_at_once(world: World) -> None:
    await hold(world, "a/1")
    await hold(world, "a/1", NOTE)
    held = await hold(world, "a/2")
    assert held.is_granted
    assert not KeptBudget.FromString(held.term.kept).is_shared


async def test_renewing_keeps_others_out_and_notes(world: World) -> None:
    await hold(world, "a/1")
    for _ in range(5):
        world.clock.advance(10)
        assert (await hold(world, "a/1", NOTE)).is_granted
        assert not (await hold(world, "b/1")).is_granted


async def test_who_lost_the_budget_can_note_nothing(world: World) -> None:
    await hold(world, "a/1")
    await hold(world, "a/1", NOTE)
    world.clock.advance(16)
    await hold(world, "b/1")
    assert not (await hold(world, "a/1", NOTE)).is_granted
    world.clock.advance(16)
    assert not (await hold(world, "a/1", NOTE)).is_granted, "it must begin anew and learn what happened since"
    assert (await hold(world, "a/1")).is_granted


async def test_a_term_nobody_took_over_goes_on_after_an_outage(world: World) -> None:
    await hold(world, "a/1")
    world.clock.advance(100)
    assert (await hold(world, "a/1", NOTE)).term.term_number == 1


@pytest.mark.requirement("G-03")
async def test_a_term_outlasts_a_restart_of_the_ledger_whose_clock_was_set(world: World) -> None:
    await world.servicer.HoldBudget(request("a/1"), CONTEXT)
    await world.servicer.HoldBudget(request("a/1", kept=KeptBudget.FromString(NOTE)), CONTEXT)
    world.clock.jump(600)
    world.restart()
    refused = await world.servicer.HoldBudget(request("b/1"), CONTEXT)
    assert not refused.is_granted, "the arbiter before may still be granting"
    world.clock.advance(refused.retry_delay.ToTimedelta().total_seconds())
    held = await world.servicer.HoldBudget(request("b/1"), CONTEXT)
    assert held.is_granted
    assert held.idle_duration.ToTimedelta() < timedelta(seconds=1), "only what surely has passed counts"


def request(holder: str, *, seconds: float = 15.0, kept: KeptBudget | None = None) -> pb.HoldBudgetRequest:
    asked = pb.HoldBudgetRequest(connection="crm", holder=holder, kept=kept)
    asked.term.FromTimedelta(timedelta(seconds=seconds))
    return asked


async def test_an_arbiter_is_told_what_was_left_and_how_long_ago(world: World) -> None:
    left = KeptBudget(daily_token_limit=30_000, floor_token_count=12_345)
    first = await world.servicer.HoldBudget(request("a/1"), CONTEXT)
    assert (first.is_granted, first.term_number, first.HasField("kept")) == (True, 1, False)
    await world.servicer.HoldBudget(request("a/1", kept=left), CONTEXT)
    world.clock.advance(5)
    refused = await world.servicer.HoldBudget(request("b/1"), CONTEXT)
    assert (refused.is_granted, refused.retry_delay.ToTimedelta()) == (False, timedelta(seconds=10))
    world.clock.advance(13)
    second = await world.servicer.HoldBudget(request("b/1"), CONTEXT)
    assert (second.is_granted, second.term_number, second.is_same_replica) == (True, 2, False)
    assert second.idle_duration.ToTimedelta() == timedelta(seconds=3)
    assert second.kept.floor_token_count == 12_345


@pytest.mark.parametrize("asked", [request("", seconds=15), request("a/1", seconds=0.5), request("a/1", seconds=601)])
async def test_a_term_without_holder_or_of_odd_length_is_refused(world: World, asked: pb.HoldBudgetRequest) -> None:
    with pytest.raises(InvalidRequestError):
        await world.servicer.HoldBudget(asked, CONTEXT)
