"""The relative dates a saved filter may name, as spans of days.

Names are those of `GET /v1/filters/helpers`. Weeks start on Monday, months ago and ahead keep the day of the month where it exists (assumed).
"""

import calendar
from collections.abc import Callable
from datetime import date, timedelta

Span = tuple[date, date]
"""First and last day."""

_EVER, _NEVER_AGAIN = date(1, 1, 1), date(9999, 12, 31)


def _month(today: date, shift: int) -> Span:
    """The whole month so many months away."""
    index = today.year * 12 + today.month - 1 + shift
    year, month = divmod(index, 12)
    return date(year, month + 1, 1), date(year, month + 1, calendar.monthrange(year, month + 1)[1])


def _week(today: date, shift: int) -> Span:
    monday = today + timedelta(days=7 * shift - today.weekday())
    return monday, monday + timedelta(days=6)


def _quarter(today: date, shift: int) -> Span:
    first = _month(today, -((today.month - 1) % 3) + 3 * shift)[0]
    return first, _month(first, 2)[1]


def _months_away(today: date, shift: int) -> Span:
    first, last = _month(today, shift)
    day = first.replace(day=min(today.day, last.day))
    return day, day


def _days_away(today: date, shift: int) -> Span:
    day = today + timedelta(days=shift)
    return day, day


def _shifted(span: Callable[[date, int], Span], shift: int) -> Callable[[date], Span]:
    return lambda today: span(today, shift)


_INTERVALS: dict[str, tuple[str, Callable[[date], Span]]] = {
    "last_quarter": ("last quarter", _shifted(_quarter, -1)),
    "this_quarter": ("this quarter", _shifted(_quarter, 0)),
    "last_month": ("last month", _shifted(_month, -1)),
    "this_month": ("this month", _shifted(_month, 0)),
    "last_week": ("last week", _shifted(_week, -1)),
    "this_week": ("this week", _shifted(_week, 0)),
    "next_week": ("next week", _shifted(_week, 1)),
    "next_month": ("next month", _shifted(_month, 1)),
}
_POINTS: dict[str, tuple[str, Callable[[date], Span]]] = {
    **{f"{count}_months_ago": (f"{count} month{'s' * (count > 1)} ago", _shifted(_months_away, -count)) for count in range(6, 0, -1)},
    "3_weeks_ago": ("3 weeks ago", _shifted(_days_away, -21)),
    "2_weeks_ago": ("2 weeks ago", _shifted(_days_away, -14)),
    "1_week_ago": ("1 week ago", _shifted(_days_away, -7)),
    "yesterday": ("yesterday", _shifted(_days_away, -1)),
    "before_today": ("before today", lambda today: (_EVER, today - timedelta(days=1))),
    "today": ("today", _shifted(_days_away, 0)),
    "now": ("now", _shifted(_days_away, 0)),
    "later_or_today": ("today or later", lambda today: (today, _NEVER_AGAIN)),
    "before_tomorrow": ("before tomorrow", lambda today: (_EVER, today)),
    "tomorrow": ("tomorrow", _shifted(_days_away, 1)),
    "later_or_tomorrow": ("tomorrow or later", lambda today: (today + timedelta(days=1), _NEVER_AGAIN)),
    "in_1_week": ("in 1 week", _shifted(_days_away, 7)),
    "in_2_weeks": ("in 2 weeks", _shifted(_days_away, 14)),
    "in_3_weeks": ("in 3 weeks", _shifted(_days_away, 21)),
    **{f"in_{count}_month{'s' * (count > 1)}": (f"in {count} month{'s' * (count > 1)}", _shifted(_months_away, count)) for count in range(1, 7)},
}
_SPANS = _INTERVALS | _POINTS

HELPERS = {
    "Relative date intervals": {name: text for name, (text, _) in _INTERVALS.items()},
    "Relative dates": {name: text for name, (text, _) in _POINTS.items()},
}
"""Names and texts as the helpers list them."""


def span_of(name: str, today: date) -> Span | None:
    """Return the days a relative date means, None when it is not one."""
    known = _SPANS.get(name)
    return None if known is None else known[1](today)
