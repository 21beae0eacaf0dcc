"""Appointments that come again: the rule gives exactly the days it was made of, or there is none."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from dateutil.relativedelta import relativedelta
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from services.transformer.exports import write_exports
from services.transformer.mapping.reading import mapping_of
from services.transformer.series import rule_of
from tests.unit.transformer.support import Snapshot

STARTS = st.dates(date(2000, 1, 1), date(2040, 12, 31))


def expanded(rule: str, first: date) -> list[str]:
    return [one.date().isoformat() for one in rrulestr(rule, dtstart=datetime(first.year, first.month, first.day))]  # noqa: DTZ001 - rules are of local days


@pytest.mark.requirement("L-12")
@given(first=STARTS, count=st.integers(3, 30), days=st.integers(1, 90))
def test_a_steady_distance_is_a_rule(first: date, count: int, days: int) -> None:
    seen = [(first + timedelta(days=days * number)).isoformat() for number in range(count)]
    assert expanded(rule_of(seen), first) == seen


@pytest.mark.requirement("L-12")
@given(first=STARTS, count=st.integers(3, 20), months=st.integers(1, 24))
def test_the_same_day_of_months_is_a_rule(first: date, count: int, months: int) -> None:
    seen = [(first + relativedelta(months=months * number)).isoformat() for number in range(count)]
    rule = rule_of(seen)
    if len({day[-2:] for day in seen}) == 1:
        assert expanded(rule, first) == seen


@given(st.lists(STARTS.map(date.isoformat) | st.text(max_size=10), min_size=2, max_size=8))
def test_a_rule_never_invents_a_day(days: list[str]) -> None:
    ordered = sorted(days)
    if rule := rule_of(ordered):
        assert expanded(rule, date.fromisoformat(ordered[0])) == ordered


@pytest.mark.requirement("L-12")
def test_series_are_written_with_words_and_rule() -> None:
    events: list[dict[str, Any]] = [{"id": str(number), "what": "Service", "day": f"2026-01-{5 + 7 * number:02}T08:00:00"} for number in range(4)]
    events += [{"id": "8", "what": "Once", "day": "2026-01-05"}, {"id": "9", "what": "Service", "day": "2026-12-24", "gone": True}]
    exports = {"series": {"entity": "event", "same": {"What": "what", "Which": {"template": "no {gone}"}}, "date": "day"}}
    mapping = mapping_of({"source": "toy", "entities": {"event": {"use": "not_moved"}}, "exports": exports})
    written = b"".join(part for name, part in write_exports(Snapshot({"event": events}), mapping) if name == "recurring-appointments.csv")
    assert written.decode("utf-8-sig").splitlines() == [
        "What,Which,Occurrences,First,Last,Every,In words,RRULE",
        'Service,,4,2026-01-05,2026-01-26,7 days,"every week on Monday, 4 times",FREQ=WEEKLY;INTERVAL=1;BYDAY=MO;COUNT=4',
    ]
