"""How long the rest of a plan takes: day after day, as the arbiter grants. Pure arithmetic.

On each day the work goes on until its tokens are spent, less what is kept back, or until the day ends, whichever comes first; how fast it goes is
decided by the window. The stretches of work come in the order of the load, because a token of one buys another number of calls than a token of the
next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from services.common.pipedrive_plans import plan_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DAY: Final = 86_400.0
_MORE_CALLS: Final = 0.05
"""Calls above the plan in the upper end of the band: lost answers and repeated reads."""
_CALL_SECONDS: Final = 0.3
"""Of a call, as long as none was measured."""
_WINDOW_SECONDS: Final = 2.0
_DAYS_MAX: Final = 100_000
_CALL_TOKENS: Final = 5
"""A rest of a day below the price of a call buys nothing."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Work of one kind: its tokens and calls, beside which some seconds go by in which nothing is called."""

    tokens: float
    calls: float
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast calls may follow each other.

    Attributes:
        window: calls in 2 seconds; 0: not known, so that only tokens count.
        call_seconds: from the grant of a call to its answer. A call holds its place in the window until 2 s after its answer.
    """

    window: int = 0
    call_seconds: float = _CALL_SECONDS

    def seconds(self, calls: float) -> float:
        """Answer how long so many calls take at least."""
        return calls / self.window * (_WINDOW_SECONDS + self.call_seconds) if self.window else 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """How a rest of work goes.

    Attributes:
        days: days of the account it is worked on, today included; 0: it has no end.
        seconds: from now to the end.
        is_window: no day's tokens were used up on the way: the window alone decides.
    """

    days: int
    seconds: float
    is_window: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """The company's daily tokens.

    Attributes:
        daily: tokens a day.
        today: left of the present day.
        rollback_reserve: of a day, kept for a rollback.
        others_today: of the present day, kept for or taken by the company's other apps.
        others_a_day: the same of a whole day.
        seconds_to_reset: until the next day begins.
    """

    daily: int
    today: int
    rollback_reserve: int
    others_today: int
    others_a_day: int
    seconds_to_reset: float = DAY

    def course(self, work: Sequence[Stretch], pace: Pace, *, others_factor: float = 1.0, more: float = 0.0) -> Course:
        """Go through the work.

        Args:
            work: in order.
            pace: of the calls.
            others_factor: how much more than is kept for them the other apps take.
            more: part of the work that comes on top.
        """
        a_day = self.daily - self.rollback_reserve - self.others_a_day * others_factor
        allowed = max(0.0, self.today - self.rollback_reserve - self.others_today * others_factor)
        now, until, days, is_window = 0.0, self.seconds_to_reset, 1, True
        for stretch in work:
            left = stretch.tokens * (1 + more)
            now += stretch.seconds
            per_token = pace.seconds(stretch.calls) / stretch.tokens if stretch.tokens else 0.0
            while left > 0:
                in_time = max(0.0, until - now) / per_token if per_token else left
                part = min(left, allowed, in_time)
                left, allowed, now = left - part, allowed - part, now + part * per_token
                if left <= 0:
                    break
                if a_day < _CALL_TOKENS or days > _DAYS_MAX:
                    return Course(0, 0.0, is_window=False)
                is_window = is_window and allowed >= _CALL_TOKENS
                now, until, allowed, days = max(now, until), until + DAY, a_day, days + 1
        return Course(days, now, is_window)

    def band(self, work: Sequence[Stretch], pace: Pace) -> dict[str, Course]:
        """Answer the course with the other apps silent, as expected, and twice as busy with some calls repeated."""
        return {
            "low": self.course(work, pace, others_factor=0.0),
            "likely": self.course(work, pace),
            "high": self.course(work, pace, others_factor=2.0, more=_MORE_CALLS),
        }


def days(work: Sequence[Stretch], quota: Mapping[str, Any], *, plan_name: str = "", seats: int = 0, now: float = 0.0) -> dict[str, Any]:
    """Answer how many days and hours the rest takes, what decides it, and what a seat more or a top-up would change; empty for an unknown budget.

    Args:
        work: what is left, in order.
        quota: the budget, as `budget_of` and `pace_of` read it.
        plan_name: of the account.
        seats: of the account; 0: not known.
        now: seconds since 1970.
    """
    budget, pace = budget_of(quota, now), pace_of(quota)
    if budget is None:
        return {}
    band = budget.band(work, pace)
    least = sum(pace.seconds(stretch.calls) + stretch.seconds for stretch in work)
    return {
        "daily_token_limit": budget.daily,
        "left_today": budget.today,
        "rollback_reserve": budget.rollback_reserve,
        "others_a_day": budget.others_a_day,
        "days": {name: course.days for name, course in band.items()},
        "hours": {name: round(course.seconds / 3600, 3) if course.days else None for name, course in band.items()},
        "bound_by": "window" if band["likely"].is_window else "tokens",
        "hours_at_least": round(least / 3600, 3) if pace.window else None,
        "window_limit": pace.window,
        "call_seconds": pace.call_seconds,
        "seconds_to_reset": round(budget.seconds_to_reset),
        "what_if": what_if(work, budget, pace, plan_name, seats),
    }


def budget_of(quota: Mapping[str, Any], now: float = 0.0) -> Budget | None:
    """Read the budget; None where the daily limit is not known.

    One that was looked at before its last renewal is taken for full.

    Args:
        quota: `daily_token_limit`, `daily_token_remaining`, `rollback_reserve`, `others_reserve`, `others_tokens_per_day`, and `reset_seconds` (since
            1970), as far as they are known.
        now: seconds since 1970.
    """
    daily = int(quota.get("daily_token_limit") or 0)
    if not daily:
        return None
    remaining = quota.get("daily_token_remaining")
    others = int(quota.get("others_tokens_per_day") or 0)
    budget = Budget(
        daily=daily,
        today=int(daily if remaining is None else remaining),
        rollback_reserve=int(quota.get("rollback_reserve") or 0),
        others_today=int(quota.get("others_reserve") or 0),
        others_a_day=others,
    )
    reset = float(quota.get("reset_seconds") or 0)
    if not reset:
        return budget
    to_reset = reset - now
    if to_reset > 0:
        return replace(budget, seconds_to_reset=to_reset)
    to_reset %= DAY
    return replace(budget, today=daily, others_today=int(others * to_reset / DAY), seconds_to_reset=to_reset)


def pace_of(quota: Mapping[str, Any]) -> Pace:
    """Read the pace; a call takes 0.3 s where none was measured."""
    return Pace(int(quota.get("window_limit") or 0), float(quota.get("call_seconds") or _CALL_SECONDS))


def what_if(work: Sequence[Stretch], budget: Budget, pace: Pace, plan_name: str, seats: int = 0) -> list[dict[str, Any]]:
    """Answer what a seat more and a top-up would change."""
    options: list[dict[str, Any]] = []
    if plan := plan_named(plan_name):
        more = plan.seat_tokens
        daily = budget.daily + more
        # The shares that are kept grow with the day.
        seat = replace(budget, daily=daily, today=budget.today + more, rollback_reserve=budget.rollback_reserve * daily // budget.daily)
        deals = plan.open_deals(seats + 1) if seats else None
        options.append({"change": "one seat more", "daily_token_limit": daily, "open_deals_cap": deals, **_told(seat.band(work, pace))})
    # What is kept back is kept of a top-up too.
    tokens = round(sum(stretch.tokens for stretch in work)) + budget.rollback_reserve + budget.others_today - budget.today
    if tokens > 0:
        topped_up = replace(budget, today=budget.today + tokens)
        options.append({"change": "a top-up that ends it today", "tokens": tokens, **_told(topped_up.band(work, pace))})
    return options


def rollback(undo: Stretch, loaded: int, budget: Budget, pace: Pace) -> dict[str, Any]:
    """Answer what taking everything back costs: from a full day, of which a rollback may use every share that is kept.

    Args:
        undo: its tokens and calls.
        loaded: tokens of schema, sample and load.
        budget: of the company.
        pace: of the calls.
    """
    course = course_of_undo(undo, replace(budget, today=budget.daily, seconds_to_reset=DAY), pace)
    return {
        "tokens": round(undo.tokens),
        "part_of_load": round(undo.tokens / loaded, 3) if loaded else None,
        "days_from_a_full_day": course.days,
        "hours_from_a_full_day": round(course.seconds / 3600, 2),
        "fits_reserve": undo.tokens <= budget.rollback_reserve,
    }


def course_of_undo(undo: Stretch, budget: Budget, pace: Pace) -> Course:
    """Answer how a rollback goes from now on: it may use every share that is kept."""
    return replace(budget, rollback_reserve=0, others_today=0, others_a_day=0).course([undo], pace)


def _told(band: Mapping[str, Course]) -> dict[str, Any]:
    return {"days": {name: course.days for name, course in band.items()}, "hours": round(band["likely"].seconds / 3600, 2)}
