"""Cells to values: numbers, truth values, times and lists. What cannot be read stays as it was written; nothing is invented and nothing raises."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Reader = "Callable[[str], Any]"

TRUE: Final = frozenset({"yes", "y", "true", "t", "1", "-1", "on", "x", "checked", "✓"})
FALSE: Final = frozenset({"no", "n", "false", "f", "0", "off", "unchecked"})
EXACT_DIGITS: Final = 15
"""Digits that a JSON number keeps."""
FORMULA: Final = re.compile(r"\s*(?:[=@]|[+-][A-Za-z(])")
"""How a cell begins that a spreadsheet would calculate. It stays text here, and every export to CSV or XLSX disarms it."""

_CURRENCY: Final = re.compile(r"^(?:[A-Z]{1,3}\$|[$€£¥₹₽₩₪₫₱฿₺₴]|[A-Za-z]{3}\b)\s*|\s*(?:[A-Z]{1,3}\$|[$€£¥₹₽₩₪₫₱฿₺₴]|\b[A-Za-z]{3})$")
_BLANKS: Final = str.maketrans("", "", " \u00a0\u202f\u2009'\u2019")
_QUICK: Final = {
    ".": re.compile(r"(-?)\$?(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?"),
    ",": re.compile(r"(-?)(\d{1,3}(?:\.\d{3})+|\d+)(?:,(\d+))?"),
}
_PROVES_POINT: Final = re.compile(r"-?\$?(?:\d{1,3}(?:,\d{3})+\.\d*|\d+\.(?:\d{1,2}|\d{4,}))")
_FORMS: Final = {
    ".": re.compile(r"-?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?|-?\.\d+"),
    ",": re.compile(r"-?(?:\d+|\d{1,3}(?:\.\d{3})+)(?:,\d*)?|-?,\d+"),
}
_SCIENTIFIC: Final = re.compile(r"-?\d+(?:[.,]\d+)?[eE][+-]?\d+")
_TIME: Final = re.compile(r"(\d{1,2})[:.h](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?\s*([AaPp])?\.?(?:[Mm]\.?)?")


class TypedCell(str):
    """The text of a cell that a workbook holds as a number, date or truth value: it is written in one known way."""

    __slots__ = ()


def bare_number(text: str) -> str | None:
    """Take currency, blanks and the accountant's brackets away; None if what is left is no number in any writing."""
    bare = _CURRENCY.sub("", text.strip()).translate(_BLANKS)
    if bare.startswith("(") and bare.endswith(")"):
        bare = "-" + _CURRENCY.sub("", bare[1:-1])
    elif bare.endswith("-"):
        bare = "-" + bare[:-1]
    bare = bare.replace("\u2212", "-").removeprefix("+")
    if bare.startswith("-"):
        bare = "-" + _CURRENCY.sub("", bare[1:])
    return bare if bare and (_FORMS["."].fullmatch(bare) or _FORMS[","].fullmatch(bare)) else None


def decimal_evidence(text: str) -> str:
    """Answer which sign a number proves to be its decimal one: `.`, `,`, `?` if it could be either, empty if it shows none."""
    if _PROVES_POINT.fullmatch(text):
        return "."
    bare = bare_number(text)
    if bare is None or ("." not in bare and "," not in bare):
        return ""
    is_point, is_comma = bool(_FORMS["."].fullmatch(bare)), bool(_FORMS[","].fullmatch(bare))
    if is_point and is_comma:
        return "?"
    return "." if is_point else ","


def as_number(value: Decimal) -> int | float | None:
    """Answer a number that JSON holds without loss, None if it cannot."""
    if value == value.to_integral_value():
        return int(value) if abs(value) < 10**EXACT_DIGITS else None
    number = float(value)
    return number if Decimal(repr(number)) == value else None


def number_reader(decimal: str, *, scale: int = 1) -> Callable[[str], Any]:
    """Make a reader of numbers with this decimal sign. With `scale` 100 the number is a share of one, read as per cent."""
    form = _FORMS[decimal]
    thousands = "," if decimal == "." else "."

    quick = _QUICK[decimal]

    def read(text: str) -> Any:
        # Nearly all numbers look like this; what does not is looked at closely.
        if scale == 1 and len(text) <= EXACT_DIGITS and type(text) is str and (match := quick.fullmatch(text)):
            sign, whole, fraction = match.groups()
            if fraction is None:
                return int(sign + whole.replace(thousands, ""))
            value = float(f"{sign}{whole.replace(thousands, '')}.{fraction}")
            return int(value) if value.is_integer() else value
        bare = bare_number(text)
        is_typed = isinstance(text, TypedCell)
        if bare is None or not (is_typed or form.fullmatch(bare)):
            return text
        plain = bare if is_typed else bare.replace(thousands, "").replace(",", ".")
        try:
            number = as_number(Decimal(plain) * scale)
        except InvalidOperation:
            return text
        return text if number is None else number

    return read


def integer_reader(decimal: str) -> Callable[[str], Any]:
    """Make a reader of whole numbers; one with a fraction stays as it was written."""
    read_number = number_reader(decimal)

    def read(text: str) -> Any:
        value = read_number(text)
        return value if isinstance(value, int) else text

    return read


def percent_reader(decimal: str, *, is_share: bool) -> Callable[[str], Any]:
    """Make a reader of per cents, answered from 0 to 100. What has a `%` says so itself."""
    plain, share = number_reader(decimal), number_reader(decimal, scale=100)

    def read(text: str) -> Any:
        if text.endswith("%"):
            value = plain(text[:-1].strip())
            return text if isinstance(value, str) else value
        return share(text) if is_share else plain(text)

    return read


def read_boolean(text: str) -> Any:
    """Read a truth value in the ways exports write it."""
    word = text.casefold()
    if word in TRUE:
        return True
    return False if word in FALSE else text


def read_time(text: str) -> Any:
    """Read a time of day as `HH:MM:SS`."""
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    hours = clock_hours(int(match[1]), match[4])
    if hours is None or int(match[2]) > 59 or int(match[3] or 0) > 59:  # noqa: PLR2004 - minutes
        return text
    return f"{hours:02}:{match[2]}:{match[3] or '00'}"


def clock_hours(hours: int, half: str | None) -> int | None:
    """Answer the hour of the day, of 12 with `a` or `p` or of 24; None if there is none."""
    if not half:
        return hours if hours < 24 else None  # noqa: PLR2004 - a day
    if not 1 <= hours <= 12:  # noqa: PLR2004 - half a day
        return None
    return hours % 12 + (12 if half in "pP" else 0)


def list_reader(separators: Sequence[str]) -> Callable[[str], Any]:
    """Make a reader of lists: the elements without blanks around them, empty ones left out."""
    if len(separators) == 1:
        separator = separators[0]
        return lambda text: [element for part in text.split(separator) if (element := part.strip())]
    pattern = re.compile("|".join(re.escape(one) for one in separators))
    return lambda text: [element for part in pattern.split(text) if (element := part.strip())]


def is_scientific(text: str) -> bool:
    """Say whether a spreadsheet has turned an id into `1.23E+11`, with its last digits lost."""
    return _SCIENTIFIC.fullmatch(text) is not None
