"""Whatever the delays on the way are, no window at the server overflows, and never more tokens are spent than there are."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import RateLimitedError
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.leases import Headers, Lease, Refusal
from services.loader.quota.settings import QuotaSettings
from tests.fakes.clock import FakeClock

WINDOW = 2.0
WAY_MAX = 4.0
DELAYS = st.tuples(st.floats(0, 5), st.floats(0, 5), st.booleans())
"""Seconds to the server, and back; or, when the connection breaks, seconds until then and from then to the server, at most `WAY_MAX`."""


@pytest.mark.requirement("G-03")
@settings(max_examples=150, deadline=None)
@given(limit=st.integers(1, 6), delays=st.lists(DELAYS, min_size=1, max_size=60), batches=st.lists(st.integers(1, 4), min_size=1, max_size=10))
def test_no_rolling_window_at_the_server_exceeds_the_limit(limit: int, delays: list[tuple[float, float, bool]], batches: list[int]) -> None:
    clock = FakeClock()
    budget = Arbiter(settings=QuotaSettings(window_limit=limit, restart_wait_seconds=WINDOW + WAY_MAX), clock=clock).budget("crm")
    arrivals: list[float] = []
    answers: list[tuple[float, int, str, int, int]] = []
    pending = list(delays)
    round_number = 0
    while pending:
        round_number += 1
        while answers and answers[0][0] <= clock.monotonic():
            _, _, lease_id, sent, lost = heapq.heappop(answers)
            budget.release(lease_id, requests_sent=sent, requests_unanswered=lost, tokens_spent=5 * sent, headers=Headers(status=200))
        wanted = min(len(pending), batches[round_number % len(batches)])
        answer = budget.acquire(requests=wanted, tokens=wanted)
        if isinstance(answer, Refusal):
            steps = [answer.retry_seconds] + ([answers[0][0] - clock.monotonic()] if answers else [])
            clock.advance(max(min(steps), 1e-6))
            continue
        trips = [pending.pop() for _ in range(answer.request_count)]
        arrivals.extend(clock.monotonic() + there + (min(late, WAY_MAX) if is_broken else 0.0) for there, late, is_broken in trips)
        back = clock.monotonic() + max(there + (0.0 if is_broken else home) for there, home, is_broken in trips)
        lost = sum(is_broken for _, _, is_broken in trips)
        heapq.heappush(answers, (back, round_number, answer.lease_id, len(trips), lost))
    arrivals.sort()
    for index, last in enumerate(arrivals):
        in_window = sum(1 for first in arrivals[: index + 1] if first >= last - WINDOW)
        assert in_window <= limit


@pytest.mark.requirement("G-03")
@settings(max_examples=150, deadline=None)
@given(
    daily=st.integers(0, 400),
    trips=st.lists(st.tuples(st.integers(1, 25), st.integers(0, 3), st.integers(0, 3), st.booleans()), min_size=1, max_size=40),
)
def test_never_are_more_tokens_spent_than_there_are(daily: int, trips: list[tuple[int, int, int, bool]]) -> None:
    """A server with a budget of its own; answers overtake each other, and some lack headers."""
    quota = QuotaSettings(daily_tokens=daily, window_limit=1000, restart_wait_seconds=0.0, rollback_share=0.0, others_share=0.0)
    budget = Arbiter(settings=quota, clock=FakeClock()).budget("crm")
    remaining = daily
    on_the_way: list[tuple[int, int, Lease, bool]] = []
    answered: list[tuple[int, Lease, int | None]] = []
    for step, (tokens, there, back, has_headers) in enumerate(trips):
        try:
            lease = budget.acquire(requests=1, tokens=tokens)
        except RateLimitedError:
            lease = Refusal(0)
        if isinstance(lease, Lease):
            on_the_way.append((step + there, step + there + back, lease, has_headers))
        for call in [call for call in on_the_way if call[0] <= step]:
            on_the_way.remove(call)
            remaining -= call[2].token_count
            assert remaining >= 0
            answered.append((call[1], call[2], remaining if call[3] else None))
        for answer in [answer for answer in answered if answer[0] <= step]:
            answered.remove(answer)
            told = Headers(status=200, daily_limit=max(1, daily), daily_remaining=answer[2])
            budget.release(answer[1].lease_id, requests_sent=1, tokens_spent=answer[1].token_count, headers=told)
