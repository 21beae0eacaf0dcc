"""Dates and times as exports write them.

The order of day, month and year is a fact about a column, never about a cell: `Evidence` collects what a column's cells prove, `decide` answers the
order or why there is none, and only then a `DateReader` reads. Cells that show their order (`2026-03-02`, `3 Mar 2026`, a workbook's own dates) are
read the same in every column.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.extractor.connectors.bundle.cells import TypedCell, clock_hours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ORDERS: Final = ("dmy", "mdy", "ymd")
SAMPLES_MAX: Final = 3
OPEN: Final = "?"
SHORT: Final = "short year"
UNREADABLE: Final = "unreadable"
_NO_CLOCK, _UNZONED, _ZONED = range(3)
_CACHE_MAX: Final = 20_000
_MONTHS: Final = {
    name: number for number, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1)
}
_NUMERIC: Final = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})")
_COMPACT: Final = re.compile(r"(19|20)(\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
_DAY_NAME: Final = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+", re.IGNORECASE)
_DAY_MONTH: Final = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[\s-]+([A-Za-z]{3,9})\.?,?[\s-]+(\d{2}|\d{4})")
_MONTH_DAY: Final = re.compile(r"([A-Za-z]{3,9})\.?[\s-]+(\d{1,2})(?:st|nd|rd|th)?,?[\s-]+(\d{2}|\d{4})")
_SERIAL: Final = re.compile(r"(\d{1,7})(?:\.(\d+))?")
_SERIAL_ZERO: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - a workbook's days have no zone
_SERIAL_MAX: Final = 2_958_465
_DAY_ZERO: Final = "00:00:00"
"""What a workbook's day 0 reads as: 30 December 1899, with which old data bases say that there is no date."""
DAY_ZERO_FORM: Final = "a workbook's day 0"
_TIME: Final = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?\s*(?:([AaPp])\.?\s*[Mm]\.?)?\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)?", re.IGNORECASE)
_DATE_TIME: Final = re.compile(r"(.+?\d)(?:[T,]\s*|\s+(?:at\s+)?|\s*,\s+)(\d{1,2}:\d\d.*)", re.IGNORECASE)


class Evidence:
    """What the dates of one column show. Counted by how a cell looks, because most cells of a column look alike."""

    def __init__(self) -> None:
        self._days: dict[str, tuple[str, str]] = {}
        self._clocks: dict[str, int] = {"": _NO_CLOCK}
        self._tallies: dict[tuple[tuple[str, str], int], _Tally] = {}
        self.is_clean = True
        """Whether all cells are dates."""

    def take(self, text: str, row: int) -> bool:
        """Look at one cell; answers whether it is a date without a zone."""
        day, _, clock = text.partition(" ")
        look = self._days.get(day) if type(text) is str else None
        time = self._clocks.get(clock)
        if look is None or time is None:
            look, time = self._learn(text)
        tally = self._tallies.get((look, time))
        if tally is None:
            tally = self._tallies[look, time] = _Tally()
            self.is_clean = self.is_clean and bool(look[0])
        tally.count += 1
        if tally.count <= SAMPLES_MAX:
            tally.samples.append((row, text))
        return bool(look[0]) and time != _ZONED

    def _learn(self, text: str) -> tuple[tuple[str, str], int]:
        day, clock = split(text)
        if clock and clock not in self._clocks:
            if not (match := _TIME.fullmatch(clock)):
                return ("", ""), _NO_CLOCK
            if len(self._clocks) > _CACHE_MAX:
                self._clocks = {"": _NO_CLOCK}
            self._clocks[clock] = _UNZONED if match[5] is None else _ZONED
        look = _weigh(day, is_typed=isinstance(text, TypedCell))
        if type(text) is str:
            if len(self._days) > _CACHE_MAX:
                self._days.clear()
            self._days[day] = look
        return look, self._clocks[clock]

    @property
    def forms(self) -> Counter[str]:
        """How many cells have each form, as a person would write it down."""
        counts: Counter[str] = Counter()
        for ((form, _), _), tally in self._tallies.items():
            if form:
                counts[form] += tally.count
        return counts

    @property
    def proofs(self) -> dict[str, int]:
        """How many cells can only be read in one order, by order."""
        return {order: count for order in ORDERS if (count := self._count(lambda _, verdict: verdict == order))}  # noqa: B023 - used at once

    @property
    def open_count(self) -> int:
        """Cells that are different dates in different orders."""
        return self._count(lambda _, verdict: verdict == OPEN)

    @property
    def short_year_count(self) -> int:
        """Cells whose year has two digits."""
        return self._count(lambda form, _: is_short(form))

    @property
    def timed_count(self) -> int:
        """Cells with a time of day."""
        return sum(tally.count for (_, time), tally in self._tallies.items() if time != _NO_CLOCK)

    @property
    def unreadable_count(self) -> int:
        """Cells that are no dates."""
        return self._count(lambda form, _: not form)

    def samples(self, kind: str) -> list[str]:
        """Answer a few cells, with their rows: those that prove an order, are `OPEN`, `SHORT` or `UNREADABLE`."""
        found = [
            sample
            for ((form, verdict), _), tally in self._tallies.items()
            if verdict == kind or (kind == SHORT and is_short(form)) or (kind == UNREADABLE and not form)
            for sample in tally.samples
        ]
        return [f"row {row}: {text[:40]}" for row, text in sorted(found)[:SAMPLES_MAX]]

    def _count(self, wants: Callable[[str, str], bool]) -> int:
        return sum(tally.count for ((form, verdict), _), tally in self._tallies.items() if wants(form, verdict))


@dataclass(slots=True)
class _Tally:
    count: int = 0
    samples: list[tuple[int, str]] = field(default_factory=list)


def is_short(form: str) -> bool:
    """Say whether a form has a year of two digits."""
    return "YY" in form and "YYYY" not in form


def decide(evidence: Evidence, others: Iterable[Evidence]) -> tuple[str, str]:
    """Answer a column's order and, where there is none, why not; `others` are the columns of the same table.

    A column that proves nothing takes the order that all columns of its table prove together: one program wrote them.
    """
    proven = list(evidence.proofs)
    if len(proven) > 1:
        return "", "mixed"
    if proven:
        return proven[0], ""
    if not evidence.open_count:
        return "", ""
    around = {order for other in others for order in other.proofs}
    return (around.pop(), "") if len(around) == 1 else ("", "ambiguous")


def split(text: str) -> tuple[str, str]:
    """Answer the date and the time of day in a text; both empty for none."""
    day, blank, clock = text.partition(" ")
    if not blank:
        day, blank, clock = text.partition("T")
    if blank and clock[:1].isdigit() and ":" in clock and day[-1:].isdigit() and day.count(" ") == 0 and day[:1].isdigit():
        return day, clock.strip()
    if ":" not in text:
        return text, ""
    match = _DATE_TIME.fullmatch(text)
    return (match[1], match[2].strip()) if match else (text, "")


def _weigh(day: str, *, is_typed: bool) -> tuple[str, str]:
    """Answer the form of a date and what it proves: an order, `OPEN` for several, empty for nothing (or everything the same)."""
    if is_typed and day == _DAY_ZERO:
        return DAY_ZERO_FORM, ""
    orders: tuple[str, ...]
    if match := _NUMERIC.fullmatch(day):
        first, sign, _, last = match.groups()
        if len(first) == 4 or len(last) == 4:  # noqa: PLR2004 - digits of a year
            if len(first) == 4:  # noqa: PLR2004
                is_date = parse_day(day, "ymd", None) is not None
                return (f"YYYY{sign}MM{sign}DD" if is_date else ""), ""
            form, orders = f"00{sign}00{sign}YYYY", ("dmy", "mdy")
        elif len(first) <= 2 and len(last) == 2:  # noqa: PLR2004
            form, orders = f"00{sign}00{sign}YY", ORDERS
        else:
            return "", ""
        readings = {order: value for order in orders if (value := parse_day(day, order, 1970)) is not None}
        if not readings:
            return "", ""
        if len(set(readings.values())) == 1:
            return form, next(iter(readings)) if len(readings) == 1 else ""
        return form, OPEN
    if _COMPACT.fullmatch(day):
        return "YYYYMMDD", ""
    if is_typed and _serial(day) is not None:
        return "a workbook's number", ""
    if parse_named(day, 1970) is not None:
        return ("month by name, YYYY" if re.search(r"\d{4}", day) else "month by name, YY"), ""
    return "", ""


def parse_day(text: str, order: str, window: int | None) -> date | None:
    """Read a date of three numbers in an order; None if it is none, or its year has two digits and no window says which."""
    match = _NUMERIC.fullmatch(text)
    if match is None:
        return None
    first, middle, last = match[1], match[3], match[4]
    if len(first) > 2:  # noqa: PLR2004 - a year
        if len(first) != 4:  # noqa: PLR2004
            return None
        order = "ymd"
    elif len(last) == 3 or (order == "ymd" and len(last) > 2):  # noqa: PLR2004
        return None
    year, month, day = {"dmy": (last, middle, first), "mdy": (last, first, middle), "ymd": (first, middle, last)}[order]
    whole = _year(year, window)
    try:
        return date(whole, int(month), int(day)) if whole is not None else None
    except ValueError:
        return None


def parse_named(text: str, window: int | None) -> date | None:
    """Read a date with the English name of its month."""
    bare = _DAY_NAME.sub("", text.strip(), count=1)
    if match := _DAY_MONTH.fullmatch(bare):
        day, name, year = match.groups()
    elif match := _MONTH_DAY.fullmatch(bare):
        name, day, year = match.groups()
    else:
        return None
    month = _MONTHS.get(name[:3].lower())
    whole = _year(year, window)
    try:
        return date(whole, month, int(day)) if month and whole is not None else None
    except ValueError:
        return None


def _year(text: str, window: int | None) -> int | None:
    if len(text) == 4:  # noqa: PLR2004 - digits of a year
        return int(text)
    if len(text) > 2 or window is None:  # noqa: PLR2004
        return None
    century = window - window % 100
    year = century + int(text)
    return year if year >= window else year + 100


def _serial(text: str) -> datetime | None:
    match = _SERIAL.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= _SERIAL_MAX:
        return None
    return _SERIAL_ZERO + timedelta(seconds=round(float(text) * 86_400))


class DateReader:
    """Reads the cells of one column. Answers ISO 8601, an empty text for a date that means none, and what it cannot read as it was written."""

    def __init__(self, order: str, *, window: int | None, empty: frozenset[str], zone: ZoneInfo | None = None) -> None:
        self._order = order or "ymd"
        self._window = window
        self._empty = empty
        self._zone = zone
        self.moved_count = 0
        """Times that a change of the clocks leaves out or repeats."""
        self._days: dict[str, tuple[date, str, str] | None] = {}
        self._clocks: dict[str, tuple[int, int, int, str] | None] = {"": (0, 0, 0, "")}
        self._quick: dict[str, str] = {"": "T00:00:00"}
        """Times of day without a zone, as they stand in the answer."""

    def read_date(self, text: str) -> str:
        """Read a date; a time of day at midnight is left away, another one makes the cell unreadable as a date."""
        day, clock = split(text)
        found = self._day(day, text)
        if found is None:
            if text == _DAY_ZERO and isinstance(text, TypedCell):
                return ""
            moment = self._typed(text)
            return moment.date().isoformat() if moment is not None else text
        if clock and ((time := self._clock(clock)) is None or time[:3] != (0, 0, 0)):
            return text
        return found[1]

    def read_moment(self, text: str, zone: ZoneInfo | None = None) -> str:
        """Read a date and time in a zone (that of the row, else of the column); a date alone is midnight."""
        day, _, clock = text.partition(" ")
        found, quick = self._days.get(day), self._quick.get(clock)
        if found is not None and quick is not None and zone is None and found[2]:
            return found[1] + quick + found[2]
        return self._read_slowly(text, zone)

    def _read_slowly(self, text: str, zone: ZoneInfo | None) -> str:
        day, clock = split(text)
        found = self._day(day, text)
        if found is None:
            if text == _DAY_ZERO and isinstance(text, TypedCell):
                return ""
            moment = self._typed(text)
            return text if moment is None else self._in_zone(moment, zone)
        the_day, iso, offset = found
        time = self._clock(clock)
        if time is None:
            return text
        if not iso:
            return ""
        hours, minutes, seconds, own = time
        if own:
            return f"{iso}T{hours:02}:{minutes:02}:{seconds:02}{own}"
        if zone is None and offset:
            return f"{iso}T{hours:02}:{minutes:02}:{seconds:02}{offset}"
        return self._in_zone(datetime(the_day.year, the_day.month, the_day.day, hours, minutes, seconds), zone)  # noqa: DTZ001 - placed next

    def _day(self, day: str, text: str) -> tuple[date, str, str] | None:
        """Answer a date, its ISO form, and the offset of its zone where that is one from midnight to midnight."""
        if day in self._days:
            return self._days[day]
        if len(self._days) > _CACHE_MAX:
            self._days.clear()
        value = parse_day(day, self._order, self._window)
        if value is None and (match := _COMPACT.fullmatch(day)):
            value = parse_day(f"{match[1]}{match[2]}-{match[3]}-{match[4]}", "ymd", None)
        if value is None and not isinstance(text, TypedCell):
            value = parse_named(day, self._window)
        found = None
        if value is not None:
            iso = value.isoformat()
            found = (value, "", "") if iso in self._empty else (value, iso, _whole_day_offset(value, self._zone))
        self._days[day] = found
        return found

    def _clock(self, text: str) -> tuple[int, int, int, str] | None:
        if text in self._clocks:
            return self._clocks[text]
        if len(self._clocks) > _CACHE_MAX:
            self._clocks.clear()
            self._quick.clear()
        found = self._clocks[text] = _parse_clock(text)
        if found is not None and not found[3]:
            self._quick[text] = f"T{found[0]:02}:{found[1]:02}:{found[2]:02}"
        return found

    def _typed(self, text: str) -> datetime | None:
        return _serial(text) if isinstance(text, TypedCell) else None

    def _in_zone(self, moment: datetime, zone: ZoneInfo | None) -> str:
        zone = zone or self._zone
        if zone is None:
            return moment.isoformat()
        placed = moment.replace(tzinfo=zone)
        back = placed.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
        if back != moment:  # a time the clocks leave out in spring: the later of the two readings
            self.moved_count += 1
            return placed.astimezone(UTC).astimezone(zone).isoformat()
        if placed.utcoffset() != placed.replace(fold=1).utcoffset():  # a time the clocks repeat in autumn: the first
            self.moved_count += 1
        return placed.isoformat()


def _parse_clock(text: str) -> tuple[int, int, int, str] | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hours = clock_hours(int(match[1]), match[4])
    minutes, seconds = int(match[2]), int(match[3] or 0)
    if hours is None or minutes > 59 or seconds > 59:  # noqa: PLR2004 - minutes and seconds
        return None
    zone = (match[5] or "").upper()
    own = "+00:00" if zone else ""
    if zone.startswith(("+", "-")):
        own = zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    return hours, minutes, seconds, own


def _whole_day_offset(day: date, zone: ZoneInfo | None) -> str:
    if zone is None or day.year in {1, 9999}:
        return ""
    begin = datetime(day.year, day.month, day.day, tzinfo=zone)
    end = begin + timedelta(days=1)
    if begin.utcoffset() != end.utcoffset() or begin.utcoffset() != begin.replace(fold=1).utcoffset():
        return ""
    return begin.isoformat()[19:]


def zone_of(name: str) -> ZoneInfo | None:
    """Answer a time zone by its IANA name, None for what is none."""
    try:
        return ZoneInfo(name.strip())
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return None
