"""The arbiter: windows, tokens, breaker, priorities."""

from __future__ import annotations

import random

import pytest

from services.common.errors import RateLimitedError
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.budget import Budget
from services.loader.quota.leases import Headers, Lease, Priority, Refusal
from services.loader.quota.settings import QuotaSettings
from tests.fakes.clock import FakeClock


def budget(clock: FakeClock, **settings: float | str) -> Budget:
    return Arbiter(settings=QuotaSettings(**{"restart_wait_seconds": 0.0, **settings}), clock=clock).budget("crm")  # type: ignore[arg-type]


def take(target: Budget, requests: int = 1, tokens: int = 5, **more: object) -> Lease:
    answer = target.acquire(requests=requests, tokens=tokens, **more)  # type: ignore[arg-type]
    assert isinstance(answer, Lease)
    return answer


def give_back(target: Budget, lease: Lease, **headers: object) -> None:
    target.release(lease.lease_id, requests_sent=lease.request_count, tokens_spent=lease.token_count, headers=Headers(status=200, **headers))  # type: ignore[arg-type]


@pytest.mark.requirement("G-03")
def test_limits_are_those_of_the_smallest_plan_until_a_header_tells(clock: FakeClock) -> None:
    target = budget(clock)
    assert target.state().window_limit == 20
    assert take(target, requests=100).request_count == 20
    lease = take(budget(clock))
    other = budget(clock)
    give_back(other, take(other), window_limit=120, daily_limit=210_000, daily_remaining=209_000)
    assert other.state().window_limit == 120
    assert (other.state().daily_limit, other.state().daily_remaining) == (210_000, 209_000)
    assert lease.request_count == 1


def test_a_slot_is_free_two_seconds_after_the_answer(clock: FakeClock) -> None:
    target = budget(clock, window_limit=1)
    lease = take(target)
    clock.advance(30)
    assert isinstance(target.acquire(requests=1, tokens=5), Refusal)
    give_back(target, lease)
    clock.advance(2.0)
    assert isinstance(target.acquire(requests=1, tokens=5), Refusal)
    clock.advance(0.001)
    take(target)


def test_requests_not_sent_leave_no_trace(clock: FakeClock) -> None:
    target = budget(clock, window_limit=3)
    lease = take(target, requests=3, tokens=15)
    target.release(lease.lease_id, requests_sent=0, tokens_spent=0, headers=None)
    assert target.state().window_used == 0
    assert target.state().spent == 0
    assert target.state().daily_remaining == 30_000


def test_a_new_arbiter_waits_for_the_calls_of_the_one_before(clock: FakeClock) -> None:
    target = budget(clock, restart_wait_seconds=2.0)
    assert isinstance(target.acquire(requests=1, tokens=5), Refusal)
    clock.advance(2.0)
    take(target)


def test_a_lease_whose_holder_never_came_back_counts_as_used(clock: FakeClock) -> None:
    target = budget(clock, window_limit=2, lease_seconds=10.0, call_seconds=60.0)
    take(target, requests=2, tokens=10)
    clock.advance(70.5)
    assert isinstance(target.acquire(requests=1, tokens=5), Refusal)
    clock.advance(2.0)
    take(target)
    assert target.state().spent == 10


def test_releasing_twice_or_a_lease_of_another_arbiter_changes_nothing(clock: FakeClock) -> None:
    target, other = budget(clock), budget(clock)
    lease = take(target)
    give_back(target, lease, daily_remaining=100, daily_limit=30_000)
    give_back(target, lease, daily_remaining=5, daily_limit=30_000)
    other.release(lease.lease_id, requests_sent=1, tokens_spent=5, headers=None)
    assert target.state().daily_remaining == 100
    assert other.state().spent == 0


@pytest.mark.requirement("G-03")
def test_headers_are_believed_over_our_count(clock: FakeClock) -> None:
    target = budget(clock)
    give_back(target, take(target), daily_limit=30_000, daily_remaining=20_000)
    assert target.state().daily_remaining == 20_000
    give_back(target, take(target), daily_limit=30_000, daily_remaining=29_000)
    assert target.state().daily_remaining == 29_000


def test_an_overtaken_answer_does_not_raise_what_remains(clock: FakeClock) -> None:
    target = budget(clock)
    first, second = take(target), take(target)
    give_back(target, second, daily_limit=30_000, daily_remaining=9_990)
    give_back(target, first, daily_limit=30_000, daily_remaining=9_995)
    assert target.state().daily_remaining <= 9_990
    give_back(target, take(target), daily_limit=30_000, daily_remaining=9_985)
    assert target.state().daily_remaining == 9_985


@pytest.mark.requirement("G-03")
def test_a_daily_refusal_stops_until_the_reset_of_the_zone(clock: FakeClock) -> None:
    target = budget(clock, reset_zone="Europe/Madrid")
    lease = take(target)
    target.release(lease.lease_id, requests_sent=1, tokens_spent=0, headers=Headers(status=429, daily_remaining=0, daily_limit=30_000))
    with pytest.raises(RateLimitedError) as caught:
        target.acquire(requests=1, tokens=1)
    assert caught.value.reason == "TARGET_QUOTA_EXHAUSTED"
    assert caught.value.metadata["resume_time"] == "2026-01-01T23:00:00Z"
    resume_time = target.state().resume_time
    assert resume_time is not None
    assert resume_time.isoformat() == "2026-01-01T23:00:00+00:00"
    clock.advance(23 * 3600)
    take(target)


EXHAUSTED = Headers(status=429, daily_remaining=0, daily_limit=30_000)


def refuse(target: Budget, lease: Lease) -> None:
    target.release(lease.lease_id, requests_sent=1, tokens_spent=0, headers=EXHAUSTED)


def is_stopped(target: Budget, **more: object) -> bool:
    try:
        target.acquire(requests=1, tokens=5, **more)  # type: ignore[arg-type]
    except RateLimitedError:
        return True
    return False


def test_a_used_up_budget_is_looked_at_with_one_call_every_quarter_of_an_hour(clock: FakeClock) -> None:
    target = budget(clock)
    refuse(target, take(target))
    looks = 0
    for _ in range(12 * 3600 // 10):
        clock.advance(10)
        answer = None if is_stopped(target) else next(iter(target._leases.values()))
        if answer is not None:
            looks += 1
            assert answer.request_count == 1
            assert isinstance(target.acquire(requests=1, tokens=5), Refusal)
            refuse(target, answer)
    assert looks == 12 * 4


def test_a_reset_at_an_hour_nobody_assumed_is_found_by_the_next_look(clock: FakeClock) -> None:
    target = budget(clock)
    refuse(target, take(target))
    clock.advance(900)
    refuse(target, take(target))
    clock.advance(900)
    give_back(target, take(target, requests=10), daily_limit=30_000, daily_remaining=29_995)
    assert take(target, requests=10).request_count == 10
    assert target.state().resume_time is None


def test_a_budget_still_empty_after_the_assumed_reset_is_looked_at_again_soon(clock: FakeClock) -> None:
    target = budget(clock)
    refuse(target, take(target))
    clock.advance(24 * 3600)
    refuse(target, take(target))
    with pytest.raises(RateLimitedError) as caught:
        target.acquire(requests=1, tokens=1)
    assert caught.value.metadata["resume_time"] == "2026-01-03T00:00:00Z"
    assert caught.value.metadata["look_time"] == "2026-01-02T00:15:00Z"
    assert "assumed" in caught.value.message
    clock.advance(900)
    take(target)


def test_looking_spends_one_call_of_the_shares_that_are_kept_and_no_more(clock: FakeClock) -> None:
    target = budget(clock)
    give_back(target, take(target), daily_limit=30_000, daily_remaining=3_004)
    assert is_stopped(target)
    resume_time = target.state().resume_time
    assert resume_time is not None
    assert resume_time.isoformat() == "2026-01-02T00:00:00+00:00"
    clock.advance(900)
    give_back(target, take(target, tokens=2), daily_limit=30_000, daily_remaining=3_002)
    assert is_stopped(target)
    clock.advance(900)
    give_back(target, take(target, tokens=2), daily_limit=30_000, daily_remaining=33_000)
    assert not is_stopped(target)


def test_a_few_tokens_that_turn_up_do_not_end_a_stop_but_many_do(clock: FakeClock) -> None:
    target = budget(clock)
    late = take(target, priority=Priority.ROLLBACK)
    give_back(target, take(target), daily_limit=30_000, daily_remaining=3_004)
    assert is_stopped(target)
    give_back(target, late, daily_limit=30_000, daily_remaining=3_150)
    give_back(target, take(target, priority=Priority.ROLLBACK), daily_limit=30_000, daily_remaining=3_140)
    assert is_stopped(target)
    give_back(target, take(target, priority=Priority.ROLLBACK), daily_limit=30_000, daily_remaining=3_700)
    assert not is_stopped(target)


def test_shares_are_not_spent_by_looking_when_no_header_tells_what_remains(clock: FakeClock) -> None:
    target = budget(clock, daily_tokens=3_004, others_share=0.0)
    for _ in range(570):
        clock.advance(2.1)
        give_back(target, take(target))
    clock.advance(900)
    assert is_stopped(target)
    clock.advance(900)
    assert is_stopped(target)


def test_a_look_waits_for_a_block_to_end(clock: FakeClock) -> None:
    target = budget(clock, breaker_seconds=3000.0)
    first, second = take(target), take(target)
    refuse(target, first)
    target.release(second.lease_id, requests_sent=1, tokens_spent=0, headers=Headers(status=403, is_html=True))
    clock.advance(2999)
    with pytest.raises(RateLimitedError) as caught:
        target.acquire(requests=1, tokens=5)
    assert caught.value.reason == "TARGET_BLOCKED"
    clock.advance(1)
    probe = take(target, requests=10)
    assert probe.request_count == 1
    assert isinstance(target.acquire(requests=1, tokens=5), Refusal)


def test_a_late_answer_to_an_older_call_does_not_end_the_looking(clock: FakeClock) -> None:
    target = budget(clock, probe_seconds=5.0)
    late, refused = take(target), take(target)
    refuse(target, refused)
    clock.advance(5)
    assert isinstance(target.acquire(requests=1, tokens=5), Refusal)
    give_back(target, late)
    assert take(target, requests=10).request_count == 1


def test_a_refusal_with_less_left_than_the_call_costs_is_the_days(clock: FakeClock) -> None:
    target = budget(clock, rollback_share=0.0, others_share=0.0)
    lease = take(target, tokens=25)
    target.release(lease.lease_id, requests_sent=1, tokens_spent=0, headers=Headers(status=429, daily_remaining=24, daily_limit=30_000))
    assert is_stopped(target)


@pytest.mark.requirement("G-03", "L-15")
def test_the_bulk_leaves_the_shares_of_rollback_and_of_other_apps(clock: FakeClock) -> None:
    target = budget(clock, rollback_share=0.05, others_share=0.10)
    give_back(target, take(target), daily_limit=30_000, daily_remaining=4_503)
    with pytest.raises(RateLimitedError):
        target.acquire(requests=1, tokens=5, priority=Priority.BULK)
    take(target, priority=Priority.ROLLBACK)
    take(target, tokens=3, priority=Priority.ROLLBACK)


def test_what_is_out_on_lease_is_waited_for_before_giving_up(clock: FakeClock) -> None:
    target = budget(clock, rollback_share=0.0, others_share=0.0)
    give_back(target, take(target), daily_limit=30_000, daily_remaining=8)
    take(target)
    assert isinstance(target.acquire(requests=1, tokens=5), Refusal)


@pytest.mark.requirement("G-03")
def test_a_block_page_opens_the_breaker_and_one_probe_closes_it(clock: FakeClock) -> None:
    target = budget(clock, breaker_seconds=300.0)
    target.release(take(target).lease_id, requests_sent=1, tokens_spent=5, headers=Headers(status=403, is_html=True))
    with pytest.raises(RateLimitedError) as caught:
        target.acquire(requests=1, tokens=5)
    assert (caught.value.reason, caught.value.retry_after_seconds) == ("TARGET_BLOCKED", 300)
    clock.advance(300)
    probe = take(target, requests=10)
    assert probe.request_count == 1
    assert isinstance(target.acquire(requests=1, tokens=5), Refusal)
    target.release(probe.lease_id, requests_sent=1, tokens_spent=5, headers=Headers(status=403, is_html=True))
    with pytest.raises(RateLimitedError) as caught:
        target.acquire(requests=1, tokens=5)
    assert caught.value.retry_after_seconds == 600
    clock.advance(600)
    give_back(target, take(target))
    assert take(target, requests=10).request_count == 10


def test_refusals_without_headers_are_taken_for_the_daily_ones_in_the_end(clock: FakeClock) -> None:
    target = budget(clock)
    for _ in range(6):
        lease = take(target)
        target.release(lease.lease_id, requests_sent=1, tokens_spent=0, headers=Headers(status=429))
        clock.advance(61)
    with pytest.raises(RateLimitedError):
        target.acquire(requests=1, tokens=5)
    assert target.state().refused_calls == 6


def test_searches_have_a_window_of_their_own(clock: FakeClock) -> None:
    target = budget(clock)
    for _ in range(10):
        give_back(target, take(target, tokens=20, searches=1))
    assert isinstance(target.acquire(requests=1, tokens=20, searches=1), Refusal)
    take(target)


def test_others_with_the_same_token_fill_our_window_too(clock: FakeClock) -> None:
    target = budget(clock)
    give_back(target, take(target), window_limit=20, window_remaining=5)
    assert target.state().window_used == 15
    clock.advance(2.1)
    assert target.state().window_used == 0


def test_a_higher_priority_that_waits_goes_first(clock: FakeClock) -> None:
    target = budget(clock, window_limit=1)
    give_back(target, take(target))
    assert isinstance(target.acquire(requests=1, tokens=3, priority=Priority.ROLLBACK), Refusal)
    clock.advance(1.8)
    assert isinstance(target.acquire(requests=1, tokens=3, priority=Priority.ROLLBACK), Refusal)
    clock.advance(0.202)
    assert isinstance(target.acquire(requests=1, tokens=5, priority=Priority.BULK), Refusal)
    take(target, priority=Priority.ROLLBACK)


@pytest.mark.requirement("G-03", "L-15")
@pytest.mark.parametrize("seed", range(5))
def test_under_contention_rollback_comes_first_and_the_bulk_last(clock: FakeClock, seed: int) -> None:
    target = budget(clock, window_limit=4)
    dice, calls = random.Random(seed), dict.fromkeys(Priority, 20)
    ask_at = {priority: dice.uniform(0, 0.01) for priority in Priority}
    granted: list[Priority] = []
    while any(calls.values()):
        priority = min((priority for priority in Priority if calls[priority]), key=lambda one: ask_at[one])
        clock.advance(max(0.0, ask_at[priority] - clock.monotonic()))
        answer = target.acquire(requests=1, tokens=5, priority=priority)
        if isinstance(answer, Refusal):
            ask_at[priority] = clock.monotonic() + answer.retry_seconds
            continue
        granted.append(priority)
        calls[priority] -= 1
        ask_at[priority] = clock.monotonic() + 0.001
        target.release(answer.lease_id, requests_sent=1, tokens_spent=5, headers=Headers(status=200))
    # Whoever has not asked yet cannot be waited for: so the first window goes to all.
    assert granted[4:] == sorted(granted[4:])
