"""The forecast before a load, and what a journal shows of its pace."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transload.cli.pacing import FULL_SHARE, WINDOW_SECONDS, AccountClock, Forecast, Pace, duration


def clock(hour: int, *, speed: float = 1.0) -> AccountClock:
    return AccountClock(datetime(2026, 5, 6, hour, 30, tzinfo=UTC), speed)


def forecast(**more: Any) -> Forecast:
    facts: dict[str, Any] = {
        "planned_tokens": 12_000,
        "left_tokens": 20_000,
        "kept_tokens": 3_000,
        "window_limit": 20,
        "tokens_per_call": 6.0,
        "clock": clock(8),
    }
    return Forecast(**facts | more)


def entry(
    time: float, *, status: int = 200, window: str = "user:1:api", is_search: bool = False, operation: str = "GET /api/v2/deals"
) -> dict[str, Any]:
    return {"time": time, "status": status, "window": window, "is_search": is_search, "operation": operation}


def test_tokens_that_suffice_are_said_to() -> None:
    told = forecast()
    assert (told.call_count, told.seconds_min, told.missing_tokens, told.is_pause_expected) == (2_000, 200.0, 0, False)
    text = "\n".join(told.lines())
    assert "12,000" in text
    assert "3,000" in text
    assert "no pause" in text


def test_missing_tokens_pause_until_the_accounts_midnight() -> None:
    told = forecast(left_tokens=8_000)
    assert (told.missing_tokens, told.is_pause_expected) == (7_000, True)
    text = "\n".join(told.lines())
    assert "7,000 tokens are missing" in text
    assert "15 h 30 min" in text
    assert "CLOCK=600" in text


def test_a_fast_clock_may_begin_a_new_day_before_the_tokens_are_spent() -> None:
    # Half of the load's 200 seconds are paid for; at 23:30 and 60 times as fast the day ends in 30 seconds.
    told = forecast(left_tokens=9_000, clock=clock(23, speed=60))
    assert (told.missing_tokens, told.is_pause_expected) == (6_000, False)
    assert "new day begins first" in "\n".join(told.lines())
    assert forecast(left_tokens=9_000, clock=clock(22, speed=30)).is_pause_expected


def test_less_left_than_is_kept_back_pauses_at_once() -> None:
    told = forecast(left_tokens=2_000)
    assert (told.missing_tokens, told.is_pause_expected) == (12_000, True)


def test_refusals_for_pace_and_for_the_budget_are_told_apart() -> None:
    pace = Pace.of(
        [
            entry(0.0),
            entry(0.1, status=429, window=""),
            entry(0.2, status=429),
            entry(0.3, status=429, operation="GET /api/v2/deals/search"),
            entry(0.4, status=429, operation="GET /api/v2/deals/search", is_search=True),
            entry(0.5, status=401, window=""),
        ],
        window_limit=20,
    )
    assert (pace.refused_for_pace, pace.refused_for_budget, pace.fullest) == (2, 2, 4)


def test_the_time_of_a_full_window_is_counted() -> None:
    # Ten at once fill the window of ten for two seconds; then one alone does not.
    pace = Pace.of([entry(5.0) for _ in range(10)] + [entry(10.0)], window_limit=10)
    assert (pace.fullest, pace.full_seconds) == (10, 2.0)
    assert Pace.of([entry(index / 4) for index in range(100)], window_limit=10).full_seconds == 0.0
    assert Pace.of([], window_limit=10) == Pace(0, 0.0, 0, 0)


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60), st.integers(1, 12))
def test_a_journal_is_read_as_a_walk_through_time_reads_it(ticks: list[int], limit: int) -> None:
    """Moments are multiples of 1/16 s, so that a walk in steps of 1/16 s sees every change."""
    moments = sorted(tick / 16 for tick in ticks)
    pace = Pace.of([entry(moment) for moment in moments], window_limit=limit)
    enough = math.ceil(limit * FULL_SHARE)
    walked = sum(sum(moment <= tick / 16 < moment + WINDOW_SECONDS for moment in moments) >= enough for tick in range(max(ticks)))
    assert pace.full_seconds == pytest.approx(walked / 16)
    assert pace.fullest == max(sum(last - WINDOW_SECONDS <= moment <= last for moment in moments[: index + 1]) for index, last in enumerate(moments))


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (95, "95 s"), (119.6, "2 min"), (750, "12 min"), (38_160, "10 h 36 min")])
def test_durations_are_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
