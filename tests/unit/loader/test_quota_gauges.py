"""Tokens that may be spent now, as scaling sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.common import telemetry
from services.loader.quota import gauges
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.gauges import SECONDS, budget_points, show_budgets
from services.loader.quota.leases import Headers, Lease
from services.loader.quota.settings import QuotaSettings
from tests.fakes.clock import FakeClock

SHARES = QuotaSettings(rollback_share=0.1, others_share=0.0, restart_wait_seconds=0.0)


def test_an_arbiter_without_a_term_offers_nothing_and_with_one_what_is_left_of_the_day(clock: FakeClock) -> None:
    standby = Arbiter(settings=SHARES, clock=clock, has_terms=True).budget("crm")
    assert standby.available_tokens() == 0
    budget = Arbiter(settings=SHARES, clock=clock).budget("crm")
    assert budget.available_tokens() == 27_000  # 30,000 assumed, a tenth of it for a rollback
    lease = budget.acquire(requests=2, tokens=100)
    assert isinstance(lease, Lease)
    assert budget.available_tokens() == 26_900
    budget.release(lease.lease_id, requests_sent=2, tokens_spent=80, headers=Headers(status=200, daily_limit=60_000, daily_remaining=5_000))
    assert budget.available_tokens() == 0  # 5,000 are left, 6,000 kept


def _shown(arbiter: Arbiter) -> dict[str, dict[tuple[str, ...], float]]:
    points = budget_points(dict(arbiter.budgets))
    return {name: {tuple(attributes.values()): value for attributes, value in found} for name, found in points.items()}


def test_a_budget_that_is_granted_from_shows_all_it_knows(clock: FakeClock) -> None:
    arbiter = Arbiter(settings=SHARES, clock=clock)
    budget = arbiter.budget("crm")
    lease = budget.acquire(requests=2, tokens=100)
    assert isinstance(lease, Lease)
    assert _shown(arbiter)["transload.pipedrive.tokens.reserved"] == {("crm", "rollback"): 3_000, ("crm", "others"): 0, ("crm", "leased"): 100}
    budget.release(lease.lease_id, requests_sent=2, tokens_spent=80, headers=Headers(status=200, daily_limit=60_000, daily_remaining=50_000))
    shown = _shown(arbiter)
    assert shown["transload.pipedrive.tokens.available"] == {("crm",): 44_000}
    assert shown["transload.pipedrive.tokens.left"] == {("crm",): 50_000}
    assert shown["transload.pipedrive.tokens.limit"] == {("crm",): 60_000}
    assert shown["transload.pipedrive.tokens.used"] == {("crm",): 80}
    assert shown["transload.pipedrive.window.used"] == {("crm",): 2}


def test_one_that_another_arbiter_grants_from_shows_that_nothing_is_available_here(clock: FakeClock) -> None:
    arbiter = Arbiter(settings=SHARES, clock=clock, has_terms=True)
    arbiter.budget("crm").lose_term()
    shown = _shown(arbiter)
    assert shown["transload.pipedrive.tokens.available"] == {("crm",): 0}
    assert not any(points for name, points in shown.items() if name != "transload.pipedrive.tokens.available")


async def test_the_gauges_follow_the_budgets_every_few_seconds(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: dict[str, Any] = {}

    class Meter:
        def create_observable_gauge(self, name: str, *, callbacks: list[Any], **_: Any) -> None:
            reads[name] = callbacks[0]

    monkeypatch.setattr(telemetry, "meter", Meter)
    gauges._board.cache_clear()
    arbiter = Arbiter(settings=SHARES, clock=clock)
    task = asyncio.create_task(show_budgets(arbiter, clock))
    await asyncio.sleep(0)
    assert reads["transload.pipedrive.tokens.available"](None) == ()
    arbiter.budget("crm")
    arbiter.budget("other")
    clock.advance(SECONDS)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    gauges._board.cache_clear()
    assert [point.value for point in reads["transload.pipedrive.tokens.available"](None)] == [27_000, 27_000]
