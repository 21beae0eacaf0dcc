"""Tokens that may be spent now, as scaling sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.common import telemetry
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.gauges import SECONDS, show_tokens
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


async def test_the_gauge_sums_all_budgets_every_few_seconds(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[float] = []

    class Meter:
        def create_gauge(self, name: str, **_: Any) -> Any:
            assert name == "transload.quota.tokens.available"
            return type("Gauge", (), {"set": staticmethod(shown.append)})

    monkeypatch.setattr(telemetry, "meter", Meter)
    arbiter = Arbiter(settings=SHARES, clock=clock)
    task = asyncio.create_task(show_tokens(arbiter, clock))
    await asyncio.sleep(0)
    arbiter.budget("crm")
    arbiter.budget("other")
    clock.advance(SECONDS)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    assert shown == [0, 54_000]
