"""One arbiter follows another, at any instant and in any way: never more than the window, never more than the budget.

The judge is an account that knows Pipedrive's rules and nothing else (`bench/quota_days.py`). It must also find what goes wrong when a rule is left
out: a judge that finds nothing would prove nothing.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.quota_days import Account, Days, Ways, budget_day, two_companies, window_hour
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.budget import Budget
from services.loader.quota.leases import Lease, Refusal
from services.loader.quota.settings import QuotaSettings
from services.loader.quota.tokens import Kept
from tests.fakes.clock import FakeClock

LONGEST_WAY = 4.0
LEASE_SECONDS = 4.0
SECONDS = 120.0


def troubled(seed: int, *, replicas: int, daily: int, has_headers: bool, **changes: float) -> Days:
    """Two minutes with crashes, cut-off arbiters, late calls and lost answers; another app spends within its share."""
    dice = random.Random(seed)
    limit = dice.choice((3, 20))
    # What is assumed until a header tells is never more than what there is, as the smallest plan never is.
    known = {"daily_tokens": daily, "window_limit": limit}
    rules = QuotaSettings(**{**known, "lease_seconds": LEASE_SECONDS, "call_seconds": 8.0, "term_seconds": 5.0, **changes})  # type: ignore[arg-type]
    ways = Ways(
        rpc=(0.0, dice.choice((0.01, 0.5))),
        there=(0.0, LONGEST_WAY),
        back=(0.0, dice.choice((0.05, 4.0))),
        hold=(0.0, dice.choice((0.0, LEASE_SECONDS * 0.98, LEASE_SECONDS * 1.2))),
        is_extreme=dice.random() < 0.7,
    )
    world = Days(
        account=Account(limit=limit, daily=daily, has_headers=has_headers),
        settings=rules,
        replicas=replicas,
        seed=seed,
        ways=ways,
        others_per_hour=daily * 0.02 if has_headers else 0.0,
        lost=dice.choice((0.0, 0.2)),
    )

    def trouble() -> None:
        before = world.newest
        assert before is not None
        name = dice.choice((before.name, before.name, f"loader-{dice.randrange(replicas)}", "standby"))
        if dice.random() < 0.3 and name != before.name:
            # Cut off from the ledger but not from its loaders: it may grant until its term ends.
            before.terms.is_cut = True
            world.at(dice.uniform(0, 20), lambda: world.kill(before))
        else:
            world.kill(before)
        world.at(dice.choice((0.0, 0.2, dice.uniform(0, 8))), lambda: world.start_arbiter(name))
        world.at(dice.uniform(8.1, 40), trouble)

    world.at(dice.uniform(0.1, 20), trouble)
    world.run(SECONDS)
    return world


@pytest.mark.requirement("G-03")
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), replicas=st.sampled_from((1, 2, 4, 8)), daily=st.sampled_from((600, 3_000, 100_000)), has_headers=st.booleans())
def test_whoever_follows_whom_no_window_and_no_budget_is_overrun(seed: int, replicas: int, daily: int, has_headers: bool) -> None:
    world = troubled(seed, replicas=replicas, daily=daily, has_headers=has_headers)
    assert world.account.fullest <= world.account.limit
    assert world.account.refused_by_window == 0
    assert world.account.refused_by_budget == 0
    assert world.takeovers > 1


def found(replicas: int = 4, **changes: float) -> int:
    worlds = (troubled(seed, replicas=replicas, daily=100_000, has_headers=seed % 4 == 0, **changes) for seed in range(100))
    return next((seed for seed, world in enumerate(worlds) if world.account.refused_by_window), -1) + 1


def test_the_judge_finds_an_arbiter_that_does_not_wait_for_the_calls_of_the_one_before() -> None:
    assert found(1, restart_wait_seconds=0.0) > 0


@pytest.mark.parametrize(("is_shared", "is_same_replica"), [(False, True), (True, True), (False, False), (True, False)])
def test_the_last_call_of_the_arbiter_before_is_waited_for_and_no_longer(is_shared: bool, is_same_replica: bool) -> None:
    """It was granted in the last instant, sent at the very end of its lease by a loader that lives on, and took the longest way."""
    clock, rules = FakeClock(), QuotaSettings(lease_seconds=LEASE_SECONDS, window_limit=3)
    budget = Arbiter(settings=rules, clock=clock, has_terms=True).budget("crm")
    left = Kept(limit=30_000, is_limit_known=False, floor=20_000, next_reset=clock.now() + timedelta(hours=5), is_shared=is_shared)
    budget.begin_term(left, idle_seconds=0.0, is_same_replica=is_same_replica)
    assert isinstance(budget.acquire(requests=1, tokens=5), Refusal)
    budget.renew_term(budget.kept(), until=clock.monotonic() + 600)
    while isinstance(budget.acquire(requests=1, tokens=5), Refusal):
        clock.advance(0.01)
    sent = LEASE_SECONDS if is_shared or not is_same_replica else 0.0
    assert sent + LONGEST_WAY + 2.0 <= clock.monotonic() <= sent + LONGEST_WAY + 2.1


def test_a_term_that_ended_long_ago_is_not_waited_for() -> None:
    clock = FakeClock()
    budget = Arbiter(settings=QuotaSettings(), clock=clock, has_terms=True).budget("crm")
    left = Kept(limit=30_000, is_limit_known=False, floor=20_000, next_reset=clock.now() + timedelta(hours=5))
    budget.begin_term(left, idle_seconds=16.0, is_same_replica=False)
    budget.renew_term(budget.kept(), until=600.0)
    assert isinstance(budget.acquire(requests=1, tokens=5), Lease)


def test_shadow_mode_lets_all_pass_and_counts_what_it_would_have_held_up() -> None:
    clock = FakeClock()
    rules = QuotaSettings(window_limit=3, is_shadow=True, daily_tokens=100, restart_wait_seconds=0.0, rollback_share=0.0, others_share=0.0)
    budget = Arbiter(settings=rules, clock=clock).budget("crm")
    for _ in range(10):
        answer = budget.acquire(requests=4, tokens=20)
        assert isinstance(answer, Lease)
        assert answer.request_count == 4
    state = budget.state()
    assert state.is_shadow
    assert state.shadow_held_calls == {"WINDOW": 40 - 3}
    assert isinstance(Arbiter(settings=replace(rules, is_shadow=False), clock=clock).budget("crm").acquire(requests=1, tokens=5), Lease)


def test_the_judge_finds_two_arbiters_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "_term_until", property(lambda self: float("inf"), lambda self, value: None), raising=False)
    assert found() > 0


def test_the_judge_finds_a_lost_lease_that_is_forgotten_too_soon() -> None:
    assert found(call_seconds=0.01) > 0


def test_the_judge_finds_an_arbiter_that_begins_with_the_whole_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.loader.quota.tokens.DailyTokens.restore", lambda self, kept: None)
    monkeypatch.setattr("services.loader.quota.tokens.DailyTokens._block", 1_000_000)
    rules = {"rollback_share": 0.0, "others_share": 0.0}
    worlds = [troubled(seed, replicas=2, daily=600, has_headers=False, **rules) for seed in range(40)]
    assert sum(world.account.refused_by_budget > 0 for world in worlds) > 0


@pytest.mark.requirement("G-03")
@pytest.mark.parametrize("replicas", [1, 4, 8])
def test_nearly_all_slots_are_used_when_the_window_binds(replicas: int) -> None:
    world, share = window_hour(replicas, seconds=120.0)
    assert share >= 0.95
    assert world.account.refused_by_window == 0


@pytest.mark.requirement("G-03", "L-15")
@pytest.mark.parametrize("replicas", [1, 4, 8])
def test_nearly_all_allowed_tokens_go_to_useful_calls_when_the_budget_binds(replicas: int) -> None:
    world, share = budget_day(replicas, days=1)
    assert share >= 0.98
    assert world.account.refused_by_window == world.account.refused_by_budget == 0
    assert world.account.remaining >= 30_000 * world.settings.rollback_share * 0.5


@pytest.mark.requirement("G-03")
@pytest.mark.parametrize("replicas", [1, 4])
def test_a_company_whose_tokens_are_used_up_takes_no_slots_of_another(replicas: int) -> None:
    tokens, slots, refused = two_companies(replicas, seconds=240.0)
    assert tokens >= 0.98
    assert slots >= 0.95
    assert refused == 0


def test_what_other_apps_spend_is_learned_from_the_headers() -> None:
    settings = QuotaSettings(others_share=0.0)
    world = Days(account=Account(limit=20, daily=1_000_000), settings=settings, replicas=2, seed=3, others_per_hour=1_800.0)
    world.run(1_800.0)
    assert world.newest is not None
    state = world.newest.arbiter.budget("crm").state()
    assert state.others_per_hour == pytest.approx(1_800, rel=0.3)
    assert state.others_reserve >= state.others_per_hour * 20
    assert state.rollback_reserve == 50_000
