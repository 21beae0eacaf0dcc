"""The small grammar of recurrences in plain words: `Every 3 Months`, `quarterly`, `weekly on Monday`, `every 250 hrs`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from services.transformer.transforms.problem import ValueProblem, shown

if TYPE_CHECKING:
    from datetime import date


@dataclass(frozen=True, slots=True)
class Rule:
    """A recurrence by the calendar.

    Attributes:
        text: the RRULE's parts, `FREQ=` first.
        follows_start: whether day and month come from the first date.
    """

    text: str
    follows_start: bool = False

    def bounded(self, *, until: date | None, count: int | None) -> Rule:
        """Answer the rule with an end. A number of times is taken where both are given and the rule has none of its own."""
        if "COUNT=" in self.text or "UNTIL=" in self.text or (until is None and count is None):
            return self
        end = f"COUNT={count}" if count is not None else f"UNTIL={until:%Y%m%d}T235959"
        return replace(self, text=f"{self.text};{end}")


@dataclass(frozen=True, slots=True)
class Once:
    """It happens once."""


@dataclass(frozen=True, slots=True)
class Meter:
    """A recurrence by a meter: dates do not follow from it."""

    every: str
    unit: str


_FREQUENCIES: Final = {
    **dict.fromkeys(("day", "days", "d", "daily"), ("DAILY", 1)),
    **dict.fromkeys(("week", "weeks", "wk", "wks", "weekly"), ("WEEKLY", 1)),
    **dict.fromkeys(("month", "months", "mo", "mos", "mth", "mths", "monthly"), ("MONTHLY", 1)),
    **dict.fromkeys(("quarter", "quarters", "qtr", "qtrs", "quarterly"), ("MONTHLY", 3)),
    **dict.fromkeys(("year", "years", "yr", "yrs", "yearly", "annually", "annual"), ("YEARLY", 1)),
    **dict.fromkeys(("fortnight", "fortnights", "fortnightly"), ("WEEKLY", 2)),
    **dict.fromkeys(("semi-annually", "semiannually", "semi-annual", "semiannual", "half-yearly", "half yearly"), ("MONTHLY", 6)),
    **dict.fromkeys(("biennially", "biennial"), ("YEARLY", 2)),
}
_METER_UNITS: Final = {
    **dict.fromkeys(("hour", "hours", "hr", "hrs", "h", "operating hours", "run hours", "engine hours"), "hours"),
    **dict.fromkeys(("mile", "miles", "mi"), "miles"),
    **dict.fromkeys(("kilometer", "kilometers", "kilometre", "kilometres", "km", "kms"), "kilometers"),
    **dict.fromkeys(("gallon", "gallons", "gal"), "gallons"),
    **dict.fromkeys(("cycle", "cycles"), "cycles"),
    **dict.fromkeys(("start", "starts"), "starts"),
    **dict.fromkeys(("kwh",), "kWh"),
}
_NUMBERS: Final = {
    "one": 1,
    "other": 2,
    "two": 2,
    "second": 2,
    "three": 3,
    "third": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
}
_DAYS: Final = {
    **dict.fromkeys(("monday", "mondays", "mon"), "MO"),
    **dict.fromkeys(("tuesday", "tuesdays", "tue", "tues"), "TU"),
    **dict.fromkeys(("wednesday", "wednesdays", "wed"), "WE"),
    **dict.fromkeys(("thursday", "thursdays", "thu", "thur", "thurs"), "TH"),
    **dict.fromkeys(("friday", "fridays", "fri"), "FR"),
    **dict.fromkeys(("saturday", "saturdays", "sat"), "SA"),
    **dict.fromkeys(("sunday", "sundays", "sun"), "SU"),
}
_PLACES: Final = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "last": -1}
_AMBIGUOUS: Final = {
    **dict.fromkeys(("biweekly", "bi-weekly"), "twice a week or every two weeks"),
    **dict.fromkeys(("bimonthly", "bi-monthly"), "twice a month or every two months"),
    **dict.fromkeys(("biannually", "bi-annually", "biannual", "bi-annual"), "twice a year or every two years"),
}

_DIGITS: Final = r"\d{1,3}(?:,\d{3})+|\d{1,6}"
_EVERY: Final = re.compile(
    rf"(?:every|each|once every|once per|once an?|per) (?:(?P<number>{_DIGITS}|{'|'.join(_NUMBERS)})(?:[ -]|(?<=\d)))?(?P<unit>[a-z][a-z -]*)"
)
_PLAIN: Final = re.compile(rf"(?P<number>{_DIGITS})[ -]?(?P<unit>[a-z][a-z -]*)")
_ON: Final = re.compile(r"(?P<often>.+?) on (?:the )?(?P<day>.+)")
_PLACE: Final = re.compile(r"(?:the )?(?P<place>first|1st|second|2nd|third|3rd|fourth|4th|last) (?P<day>[a-z]+) (?:of|in) (?:the|each|every|a) month")
_DAY_OF_MONTH: Final = re.compile(r"(?P<day>\d{1,2})(?:st|nd|rd|th)?(?: day)?(?: of (?:the|each|every) month)?")
_DAY_SEPARATORS: Final = re.compile(r"\s*(?:,|;|/|&|\band\b)\s*")
_FREQUENCY_NAMES: Final = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
_DAY_NAMES: Final = {"MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday", "SA": "Saturday", "SU": "Sunday"}
_LONGEST_MONTH: Final = 31


def rule_of(every: int, unit: str) -> Rule | Meter:
    """Answer the rule of a number and a unit, `3` and `Months`. Raises ValueProblem for a unit that is not known."""
    word = _plain(unit)
    if word in _FREQUENCIES:
        frequency, factor = _FREQUENCIES[word]
        interval = every * factor
        return Rule(f"FREQ={frequency}" + (f";INTERVAL={interval}" if interval > 1 else ""), follows_start=True)
    if word in _METER_UNITS:
        return Meter(str(every), _METER_UNITS[word])
    raise ValueProblem(f"{shown(unit)} is neither a unit of time nor of a meter")


def read_words(text: str) -> Rule | Once | Meter:
    """Read a recurrence in plain words.

    Raises:
        ValueProblem: they cannot be read, or in two ways.
    """
    words = _plain(text)
    if words in _AMBIGUOUS:
        raise ValueProblem(f"{shown(text)} may mean {_AMBIGUOUS[words]}: say which")
    if words in {"once", "one time", "one-time"}:
        return Once()
    place = _PLACE.fullmatch(words)
    if place and place["day"] in _DAYS:
        return Rule(f"FREQ=MONTHLY;BYDAY={_PLACES[place['place']]:+d}{_DAYS[place['day']]}")
    found = _often(words) or _on_days(words)
    if found is None:
        raise ValueProblem(f"{shown(text)} is no recurrence that can be read: write it like `every 3 months` or as an RRULE")
    return found


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("\u00a0", " ").split()).strip(" .;,")


def _often(words: str) -> Rule | Meter | None:
    """Read `monthly`, `every 3 months`, `every other week`, `every weekday`, `every Monday`, `3 months`."""
    if words in _FREQUENCIES and words.endswith(("ly", "annual")):
        return rule_of(1, words)
    if words in {"every weekday", "weekdays", "each weekday", "every working day", "every business day"}:
        return Rule("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR")
    if words.startswith(("every ", "each ")) and (days := _days(words.partition(" ")[2])):
        return Rule(f"FREQ=WEEKLY;BYDAY={days}")
    for pattern in (_EVERY, _PLAIN):
        match = pattern.fullmatch(words)
        if match and (found := _counted(match["number"], match["unit"])) is not None:
            return found
    return None


def _counted(number: str | None, unit: str) -> Rule | Meter | None:
    if unit.endswith(("ly", "annual")):
        return None
    digits = (number or "one").replace(",", "")
    every = int(digits) if digits.isdecimal() and digits.isascii() else _NUMBERS.get(digits, 0)
    return rule_of(every, unit) if every and (unit in _FREQUENCIES or unit in _METER_UNITS) else None


def _on_days(words: str) -> Rule | None:
    """Read `weekly on Monday and Thursday`, `monthly on the 15th`, `every 2 weeks on Friday`."""
    match = _ON.fullmatch(words)
    often = _often(match["often"]) if match else None
    if match is None or not isinstance(often, Rule) or not often.follows_start:
        return None
    if often.text.startswith("FREQ=WEEKLY"):
        days = _days(match["day"])
        return Rule(f"{often.text};BYDAY={days}") if days else None
    day = _DAY_OF_MONTH.fullmatch(match["day"])
    if often.text.startswith("FREQ=MONTHLY") and day and 1 <= int(day["day"]) <= _LONGEST_MONTH:
        days_up_to = ",".join(str(one) for one in range(28, int(day["day"]) + 1))
        last = int(day["day"])
        # A month without that day takes its last one.
        return Rule(f"{often.text};BYMONTHDAY={last}" if last <= 28 else f"{often.text};BYMONTHDAY={days_up_to};BYSETPOS=-1")  # noqa: PLR2004
    return None


def _days(words: str) -> str:
    """Answer the days of the week a text lists, as an RRULE names them; empty when it lists anything else."""
    names = [part for part in _DAY_SEPARATORS.split(words) if part]
    return ",".join(dict.fromkeys(_DAYS[name] for name in names)) if names and all(name in _DAYS for name in names) else ""


def rule_words(rule: Rule) -> str:
    """Write a rule in words; the RRULE itself where it says more than the words could."""
    parts = dict(part.partition("=")[::2] for part in rule.text.split(";"))
    interval = int(parts.get("INTERVAL", "1"))
    unit = _FREQUENCY_NAMES[parts["FREQ"]]
    words = f"every {unit}" if interval == 1 else f"every {interval} {unit}s"
    rest = {name: given for name, given in parts.items() if name not in {"FREQ", "INTERVAL", "COUNT", "UNTIL"}}
    if set(rest) == {"BYDAY"} and all(day in _DAY_NAMES for day in rest["BYDAY"].split(",")):
        words += " on " + ", ".join(_DAY_NAMES[day] for day in rest["BYDAY"].split(","))
    elif rest:
        words += f" ({';'.join(f'{name}={given}' for name, given in rest.items())})"
    if "COUNT" in parts:
        words += f", {parts['COUNT']} times"
    if "UNTIL" in parts:
        words += f", until {parts['UNTIL'][:4]}-{parts['UNTIL'][4:6]}-{parts['UNTIL'][6:8]}"
    return words


def meter_words(meter: Meter) -> str:
    """Write a recurrence by a meter in words."""
    return f"every {meter.every} {meter.unit} by the meter"
