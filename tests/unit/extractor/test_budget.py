"""The call budget: planned, counted, respected across minutes, days, refusals and restarts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.common.errors import RateLimitedError
from services.extractor.budget import Budgets, CallBudget, CheckGate, day_of, next_day_time, plan_calls
from services.extractor.connector import CallLimits, Refusal
from services.extractor.connectors.stel_order.connector import StelOrder
from services.extractor.ports import State
from tests.fixtures.stel_order.stand_in import StandIn, failure, rows
from tests.fixtures.stel_order.world import NOON, LeapingClock, MemoryLedger, World

MADRID = ZoneInfo("Europe/Madrid")


@pytest.mark.requirement("L-01", "L-06")
@pytest.mark.parametrize(("plan", "per_day"), [("lite", 300), ("business", 1000), ("pro", 2000)])
async def test_plans_spread_reading_across_days(plan: str, per_day: int) -> None:
    world = World(StandIn({"clients": rows(3)}))
    budget = CallBudget("stel", ledger=world.ledger, clock=world.clock)
    limits = StelOrder.limits({"plan": plan, "calls_per_minute": 0})
    waits: list[tuple[str, datetime]] = []

    async def on_wait(reason: str, message: str, resume_time: datetime) -> None:
        waits.append((reason, resume_time))

    for _ in range(per_day * 2 + 1):
        await budget.take(limits, "x1", on_wait)
    assert world.ledger.used == {("stel", "2026-03-02"): per_day, ("stel", "2026-03-03"): per_day, ("stel", "2026-03-04"): 1}
    assert waits == [("SOURCE_QUOTA_EXHAUSTED", datetime(2026, 3, day, tzinfo=UTC)) for day in (3, 4)]


@pytest.mark.requirement("L-06", "G-03")
async def test_never_more_than_sixty_calls_in_any_minute() -> None:
    clock = LeapingClock()
    budget = CallBudget("stel", ledger=MemoryLedger(), clock=clock)
    limits = StelOrder.limits({"plan": "pro"})
    times: list[float] = []
    for number in range(200):
        await budget.take(limits, "x1", _nobody)
        times.append(clock.monotonic())
        clock.advance(0.01 * (number % 7))
    assert all(later - earlier > 60 for earlier, later in zip(times, times[60:], strict=False))
    assert clock.monotonic() < 4 * 61


@pytest.mark.requirement("L-06")
async def test_extraction_parks_for_the_day_and_goes_on_by_itself() -> None:
    world = World(StandIn({"clients": rows(1203), "contacts": rows(2)}))
    await world.extract(entities=["client", "contact"], options={"calls_per_day": 2})
    assert len(world.ids("client")) == 1203
    assert world.ids("contact") == ["1", "2"]
    assert world.ledger.used == {("stel", "2026-03-02"): 2, ("stel", "2026-03-03"): 2}
    waiting = world.ledger.of("", State.WAITING)
    assert [(one.reason, one.resume_time) for one in waiting] == [("SOURCE_QUOTA_EXHAUSTED", datetime(2026, 3, 3, tzinfo=UTC))]
    assert world.clock.now() >= datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.requirement("L-06")
async def test_restart_remembers_what_the_day_has_used() -> None:
    world = World(StandIn({"clients": rows(3)}))
    world.ledger.used["stel", "2026-03-02"] = 300
    await world.extract(entities=["client"], options={"plan": "lite", "calls_per_day": 300})
    assert world.clock.now() >= datetime(2026, 3, 3, tzinfo=UTC)
    assert world.source.count("clients") == 1


async def test_minute_refusal_waits_61_seconds_and_repeats() -> None:
    world = World(StandIn({"clients": rows(3)}, script=[("clients", failure("E000001"))]))
    await world.extract(entities=["client"])
    assert world.ids("client") == ["1", "2", "3"]
    assert sum(world.clock.naps) == pytest.approx(61.0)
    assert world.ledger.of("", State.WAITING)[0].resume_time == NOON + timedelta(seconds=61)


@pytest.mark.parametrize("status", [400, 403, 429])
async def test_day_refusal_parks_whatever_its_status(status: int) -> None:
    world = World(StandIn({"clients": rows(3)}, script=[("clients", failure("E000002", status))]))
    await world.extract(entities=["client"])
    assert world.ids("client") == ["1", "2", "3"]
    assert world.ledger.of("", State.WAITING)[0].resume_time == datetime(2026, 3, 3, tzinfo=UTC)
    assert world.source.count("clients") == 2


async def test_day_that_turns_later_than_expected_is_probed_once_an_hour() -> None:
    turn = datetime(2026, 3, 3, 2, 30, tzinfo=UTC)
    world = World(StandIn({"clients": rows(3)}))

    def refuse(source: StandIn, url: object) -> None:
        if world.clock.now() < turn:
            source.script.append(("clients", failure("E000002")))

    world.source.on_call = refuse
    await world.extract(entities=["client"])
    assert world.ids("client") == ["1", "2", "3"]
    # Once at noon, at midnight, at one and two o'clock, and at three with success.
    assert world.source.count("clients") == 5
    assert turn <= world.clock.now() <= turn + timedelta(hours=1)


def test_day_boundary_is_a_setting() -> None:
    moment = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
    assert day_of(moment, UTC) == "2026-07-01"
    assert day_of(moment, MADRID) == "2026-07-02"
    assert next_day_time(moment, MADRID) == datetime(2026, 7, 2, 22, 0, tzinfo=UTC)


def test_day_of_the_clock_change_has_its_own_length() -> None:
    assert next_day_time(datetime(2026, 3, 29, 12, 0, tzinfo=UTC), MADRID) == datetime(2026, 3, 29, 22, 0, tzinfo=UTC)
    assert next_day_time(datetime(2026, 3, 28, 12, 0, tzinfo=UTC), MADRID) == datetime(2026, 3, 28, 23, 0, tzinfo=UTC)


@pytest.mark.requirement("L-01")
def test_plan_of_calls() -> None:
    limits = CallLimits("lite", 60, 300, UTC)
    plan = plan_calls(collection_count=31, file_count=603, limits=limits, used_today=100)
    assert plan.call_count == 634
    assert plan.day_count == 3
    assert plan.minute_count == 11
    assert plan_calls(limits=limits).day_count == 0
    uncounted = CallLimits("lite", 60, 300, UTC, counts_files=False)
    assert plan_calls(collection_count=1, file_count=9000, limits=uncounted).day_count == 1


@pytest.mark.requirement("L-01")
async def test_plan_is_told_before_anything_is_read() -> None:
    invoices = [{"id": number, "path": "app/ordinaryInvoices/1", "pdf-path": "https://files.test/x"} for number in range(1, 8)]
    world = World(StandIn({"ordinaryInvoices": invoices}))
    await world.extract(entities=["ordinary_invoice", "document_pdf"], options={"plan": "lite", "calls_per_day": 300})
    assert world.ledger.reports[0].message == "at least 1 calls on 1 day(s); plan lite: any number calls a minute, 300 a day"
    assert world.ledger.of("document_pdf")[0].message.startswith("at least 7 calls on 1 day(s)")


async def test_check_never_waits() -> None:
    clock = LeapingClock()
    budgets = Budgets(ledger=MemoryLedger(), clock=clock)
    limits = CallLimits("lite", 1, 1, UTC)
    gate = CheckGate(budgets.of("stel"), limits=limits, connection="stel", clock=clock)
    await gate.enter()
    with pytest.raises(RateLimitedError) as minute:
        await gate.enter()
    assert minute.value.retry_after_seconds == pytest.approx(60.5)
    clock.advance(61)
    with pytest.raises(RateLimitedError) as day:
        await gate.enter()
    assert day.value.metadata["resume_time"] == "2026-03-03T00:00:00+00:00"
    with pytest.raises(RateLimitedError):
        await gate.refused(Refusal.DAY)
    assert budgets.of("stel") is budgets.of("stel")


async def _nobody(reason: str, message: str, resume_time: datetime) -> None:
    raise AssertionError((reason, message, resume_time))
