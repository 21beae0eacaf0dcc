"""Days and hours of a rest of work."""

from __future__ import annotations

import pytest

from services.ledger.plan_days import DAY, Budget, Pace, Stretch, budget_of, days, rollback, what_if

ONLY_TOKENS = Pace()


def work(tokens: float, calls: float = 0.0) -> list[Stretch]:
    return [Stretch(tokens, calls or tokens / 5)]


@pytest.mark.requirement("L-01", "G-03")
@pytest.mark.parametrize(
    ("tokens", "today", "expected"), [(0, 0, 1), (24_000, 30_000, 1), (24_001, 30_000, 2), (24_000, 0, 2), (48_000, 30_000, 2), (48_001, 30_000, 3)]
)
def test_days_count_what_is_kept_back_on_each_of_them(tokens: int, today: int, expected: int) -> None:
    assert Budget(30_000, today, 1_500, 4_500, 4_500).course(work(tokens), ONLY_TOKENS).days == expected


def test_a_budget_others_use_up_gives_no_end() -> None:
    assert Budget(30_000, 30_000, 1_500, 28_500, 28_500).course(work(10), ONLY_TOKENS).days == 0


def test_a_full_day_is_waited_for_and_the_rest_takes_its_calls() -> None:
    budget = Budget(30_000, 30_000, 0, 0, 0, seconds_to_reset=3_600)
    course = budget.course(work(30_000 + 2_000), Pace(20, 0.0))
    assert (course.days, course.seconds, course.is_window) == (2, 3_600 + 40, False)


def test_where_the_window_binds_a_day_ends_before_its_tokens() -> None:
    budget = Budget(10_000_000, 10_000_000, 0, 0, 0, seconds_to_reset=DAY)
    course = budget.course(work(5 * 20 / 2 * DAY * 2.5), Pace(20, 0.0))
    assert (course.days, course.seconds, course.is_window) == (3, 2.5 * DAY, True)


def test_calls_of_different_prices_take_different_times() -> None:
    budget = Budget(10_000, 10_000, 0, 0, 0)
    pace = Pace(20, 0.5)
    course = budget.course([Stretch(500, 100), Stretch(500, 50)], pace)
    assert course.seconds == pytest.approx(150 / 20 * 2.5)


def test_the_band_goes_from_silent_other_apps_to_busy_ones() -> None:
    band = Budget(30_000, 30_000, 1_500, 6_000, 6_000).band(work(52_000), ONLY_TOKENS)
    assert band["low"].days == 2
    assert band["low"].days < band["likely"].days < band["high"].days


def test_a_seat_more_and_a_top_up_are_told_with_the_days_they_leave() -> None:
    options = what_if(work(52_000), Budget(30_000, 30_000, 1_500, 1_500, 1_500), ONLY_TOKENS, "Growth", 1)
    assert [option["change"] for option in options] == ["one seat more", "a top-up that ends it today"]
    assert (options[0]["daily_token_limit"], options[0]["open_deals_cap"]) == (90_000, 10_000)
    assert options[0]["days"]["likely"] == 1
    assert (options[1]["tokens"], options[1]["days"]["likely"]) == (25_000, 1)
    assert what_if(work(10), Budget(30_000, 30_000, 1_500, 1_500, 1_500), ONLY_TOKENS, "None") == []


def test_of_the_present_day_only_the_hours_to_come_are_left_to_others() -> None:
    quota = {
        "daily_token_limit": 30_000,
        "daily_token_remaining": 10_000,
        "rollback_reserve": 1_500,
        "others_reserve": 500,
        "others_tokens_per_day": 1_500,
    }
    told = days(work(8_000), quota)
    assert (told["others_a_day"], told["days"]["likely"], told["hours_at_least"], told["bound_by"]) == (1_500, 1, None, "window")
    told = days(work(8_001), quota)
    assert (told["days"]["likely"], told["bound_by"]) == (2, "tokens")
    assert days(work(40_000), {}) == {}


def test_a_budget_seen_before_its_renewal_is_taken_for_full() -> None:
    quota = {"daily_token_limit": 30_000, "daily_token_remaining": 10, "others_tokens_per_day": 2_400, "reset_seconds": 1_000.0}
    fresh = budget_of(quota, now=1_000 + DAY / 4)
    assert fresh is not None
    assert (fresh.today, fresh.others_today, fresh.seconds_to_reset) == (30_000, 1_800, DAY * 3 / 4)
    stale = budget_of(quota, now=400)
    assert stale is not None
    assert (stale.today, stale.seconds_to_reset) == (10, 600)


def test_a_rollback_may_use_what_is_kept() -> None:
    told = rollback(Stretch(30_000, 10_000), 60_000, Budget(30_000, 0, 1_500, 1_500, 1_500), Pace(20, 0.0))
    assert (told["days_from_a_full_day"], told["hours_from_a_full_day"], told["part_of_load"], told["fits_reserve"]) == (1, 0.28, 0.5, False)
