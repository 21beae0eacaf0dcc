"""How amounts, numbers, dates and names look on the pages: one way, everywhere."""

import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from sandbox.pipedrive.account.currencies import DIGITS

NO_BREAK = "\u00a0"
_MINUS = "\u2212"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DECIMALS_MAX = 6
_HUGE = 1e21
_TONES = 8
_OVERDUE_DAYS_MAX = 60
_KIB = 1024
_UNITS = ("bytes", "KB", "MB", "GB")
_LEADING_MARKS = " \"'«»\u201c\u201d\u2018\u2019¿¡([{-_.#"


def money(amount: float | None, currency: str | None) -> str:
    """An amount with its currency, e.g. `EUR 12,345.60`; digits beyond those of the currency are kept."""
    if amount is None:
        return ""
    whole, _, decimals = _exact(amount).partition(".")
    decimals = decimals.ljust(DIGITS.get(currency or "", 2), "0")
    text = f"{whole}.{decimals}" if decimals else whole
    return f"{currency}{NO_BREAK}{text}" if currency else text


def number(value: float | None) -> str:
    """A plain number, e.g. `1,234.5`."""
    return "" if value is None else _exact(value)


def _exact(value: float) -> str:
    """Write a number as it was given, with separators, and rounded where it is longer than any price."""
    if abs(value) >= _HUGE:
        return f"{value:g}"
    rounded = round(Decimal(repr(value)), _DECIMALS_MAX)
    text = f"{abs(rounded):,f}"
    return f"{_MINUS if rounded < 0 else ''}{text.rstrip('0').rstrip('.') if '.' in text else text}"


def day(text: str | None) -> str:
    """A date, e.g. `12 Mar 2025`. What is not a date is shown as it is."""
    if not text:
        return ""
    try:
        value = date.fromisoformat(text[:10])
    except ValueError:
        return text
    return f"{value.day}{NO_BREAK}{_MONTHS[value.month - 1]}{NO_BREAK}{value.year}"


def moment(text: str | None, zone: str) -> str:
    """A stored time in a zone, e.g. `12 Mar 2025, 10:34`."""
    local = local_time(text, zone)
    return (text or "") if local is None else f"{day(local.date().isoformat())}, {local:%H:%M}"


def local_time(text: str | None, zone: str) -> datetime | None:
    """Read a stored time; None when it is none."""
    if not text:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).astimezone(ZoneInfo(zone))


def near(text: str, today: date) -> str:
    """A due date as a person would say it: `today`, `tomorrow`, `3 days overdue`, `due 4 Oct 2015`, else the date."""
    try:
        days = (date.fromisoformat(text[:10]) - today).days
    except ValueError:
        return text
    if days < -_OVERDUE_DAYS_MAX:
        return f"due {day(text)}"
    if days < 0:
        return f"{-days} day{'s' if days < -1 else ''} overdue"
    return {0: "today", 1: "tomorrow"}.get(days) or day(text)


def duration(text: str | None) -> str:
    """Hours and minutes, e.g. `1 h 30 min` for `01:30`."""
    hours, colon, rest = (text or "").partition(":")
    if not colon or not hours.isdigit() or not rest[:2].isdigit():
        return text or ""
    parts = [f"{int(hours)}{NO_BREAK}h"] if int(hours) else []
    if int(rest[:2]) or not parts:
        parts.append(f"{int(rest[:2])}{NO_BREAK}min")
    return NO_BREAK.join(parts)


def size(count: int | None) -> str:
    """A number of bytes, e.g. `12.3 KB` (of 1,024)."""
    amount = float(count or 0)
    unit = 0
    while amount >= _KIB and unit < len(_UNITS) - 1:
        amount /= _KIB
        unit += 1
    return f"{number(round(amount, 1))}{NO_BREAK}{_UNITS[unit]}"


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun, e.g. `1 deal`, `1,200 deals`."""
    return f"{count:,}{NO_BREAK}{one if count == 1 else many or one + 's'}"


def initials(name: str) -> str:
    """Up to two first letters of a name."""
    words = [word for word in name.split() if word[:1].isalnum()]
    chosen = words if len(words) < 2 else [words[0], words[-1]]
    return "".join(word[0] for word in chosen).upper() or "?"


def tone(number_of: int) -> int:
    """One of eight colours for a user or a record, always the same for it."""
    return number_of % _TONES


def plain(text: str) -> str:
    """A text for comparing: without case and accents."""
    text = text.casefold()
    if text.isascii():
        return text
    return "".join(character for character in unicodedata.normalize("NFKD", text) if not unicodedata.combining(character))


def sortable(name: str) -> str:
    """A name for sorting: without case, accents and leading marks."""
    text = plain(name)
    return text.lstrip(_LEADING_MARKS) or text
