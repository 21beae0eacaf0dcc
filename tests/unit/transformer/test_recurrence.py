"""Recurrences: what is read, what is refused, and that the dates are those of dateutil, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import relativedelta
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from services.transformer.recurrence import occurrences, read_recurrence, recurrence_rule, recurrence_words
from services.transformer.recurrence_words import Meter, Once, Rule
from services.transformer.transforms.problem import ValueProblem

pytestmark = pytest.mark.requirement("NV-05")
NEW_YORK = "America/New_York"


def dates(value: object, window_from: str, months: int = 12, **options: Any) -> list[str]:
    return [one["date"] for one in occurrences(value, window_from=window_from, months=months, **options) or []]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Every 3 Months", "FREQ=MONTHLY;INTERVAL=3"),
        ("every month", "FREQ=MONTHLY"),
        ("Monthly.", "FREQ=MONTHLY"),
        ("QUARTERLY", "FREQ=MONTHLY;INTERVAL=3"),
        ("semi-annually", "FREQ=MONTHLY;INTERVAL=6"),
        ("annually", "FREQ=YEARLY"),
        ("every other week", "FREQ=WEEKLY;INTERVAL=2"),
        ("every 10 days", "FREQ=DAILY;INTERVAL=10"),
        ("90 days", "FREQ=DAILY;INTERVAL=90"),
        ("every six months", "FREQ=MONTHLY;INTERVAL=6"),
        ("Every 2 wks", "FREQ=WEEKLY;INTERVAL=2"),
        ("once a year", "FREQ=YEARLY"),
        ("every weekday", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
        ("every Monday and Thursday", "FREQ=WEEKLY;BYDAY=MO,TH"),
        ("Weekly on Tuesday", "FREQ=WEEKLY;BYDAY=TU"),
        ("every 2 weeks on Friday", "FREQ=WEEKLY;INTERVAL=2;BYDAY=FR"),
        ("monthly on the 15th", "FREQ=MONTHLY;BYMONTHDAY=15"),
        ("first Monday of every month", "FREQ=MONTHLY;BYDAY=+1MO"),
        ("last friday of the month", "FREQ=MONTHLY;BYDAY=-1FR"),
        ("FREQ=WEEKLY;BYDAY=MO", "FREQ=WEEKLY;BYDAY=MO"),
        ("RRULE:FREQ=YEARLY;INTERVAL=2", "FREQ=YEARLY;INTERVAL=2"),
    ],
)
def test_plain_words_become_rules(text: str, rule: str) -> None:
    kind = read_recurrence(text).kind
    assert isinstance(kind, Rule)
    assert kind.text == rule


@pytest.mark.parametrize(
    ("text", "meter"),
    [("every 250 hrs", Meter("250", "hours")), ("Every 5,000 Miles", Meter("5000", "miles")), ("250 hours", Meter("250", "hours"))],
)
def test_what_comes_by_a_meter_has_words_but_no_dates(text: str, meter: Meter) -> None:
    assert read_recurrence(text).kind == meter
    assert occurrences({"text": text, "start": "2026-01-05"}, window_from="2026-01-01") is None
    assert recurrence_rule(text) is None
    assert (recurrence_words(text) or "").endswith("by the meter")


@pytest.mark.parametrize(
    "text",
    [
        "biweekly",
        "Bi-monthly",
        "when it rains",
        "every now and then",
        "every 0 days",
        "every 3",
        "every 3 moons",
        "monthly on the 32nd",
        "weekly on the 3rd",
    ],
)
def test_what_can_be_read_in_two_ways_or_not_at_all_is_refused_but_kept_in_words(text: str) -> None:
    with pytest.raises(ValueProblem):
        read_recurrence(text)
    assert recurrence_words({"text": text}) == text


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=HOURLY",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=x",
        "FREQ=DAILY;BYHOUR=3",
        "FREQ=DAILY;FREQ=WEEKLY",
        "RRULE:FREQ=DAILY\nEXDATE:20260101",
        "FREQ=",
        "FREQ=DAILY;COUNT=0",
    ],
)
def test_rules_that_make_no_sense_are_refused(rule: str) -> None:
    with pytest.raises(ValueProblem):
        read_recurrence(rule)


def test_columns_say_how_often() -> None:
    columns = {"interval": "Re-occurring", "every": 3, "unit": "Months", "start": "2026-01-31"}
    assert dates(columns, "2026-01-01") == ["2026-01-31", "2026-04-30", "2026-07-31", "2026-10-31"]
    assert recurrence_words(columns) == "every 3 months, from 2026-01-31 on"
    assert dates({"interval": "Once", "every": 3, "unit": "Months", "start": "2026-03-01"}, "2026-01-01") == ["2026-03-01"]
    assert dates({"interval": "Once", "start": "2025-03-01"}, "2026-01-01") == []
    assert isinstance(read_recurrence({"interval": "Once"}).kind, Once)


def test_a_leap_day_comes_every_year() -> None:
    assert dates({"every": 1, "unit": "years", "start": "2024-02-29"}, "2025-01-01", 48) == ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]


def test_an_end_holds() -> None:
    columns = {"every": 1, "unit": "months", "start": "2026-01-10", "until": "2026-03-10"}
    assert dates(columns, "2026-01-01") == ["2026-01-10", "2026-02-10", "2026-03-10"]
    assert dates({"every": 1, "unit": "months", "start": "2025-12-10", "count": 2}, "2026-01-01") == ["2026-01-10"]


def test_the_past_is_the_window_before_and_keeps_the_latest() -> None:
    weekly = {"every": 1, "unit": "weeks", "start": "2025-01-06"}
    past = occurrences(weekly, window_from="2026-01-01", months=2, past=True, cap=3) or []
    assert [(one["date"], one["number"], one["of"]) for one in past] == [("2025-12-15", 7, 9), ("2025-12-22", 8, 9), ("2025-12-29", 9, 9)]


def test_a_cap_keeps_the_first_and_says_how_many_there_are() -> None:
    daily = occurrences({"every": 1, "unit": "days", "start": "2026-01-01"}, window_from="2026-01-01", months=1, cap=2) or []
    assert [(one["date"], one["number"], one["of"]) for one in daily] == [("2026-01-01", 1, 31), ("2026-01-02", 2, 31)]


def test_eight_o_clock_stays_eight_o_clock_when_the_clocks_change() -> None:
    weekly = {"every": 1, "unit": "weeks", "start": "2026-03-01T08:00:00-05:00"}
    found = occurrences(weekly, window_from="2026-03-01", months=1, zone=NEW_YORK) or []
    assert [(one["date"], one["time"], one["at"]) for one in found[:2]] == [
        ("2026-03-01", "08:00", "2026-03-01T13:00:00Z"),
        ("2026-03-08", "08:00", "2026-03-08T12:00:00Z"),
    ]


def test_an_hour_that_is_skipped_counts_as_the_later_one_and_one_that_comes_twice_as_the_first() -> None:
    daily = {"every": 1, "unit": "days", "start": "2026-03-07T02:30:00"}
    skipped = (occurrences(daily, window_from="2026-03-08", months=1, zone=NEW_YORK) or [])[0]
    assert skipped["at"] == "2026-03-08T07:30:00Z"  # half past three in summer time
    twice = (occurrences({**daily, "start": "2026-10-31T01:30:00"}, window_from="2026-11-01", months=1, zone=NEW_YORK) or [])[0]
    assert twice["at"] == "2026-11-01T05:30:00Z"


def test_an_evening_in_new_york_is_the_next_day_in_utc() -> None:
    one = (occurrences({"interval": "once", "start": "2026-01-05T20:00:00"}, window_from="2026-01-01", zone=NEW_YORK) or [])[0]
    assert (one["date"], one["due_date"], one["due_time"]) == ("2026-01-05", "2026-01-06", "01:00")


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ValueProblem, match="no first date"):
        occurrences({"text": "monthly"}, window_from="2026-01-01")
    with pytest.raises(ValueProblem, match="recurrence_from"):
        occurrences({"text": "monthly", "start": "2026-01-01"})
    with pytest.raises(ValueProblem, match="no unit"):
        occurrences({"every": 3, "start": "2026-01-01"}, window_from="2026-01-01")


def test_a_rule_that_never_holds_has_no_dates() -> None:
    assert dates({"text": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31", "start": "2026-01-01"}, "2026-01-01") == []


UNITS = {"days": "DAILY", "weeks": "WEEKLY", "months": "MONTHLY", "years": "YEARLY"}
ZONES = st.sampled_from(["UTC", NEW_YORK, "Europe/Madrid", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"])


@given(
    every=st.integers(1, 40),
    unit=st.sampled_from(sorted(UNITS)),
    start=st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1)).map(lambda one: one.replace(microsecond=0)),  # noqa: DTZ001
    first=st.dates(datetime(2020, 1, 1).date(), datetime(2031, 1, 1).date()),  # noqa: DTZ001
    months=st.integers(0, 30),
    zone=ZONES,
)
@settings(max_examples=150, deadline=None)
def test_dates_are_those_of_dateutil_over_the_window(*, every: int, unit: str, start: datetime, first: Any, months: int, zone: str) -> None:
    if start.day > 28:  # months without that day have a test of their own
        start = start.replace(day=28)
    begin = datetime.combine(first, datetime.min.time())
    end = begin + relativedelta(months=months)
    expected = [one for one in rrulestr(f"FREQ={UNITS[unit]};INTERVAL={every}", dtstart=start).between(begin, end, inc=True) if one < end]
    value = {"every": every, "unit": unit, "start": start.isoformat()}
    found = occurrences(value, window_from=first.isoformat(), months=months, cap=100_000, zone=zone) or []
    assert [one["date"] for one in found] == [f"{one:%Y-%m-%d}" for one in expected]
    assert [one["number"] for one in found] == list(range(1, len(expected) + 1))
    for one, wall in zip(found, expected, strict=True):
        if "time" in one:
            at = datetime.fromisoformat(one["at"])
            assert at.utcoffset() == timedelta(0)
            shown = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            # On the wall it is the hour that was asked for, unless the clocks skip it.
            assert shown == wall or wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != wall
    assert found == (occurrences(value, window_from=first.isoformat(), months=months, cap=100_000, zone=zone) or [])


@given(every=st.integers(1, 24), day=st.integers(1, 31), month=st.integers(1, 12), unit=st.sampled_from(["months", "years"]))
@settings(max_examples=60, deadline=None)
def test_a_month_without_that_day_takes_its_last_one(every: int, day: int, month: int, unit: str) -> None:
    start = datetime(2024, month, 1) + relativedelta(day=day)  # noqa: DTZ001
    found = dates({"every": every, "unit": unit, "start": f"{start:%Y-%m-%d}"}, "2024-01-01", 120, cap=1000)
    end = datetime(2034, 1, 1)  # noqa: DTZ001
    steps = [start + relativedelta(**{unit: every * number}) for number in range(121)]  # type: ignore[arg-type]
    assert found == [f"{one:%Y-%m-%d}" for one in steps if one < end]


@given(every=st.integers(1, 40), unit=st.sampled_from(sorted(UNITS)), start=st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1)))  # noqa: DTZ001
@settings(max_examples=80, deadline=None)
def test_the_rule_written_says_the_same_as_the_columns(every: int, unit: str, start: datetime) -> None:
    value = {"every": every, "unit": unit, "start": start.replace(microsecond=0).isoformat()}
    written = recurrence_rule(value) or ""
    assert dates({"text": written, "start": value["start"]}, "2025-01-01", 36, cap=1000) == dates(value, "2025-01-01", 36, cap=1000)
    assert written.splitlines()[-1].startswith(f"RRULE:FREQ={UNITS[unit]}")


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-10, 3000), st.floats(), st.text(max_size=12))
WORDS = st.lists(
    st.sampled_from(
        ["every", "3", "months", "weekly", "on", "monday", "the", "last", "of", "other", "hrs", "FREQ=DAILY", "INTERVAL=2", ";", ",", "31st"]
    )
).map(" ".join)


@given(
    value=st.one_of(
        SCALARS,
        WORDS,
        st.fixed_dictionaries(
            {},
            optional={
                "text": st.one_of(WORDS, SCALARS),
                "start": st.one_of(st.datetimes().map(str), st.dates().map(str), SCALARS),
                "every": SCALARS,
                "unit": st.one_of(st.sampled_from(["Months", "Days", "hrs"]), SCALARS),
                "interval": st.one_of(st.sampled_from(["Once", "Re-occurring"]), SCALARS),
                "until": SCALARS,
                "count": SCALARS,
            },
        ),
    ),
    window_from=st.one_of(st.dates().map(str), st.text(max_size=6)),
    past=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_nothing_fails_otherwise_than_by_saying_what_is_wrong(value: Any, window_from: str, past: bool) -> None:
    for read in (lambda: occurrences(value, window_from=window_from, past=past), lambda: recurrence_rule(value), lambda: recurrence_words(value)):
        try:
            found = read()
        except ValueProblem as problem:
            assert problem.message  # noqa: PT017 - the message is what is checked
        else:
            assert found is None or found
