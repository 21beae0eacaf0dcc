"""Recurrences: how often something comes again, read from columns, from an RRULE or from plain words, and written as dates, words or an RRULE.

A recurrence says what its text says and nothing more: words that can be read in two ways (`biweekly`) or not at all are refused. Dates are those
of the calendar on the wall: a job at 8 o'clock stays at 8 o'clock when the clocks change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from itertools import takewhile
from typing import Any, Final
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from dateutil.rrule import rrule, rruleset, rrulestr

from services.transformer.recurrence_words import Meter, Once, Rule, meter_words, read_words, rule_of, rule_words
from services.transformer.transforms.dates import moment
from services.transformer.transforms.numbers import integer
from services.transformer.transforms.problem import ValueProblem, shown

OCCURRENCES_MAX: Final = 50
"""Occurrences of one record where nothing else is said."""
MONTHS_MAX: Final = 240
_ONCE_WORDS: Final = frozenset({"once", "one time", "one-time", "single"})
_RULE_PARTS: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYWEEKDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST"})
_FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_RULE_TEXT: Final = re.compile(r"FREQ=", re.IGNORECASE)
_TRIAL_YEAR: Final = 9970
"""Where a rule is tried for whether it ever holds: the years left until the calendar's end hold every mixture of weekdays and leap years."""
_SHORTEST_MONTH: Final = 28
_MIDNIGHT: Final = time(0, 0)
_YEAR_MIN: Final = 1900
_OFFSET: Final = re.compile(r"\d:\d{2}.*?(?:[zZ]|[+-]\d{2}:?\d{2})\s*$")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A recurrence that was read.

    Attributes:
        kind: how it comes again.
        start: first occurrence on the wall's clock, without zone; None when the source does not say.
        has_time: whether the source names a time of day.
        text: the words or the rule as the source has them, empty without.
    """

    kind: Rule | Once | Meter
    start: datetime | None
    has_time: bool
    text: str


def read_recurrence(value: object, zone: str = "UTC") -> Recurrence:
    """Read a recurrence from a text, or from an object with some of `start`, `interval`, `every`, `unit`, `until`, `count` and `text`.

    `interval` says `Once` or anything else; `every` and `unit` are a number and a word (`3`, `Months`); `text` holds words or an RRULE, and
    is asked where there is no `every`. A point in time with an offset counts by the clock on the wall of `zone`.

    Raises:
        ValueProblem: it says nothing that can be read, or something that can be read in two ways.
    """
    parts: Mapping[str, Any] = value if isinstance(value, Mapping) else {"text": value}
    text = parts.get("text")
    if text is not None and not isinstance(text, str):
        raise ValueProblem(f"{shown(text)} is no recurrence")
    start, has_time = _start(parts.get("start"), _zone(zone))
    kind = _kind(parts, (text or "").strip())
    if isinstance(kind, Rule):
        kind = kind.bounded(until=_until(parts.get("until")), count=_positive(parts.get("count"), "count"))
    return Recurrence(kind, start, has_time, (text or "").strip())


def _kind(parts: Mapping[str, Any], text: str) -> Rule | Once | Meter:
    interval = str(parts.get("interval") or "").casefold().strip()
    if interval in _ONCE_WORDS:
        return Once()
    every = _positive(parts.get("every"), "every")
    unit = parts.get("unit")
    if every is not None:
        if not isinstance(unit, str) or not unit.strip():
            raise ValueProblem(f"every {every} of what is not said: there is no unit")
        return rule_of(every, unit)
    if not text:
        raise ValueProblem("the recurrence says neither how often nor that it is once")
    return Rule(_checked(text)) if _RULE_TEXT.search(text) else read_words(text)


def _positive(value: object, name: str) -> int | None:
    if value is None or value == "":
        return None
    found = integer(value)
    if not 0 < found <= 1_000_000:  # noqa: PLR2004 - beyond that it is a mistake, not a recurrence
        raise ValueProblem(f"{name}: {shown(value)} is no number of times")
    return found


def _checked(text: str) -> str:
    """Take an RRULE apart and put together what is understood.

    Raises:
        ValueProblem: it holds something that is not understood, or comes more often than daily.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    rules = [line.partition(":")[2] if line.upper().startswith("RRULE:") else line for line in lines if not line.upper().startswith("DTSTART")]
    if len(rules) != 1:
        raise ValueProblem(f"{shown(text)} holds several rules or exceptions; one is understood")
    parts = [part.partition("=") for part in rules[0].upper().strip(";").split(";")]
    names = [name.strip() for name, _, _ in parts]
    unknown = sorted(set(names) - _RULE_PARTS)
    if unknown or len(set(names)) != len(names):
        raise ValueProblem(f"{shown(text)}: {', '.join(unknown) or 'a part that stands twice'} is not understood in a recurrence")
    found = {name.strip(): given.strip() for name, _, given in parts}
    if found.get("FREQ") not in _FREQUENCIES:
        raise ValueProblem(f"{shown(text)}: a recurrence comes daily, weekly, monthly or yearly")
    for name in ("INTERVAL", "COUNT"):
        _positive(found.get(name), name)
    rule = ";".join(f"{name}={given}" for name, given in found.items() if given)
    _rule(rule, datetime(2000, 1, 1))  # noqa: DTZ001 - dates on the wall
    return rule


def _rule(rule: str, start: datetime) -> rrule:
    # What dateutil raises for rules that make no sense is not documented; a text from a source must not stop the mapping.
    try:
        found = rrulestr(rule, dtstart=start, ignoretz=True)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise ValueProblem(f"{shown(rule)} is not a rule of recurrence") from error
    if isinstance(found, rruleset):
        raise ValueProblem(f"{shown(rule)} holds several rules; one is understood")
    return found


def _start(value: object, zone: tzinfo) -> tuple[datetime | None, bool]:
    """Answer a start on the wall's clock and whether it has a time of day; midnight means none."""
    if value is None or value == "":
        return None, False
    found = moment(value)
    if found.year < _YEAR_MIN:
        raise ValueProblem(f"{shown(value)} is too long ago for a first date")
    if isinstance(value, str) and _OFFSET.search(value):
        found = found.astimezone(zone)
    wall = found.replace(tzinfo=None, microsecond=0, fold=0)
    return wall, wall.time() != _MIDNIGHT


def _until(value: object) -> date | None:
    return None if value is None or value == "" else moment(value).date()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueProblem(f"{shown(name)} is not a time zone") from error


def occurrences(
    value: object, *, window_from: str | None = None, months: int = 12, past: bool = False, cap: int = OCCURRENCES_MAX, zone: str = "UTC"
) -> list[dict[str, Any]] | None:
    """List when a recurrence occurs in a window: `months` from `window_from` on, or with `past` the `months` before it.

    Of a long list the first `cap` are kept, with `past` the last. Each is an object: `date` and `time` on the wall of `zone`, `due_date` and
    `due_time` the same in UTC (a date without time is not shifted), `at` as RFC 3339, `number` and `of` its place among all of the window.
    What comes again by a meter has no dates, so no occurrences.
    """
    found = read_recurrence(value, zone)
    if isinstance(found.kind, Meter):
        return None
    if found.start is None:
        raise ValueProblem("the recurrence has no first date")
    if not window_from:
        raise ValueProblem("the window of recurrences has no first day: set the policy recurrence_from")
    if not 0 <= months <= MONTHS_MAX or cap < 0:
        raise ValueProblem(f"a window of {months} months with at most {cap} occurrences makes no sense")
    dates = dates_between(found.kind, found.start, *_window(window_from, -months if past else months))
    total = len(dates)
    numbered = list(enumerate(dates, start=1))
    kept = numbered[max(0, total - cap) :] if past else numbered[:cap]
    return [_occurrence(number, total, one, _zone(zone), has_time=found.has_time) for number, one in kept] or None


def is_after_window(value: object, *, window_from: str, months: int) -> bool:
    """Say whether a date, as it is written, lies after the window that begins on `window_from` and is `months` long."""
    return moment(value).date() >= _window(window_from, months)[1].date()


def _window(window_from: str, months: int) -> tuple[datetime, datetime]:
    first_day = datetime.combine(moment(window_from).date(), _MIDNIGHT)
    try:
        other_end = first_day + relativedelta(months=months)
    except (ValueError, OverflowError) as error:
        raise ValueProblem(f"a window of {months} months at {shown(window_from)} leaves the calendar") from error
    return min(first_day, other_end), max(first_day, other_end)


def dates_between(kind: Rule | Once, start: datetime, first: datetime, end: datetime) -> list[datetime]:
    """List the occurrences from `first` up to but not including `end`, on the wall's clock."""
    if isinstance(kind, Once):
        return [start] if first <= start < end else []
    rule = _rule(rule_text(kind, start), start)
    if not _ever_holds(kind.text, start):
        return []
    return [one for one in takewhile(lambda one: one < end, rule) if one >= first]


def rule_text(kind: Rule, start: datetime) -> str:
    """Answer the RRULE of a rule that starts at `start`. A month that has no such day takes its last one: nothing due is left out."""
    if not kind.follows_start:
        return kind.text
    if kind.text.startswith("FREQ=MONTHLY") and start.day > _SHORTEST_MONTH:
        return f"{kind.text};BYMONTHDAY={_days_up_to(start.day)};BYSETPOS=-1"
    if kind.text.startswith("FREQ=YEARLY") and (start.month, start.day) == (2, 29):
        return f"{kind.text};BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1"
    return kind.text


def _days_up_to(day: int) -> str:
    return ",".join(str(one) for one in range(_SHORTEST_MONTH, day + 1))


def _ever_holds(text: str, start: datetime) -> bool:
    """Say whether a rule holds on any day at all: asking one that never does for its next date would take the calendar to its end."""
    if "BY" not in text:
        return True
    parts = [part for part in text.split(";") if not part.startswith(("INTERVAL=", "COUNT=", "UNTIL="))]
    trial = _rule(";".join(parts), datetime(_TRIAL_YEAR, start.month, min(start.day, _SHORTEST_MONTH)))  # noqa: DTZ001
    return next(iter(trial), None) is not None


def _occurrence(number: int, total: int, wall: datetime, zone: ZoneInfo, *, has_time: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"number": number, "of": total, "date": wall.strftime("%Y-%m-%d")}
    if not has_time:
        return found | {"due_date": found["date"], "at": f"{found['date']}T12:00:00Z"}
    at = resolved(wall, zone)
    return found | {
        "time": wall.strftime("%H:%M"),
        "due_date": at.strftime("%Y-%m-%d"),
        "due_time": at.strftime("%H:%M"),
        "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def resolved(wall: datetime, zone: tzinfo) -> datetime:
    """Answer the point in time of a clock on the wall. A skipped hour counts as the later one, one that comes twice as the first."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def recurrence_rule(value: object, *, zone: str = "UTC") -> str | None:
    """Write a recurrence as iCalendar does, `DTSTART` and `RRULE` on a line each; None for what comes again by a meter."""
    found = read_recurrence(value, zone)
    if isinstance(found.kind, Meter):
        return None
    lines = []
    if found.start is not None:
        at = found.start.strftime("%Y%m%dT%H%M%S")
        lines.append(f"DTSTART;TZID={zone}:{at}" if found.has_time else f"DTSTART;VALUE=DATE:{at[:8]}")
    start = found.start or datetime(2000, 1, 1)  # noqa: DTZ001 - only says which days a month always has
    lines.append("RRULE:" + ("FREQ=DAILY;COUNT=1" if isinstance(found.kind, Once) else rule_text(found.kind, start)))
    return "\n".join(lines)


def recurrence_words(value: object, *, zone: str = "UTC") -> str | None:
    """Write a recurrence in words; the source's own text where it has one that cannot be read."""
    try:
        found = read_recurrence(value, zone)
    except ValueProblem:
        text = value.get("text") if isinstance(value, Mapping) else value
        return text.strip() or None if isinstance(text, str) else None
    start = ""
    if found.start is not None:
        start = found.start.strftime("%Y-%m-%d %H:%M" if found.has_time else "%Y-%m-%d")
    if isinstance(found.kind, Once):
        return f"once on {start}" if start else "once"
    words = meter_words(found.kind) if isinstance(found.kind, Meter) else rule_words(found.kind)
    return f"{words}, from {start} on" if start and isinstance(found.kind, Rule) else words
