"""Appointments that come again although the source does not say so: found by what they have in common, with their rhythm (L-12)."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import date
from itertools import groupby, islice, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from services.transformer.context import Context
from services.transformer.recurrence import recurrence_words
from services.transformer.sheets import compiler_for, reader
from services.transformer.texts import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.sections import Series
    from services.transformer.snapshot.lookup import Snapshot

SERIES_FILE: Final = "recurring-appointments"
SERIES_MIN: Final = 3
"""Appointments alike that make a series; two are chance."""
SERIES_RULE_COLUMNS: Final = 2
"""Columns at the end that say the rhythm as a rule."""
DAYS_MAX: Final = 10_000
"""Most days of one series that are looked at; beyond that only their number counts."""
_SEPARATOR: Final = "\x1f"
_WEEK: Final = 7
_YEAR_MONTHS: Final = 12
_WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def series_columns(rules: Series) -> list[str]:
    """Answer the headings."""
    return [*rules.same, "Occurrences", "First", "Last", "Every", "In words", "RRULE"]


def series_rows(index: Snapshot, mapping: MappingModel, rules: Series) -> Iterator[Sequence[object]]:
    """List appointments that come again: alike in what the section names, three times or more."""
    compiler = compiler_for(mapping, rules.entity)
    same, day = [reader(compiler, rule) for rule in rules.same.values()], compiler.getter(rules.date)
    # An empty name is a private database in a temporary file: appointments may be many, and memory stays flat.
    with closing(sqlite3.connect("", check_same_thread=False)) as disk:
        disk.execute("CREATE TABLE event (series TEXT, day TEXT)")
        for one in index.iterate(rules.entity):
            if not one.is_deleted:
                context = Context(envelope=one, lookup=index)
                series = _SEPARATOR.join((plain_text(read(context)) or "").strip() for read in same)
                disk.execute("INSERT INTO event VALUES (?, ?)", (series, (plain_text(day(context)) or "")[:10]))
        yield from _rows(disk.execute("SELECT series, day FROM event ORDER BY series, day"))


def _rows(events: Iterable[tuple[str, str]]) -> Iterator[Sequence[object]]:
    for series, group in groupby(events, key=itemgetter(0)):
        days = [day for _, day in islice(group, DAYS_MAX)]
        count = len(days) + sum(1 for _ in group)
        if count >= SERIES_MIN:
            rule = rule_of(days)
            words = (recurrence_words({"text": rule}) or "") if rule else ""
            yield [*series.split(_SEPARATOR), count, days[0], days[-1], _rhythm(days), words, rule]


def _rhythm(days: Sequence[str]) -> str:
    distances = Counter(_days_between(first, second) for first, second in pairwise(days))
    found, count = distances.most_common(1)[0]
    return f"{found} days" if count == distances.total() else f"about {found} days (not regular)"


def _days_between(first: str, second: str) -> int:
    try:
        return (date.fromisoformat(second) - date.fromisoformat(first)).days
    except ValueError:
        return 0


def rule_of(days: Sequence[str]) -> str:
    """Answer the RRULE (RFC 5545) that gives exactly these days from the first one on, empty when none of the simple ones does."""
    try:
        dates = [date.fromisoformat(day) for day in days]
    except ValueError:
        return ""
    gaps = {(second - first).days for first, second in pairwise(dates)}
    if len(gaps) == 1 and (gap := gaps.pop()) > 0:
        if gap % _WEEK:
            return f"FREQ=DAILY;INTERVAL={gap};COUNT={len(dates)}"
        return f"FREQ=WEEKLY;INTERVAL={gap // _WEEK};BYDAY={_WEEKDAYS[dates[0].weekday()]};COUNT={len(dates)}"
    months = {_months(second) - _months(first) for first, second in pairwise(dates)}
    if len(months) == 1 and len({one.day for one in dates}) == 1 and (step := months.pop()) > 0:
        if step % _YEAR_MONTHS == 0:
            return f"FREQ=YEARLY;INTERVAL={step // _YEAR_MONTHS};COUNT={len(dates)}"
        return f"FREQ=MONTHLY;INTERVAL={step};COUNT={len(dates)}"
    return ""


def _months(day: date) -> int:
    return day.year * _YEAR_MONTHS + day.month
