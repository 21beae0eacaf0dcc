"""Named transforms: small pure functions from a source value to a target value. A mapping names them; it holds no code.

Every transform takes the value first and its options by name; it is never called with an empty value (None, "", [] or {}), and answers None
for "no value". It raises `ValueProblem` for a value it cannot read.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from typing import Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

import nh3
import phonenumbers
from dateutil import parser as dateutil_parser

Transform: TypeAlias = Callable[..., Any]

_SHOWN_CHARACTERS: Final = 80
_EMAIL_SEPARATORS: Final = re.compile(r"[;/,]")
_BLANKS: Final = re.compile(r"(\s+)")
_PHONE_SEPARATORS: Final = re.compile(r"[;/\n]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_KEY_IN_BRACES: Final = re.compile(r"\{([^{}]+)\}")
_PERIOD_MAX: Final = 9999
_DATES_KEPT: Final = 8192
_PHONES_KEPT: Final = 4096
_PHONE_CHARACTERS_MAX: Final = 250
"""The longest text in which `phonenumbers` looks for a number."""
_DATE_CHARACTERS_MAX: Final = 200
_NUMBER_CHARACTERS_MAX: Final = 400
_NUMBER_EXPONENT_MAX: Final = 300
_NUMBER_MAX: Final = 10**_NUMBER_EXPONENT_MAX
"""Beyond that a number is a mistake; what is computed of a smaller one is still a number."""
_WHOLE_FLOAT_MAX: Final = 1e16
"""From there on a float is written with an exponent: its last digits are nobody's."""
_DEPTH_MAX: Final = 50
"""Lists in lists in objects that are written as text: nobody reads more."""


class ValueProblem(Exception):  # noqa: N818 - not a failure of the program but a remark about a value
    """A value that cannot be used.

    Attributes:
        reason: `ErrorReason` name without prefix.
        message: what is wrong with the value; shows the value, shortened.
    """

    def __init__(self, message: str, *, reason: str = "VALUE_INVALID") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def shown(value: object) -> str:
    """Answer a value as it is shown in messages: quoted, at most 80 characters."""
    try:
        written = repr(value[:_SHOWN_CHARACTERS] if isinstance(value, str) else value)
    except (RecursionError, ValueError):  # nested too deeply, or a number with thousands of digits
        written = f"a {type(value).__name__} too large to show"
    return written if len(written) <= _SHOWN_CHARACTERS else f"{written[: _SHOWN_CHARACTERS - 1]}…"


def text(value: object) -> str | None:
    """Write a value as text, unchanged if it is one. Text of blanks only is no value; lists are joined with commas."""
    if isinstance(value, str):  # nearly always
        return value if value.strip() else None
    return _written(value, 0)


def _written(value: object, depth: int) -> str | None:
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, (int, float)) and abs(value) <= _NUMBER_MAX:
        return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE_FLOAT_MAX else str(value)
    if depth > _DEPTH_MAX:
        raise ValueProblem("a list or object that is nested too deeply cannot be written as text")
    if isinstance(value, list):
        return ", ".join(part for element in value if (part := _part(element, depth))) or None
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {part}" for name, element in value.items() if (part := _part(element, depth))) or None
    raise ValueProblem(f"{shown(value)} cannot be written as text")


def _part(value: object, depth: int) -> str | None:
    return None if value is None else _written(value, depth + 1)


def _text_or_none(value: object) -> str | None:
    return None if value is None else text(value)


def whole_text(value: str) -> str:
    """Put a mark for halves of characters: a text that was cut in the middle of one cannot be written as UTF-8."""
    return value if value.isascii() else _SURROGATES.sub("\ufffd", value)


def strip(value: object) -> str | None:
    """Take blanks off both ends of a text."""
    written = text(value)
    return written.strip() if written else None


def first_of(value: object) -> object:
    """Take the first element of a list that has a value; anything else stays as it is."""
    if isinstance(value, list):
        return next((element for element in value if element not in (None, "", [], {})), None)
    return value


def number(value: object) -> int | float:
    """Read a number; text may use a decimal comma and thousands marks (`1.234,50`, `1,234.50`)."""
    if isinstance(value, bool):
        raise ValueProblem(f"{shown(value)} is not a number")
    if isinstance(value, (int, float)):
        if not abs(value) <= _NUMBER_MAX:
            raise ValueProblem(f"{shown(value)} is not a number")
        return value
    if not isinstance(value, str) or len(value) > _NUMBER_CHARACTERS_MAX:
        raise ValueProblem(f"{shown(value)} is not a number")
    digits = re.sub(r"[\s\u00a0']", "", value)
    has_decimal_comma = "," in digits and digits.rfind(",") > digits.rfind(".")
    digits = digits.replace(".", "").replace(",", ".") if has_decimal_comma else digits.replace(",", "")
    try:
        found = Decimal(digits)
    except InvalidOperation as error:
        raise ValueProblem(f"{shown(value)} is not a number") from error
    if not found.is_finite() or found.adjusted() > _NUMBER_EXPONENT_MAX:
        raise ValueProblem(f"{shown(value)} is not a number")
    return int(found) if found == found.to_integral_value() else float(found)


def integer(value: object) -> int:
    """Read a whole number."""
    found = number(value)
    if found != int(found):
        raise ValueProblem(f"{shown(value)} is not a whole number")
    return int(found)


def scale(value: object, *, factor: float) -> int | float:
    """Multiply a number."""
    return number(number(value) * factor)


def rounded(value: object, *, digits: int = 0) -> int | float:
    """Round a number, halves to the even neighbour."""
    return number(round(number(value), digits))


def absolute(value: object) -> int | float:
    """Take the sign off a number."""
    return abs(number(value))


def moment(value: object, *, day_first: bool = True) -> datetime:
    """Read a point in time; one without offset counts as UTC. The date must be whole: `March 2024` is refused rather than completed."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if not isinstance(value, str) or len(value) > _DATE_CHARACTERS_MAX:
        raise ValueProblem(f"{shown(value)} is not a date")
    return _written_moment(value, day_first)


@lru_cache(maxsize=_DATES_KEPT)
def _written_moment(value: str, day_first: bool) -> datetime:
    """Read a point in time from text; the same few dates stand in many fields and records."""
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        found = _lenient_moment(value, day_first=day_first)
    if not 1 < found.year < _PERIOD_MAX:
        raise ValueProblem(f"{shown(value)} is not a date")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _lenient_moment(value: str, *, day_first: bool) -> datetime:
    """Read any common form. A missing part would be filled from the default: reading with two defaults shows it."""
    try:
        one, other = (
            dateutil_parser.parse(value, dayfirst=day_first, default=default, tzinfos=_named_zone)
            for default in (datetime(2000, 1, 1), datetime(2001, 2, 2))  # noqa: DTZ001
        )
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueProblem(f"{shown(value)} is not a date") from error
    if one.date() != other.date():
        raise ValueProblem(f"{shown(value)} is not a whole date")
    return one


def _named_zone(name: str | None, offset: int | None) -> tzinfo | None:
    """Answer the zone that stands beside a time. Letters mean different zones in different countries (`CST`, `IST`): only those of UTC are read."""
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    if name is None or name.upper() in {"UTC", "GMT", "Z"}:
        return UTC
    raise ValueError(f"the zone {name} may be several")


def datetime_utc(value: object, *, day_first: bool = True) -> str:
    """Write a point in time as RFC 3339 in UTC, whole seconds: `2026-03-02T10:15:00Z`."""
    return _written_utc(value, day_first) if isinstance(value, str) else _rfc_3339(moment(value, day_first=day_first))


@lru_cache(maxsize=_DATES_KEPT)
def _written_utc(value: str, day_first: bool) -> str:
    return _rfc_3339(moment(value, day_first=day_first))


def _rfc_3339(found: datetime) -> str:
    """Write a point in time in UTC. `strftime` would write the year 999 with three digits."""
    return found.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def calendar_date(value: object, *, day_first: bool = True) -> str:
    """Keep the date part as it is written, without shifting it to another zone: `2026-02-10T00:00:00+0000` is 10 February everywhere."""
    return _written_date(value, day_first) if isinstance(value, str) else moment(value, day_first=day_first).date().isoformat()


@lru_cache(maxsize=_DATES_KEPT)
def _written_date(value: str, day_first: bool) -> str:
    return moment(value, day_first=day_first).date().isoformat()


def date_in_zone(value: object, *, zone: str, day_first: bool = True) -> str:
    """Answer the date a true point in time has on the wall calendar of a zone."""
    return moment(value, day_first=day_first).astimezone(_zone(zone)).date().isoformat()


def noon_utc(value: object, *, day_first: bool = True) -> str:
    """Make a point in time of a calendar date: noon UTC, which is the same date from UTC-12 to UTC+11."""
    return f"{calendar_date(value, day_first=day_first)}T12:00:00Z"


def local_to_utc(value: object, *, zone: str) -> str:
    """Read the clock on the wall of `zone`, whatever offset is written beside it, and write it as UTC."""
    return _rfc_3339(moment(value).replace(tzinfo=_zone(zone)))


def clock_time(value: object) -> str:
    """Answer the time of day in UTC, `HH:MM:SS`."""
    return moment(value).astimezone(UTC).time().isoformat(timespec="seconds")


def written_time(value: object) -> str | None:
    """Keep the time of day as it is written, `HH:MM`, without shifting it to another zone; midnight means no time."""
    written = moment(value).time().isoformat(timespec="minutes")
    return None if written == "00:00" else written


def add_days(value: object, *, days: int) -> str:
    """Move a calendar date by some days."""
    try:
        return (date.fromisoformat(calendar_date(value)) + timedelta(days=days)).isoformat()
    except OverflowError as error:
        raise ValueProblem(f"{days} days from {shown(value)} leave the calendar") from error


@cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueProblem(f"{shown(name)} is not a time zone") from error


_TRUE_WORDS: Final = frozenset({"true", "yes", "sí", "si", "1", "x", "on", "y", "verdadero"})
_FALSE_WORDS: Final = frozenset({"false", "no", "0", "off", "n", "falso"})


def boolean(value: object) -> bool:
    """Read a truth value: true and false, yes and no in English and Spanish, 1 and 0."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in {0, 1}:
        return value == 1
    word = value.strip().casefold() if isinstance(value, str) else None
    if word in _TRUE_WORDS:
        return True
    if word in _FALSE_WORDS:
        return False
    raise ValueProblem(f"{shown(value)} is neither yes nor no")


def yes_no(value: object, *, yes: str = "Yes", no: str = "No") -> str:
    """Write a truth value as one of two words."""
    return yes if boolean(value) else no


def negate(value: object) -> bool:
    """Turn a truth value round."""
    return not boolean(value)


def upper(value: object) -> str | None:
    """Write in capitals."""
    written = text(value)
    return written.upper() if written else None


def emails(value: object, *, label: str = "work", primary: bool = False) -> list[dict[str, Any]] | None:
    """Make a list of e-mail addresses from text with `;`, `/`, commas or blanks between them.

    The first address is the primary one. Where lists are put `together`, `primary` says from which the primary address comes.
    """
    parts = (part for written in _texts(value) for part in _EMAIL_SEPARATORS.split(written))
    return _entries((_addresses(part) for part in parts), label, is_chosen=primary)


def _addresses(part: str) -> list[str]:
    """Take addresses with blanks between them apart: each word with `@` begins a new one, so that `Ana García ana@example.com` is two entries."""
    found: list[list[str]] = [[]]
    for word in _BLANKS.split(part):
        if "@" in word:
            found.append([])
        found[-1].append(word)
    return ["".join(words) for words in found]


def phones(
    value: object, *, label: str = "work", primary: bool = False, normalise: bool = False, region: str | None = None
) -> list[dict[str, Any]] | None:
    """Make a list of phone numbers from text with `;`, `/` or line breaks between them.

    The first number is the primary one. Where lists are put `together`, `primary` says from which the primary number comes.
    Numbers stay as they are written; with `normalise` those that can be read (in `region` where they have no country code) become E.164.
    """
    parts = [part for written in _texts(value) for part in _PHONE_SEPARATORS.split(written)]
    if normalise:
        parts = [e164(part, region=region) for part in parts if part.strip()]
    return _entries([parts], label, is_chosen=primary)


def e164(value: str, *, region: str | None = None) -> str:
    """Write a phone number as E.164 if it is a possible one, else leave it as it is."""
    return _e164(value, region) if len(value) <= _PHONE_CHARACTERS_MAX else value


@lru_cache(maxsize=_PHONES_KEPT)
def _e164(value: str, region: str | None) -> str:
    """Read a phone number, which is slow; a customer's number stands on every one of its records."""
    try:
        found = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return value
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_possible_number(found) else value


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [written for element in values if element is not None and (written := text(element))]


def _entries(groups: Iterable[list[str]], label: str, *, is_chosen: bool) -> list[dict[str, Any]] | None:
    seen = list(dict.fromkeys(part.strip() for group in groups for part in group if part.strip()))
    chosen = {"chosen": True} if is_chosen else {}
    return [
        {"value": part, "label": label, "primary": position == 0, **(chosen if position == 0 else {})} for position, part in enumerate(seen)
    ] or None


def one_primary(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what stands twice and keep one primary entry, the chosen or else the first: Pipedrive refuses two."""
    distinct: dict[str, dict[str, Any]] = {}
    for entry in entries:
        distinct.setdefault(entry["value"], entry)
    kept = list(distinct.values())
    primary = next((position for position, entry in enumerate(kept) if entry.get("chosen")), 0)
    return [{"value": entry["value"], "label": entry["label"], "primary": position == primary} for position, entry in enumerate(kept)]


def address(
    value: object,
    *,
    street: str = "address-data",
    extra: str = "extra-data",
    city: str = "city-town",
    province: str = "province",
    postal_code: str = "postal-code",
    country: str = "country-code",
    whole: str = "formatted-address",
) -> dict[str, str] | None:
    """Make an address from an object with parts; the options name its keys. Parts that are missing are left out."""
    if isinstance(value, str):
        return {"value": value} if value.strip() else None
    if not isinstance(value, Mapping):
        raise ValueProblem(f"{shown(value)} is not an address")
    parts = {name: _text_or_none(value.get(key)) for name, key in (("route", street), ("subpremise", extra), ("locality", city))}
    parts["admin_area_level_1"] = _text_or_none(value.get(province))
    parts["postal_code"] = _text_or_none(value.get(postal_code))
    parts["country"] = _text_or_none(value.get(country))
    found = {name: part for name, part in parts.items() if part}
    town = " ".join(part for part in (found.get("postal_code"), found.get("locality")) if part)
    line = [found.get("route"), found.get("subpremise"), town, found.get("admin_area_level_1"), found.get("country")]
    written = _text_or_none(value.get(whole)) if not found.get("route") else None
    shown_whole = written or ", ".join(part for part in line if part)
    return {"value": shown_whole, **found} if shown_whole else None


def address_line(value: object) -> str | None:
    """Write an address as one line."""
    found = address(value)
    return found["value"] if found else None


def html_text(value: object) -> str | None:
    """Make HTML that shows a plain text as it is: markup is escaped, line breaks stay."""
    written = text(value)
    if written is None or not _NOT_HTML_TEXT.search(written):  # most values are a word or a number
        return written
    return html.escape(written, quote=False).replace("\r\n", "\n").replace("\r", "\n").replace("\n", "<br>")


_NOT_HTML_TEXT: Final = re.compile(r"[&<>\r\n]")
_CHANGED_BY_CLEANING: Final = ("<", "&", ">", "\r", "\x00", "\xa0", "\ufeff")
"""Characters without which cleaning HTML gives back the text it was given: a test tries every character there is."""
_TAGS: Final = {
    *("a", "b", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "s", "span"),
    *("strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul"),
}
_URL_SCHEMES: Final = {"http", "https", "mailto", "tel"}


def html_sanitise(value: object) -> str | None:
    """Take everything out of HTML that could run or that notes do not keep: scripts, event attributes, styles, frames."""
    written = text(value)
    if written is None:
        return None
    whole = whole_text(written)
    return whole if is_bare(whole) else nh3.clean(whole, tags=_TAGS, url_schemes=_URL_SCHEMES) or None


def is_bare(whole: str) -> bool:
    """Say whether a text has no markup at all, nor a character that cleaning would write differently."""
    return not any(one in whole for one in _CHANGED_BY_CLEANING)


def option(value: object, *, separator: str | None = None) -> str | list[str] | None:
    """Write a value as the label of an option, or with `separator` as a list of labels."""
    written = strip(value)
    if written is None or separator is None:
        return written
    return [part.strip() for part in written.split(separator) if part.strip()] or None


def truncate(value: object, *, length: int, mark: str = "…") -> str | None:
    """Cut a text that is longer than `length` characters, with a mark at the end. For texts whose rest is not missed."""
    written = text(value)
    if written is None or len(written) <= length:
        return written
    return written[: length - len(mark)] + mark


def prefix(value: object, *, text_before: str) -> str | None:
    """Put a text in front of one that is there."""
    written = text(value)
    return f"{text_before}{written}" if written else None


def count(value: object) -> int | None:
    """Count the elements of a list; one value counts as one."""
    if isinstance(value, str) and not value.strip():
        return None
    return len(value) if isinstance(value, list) else 1


def total(value: object) -> int | float | None:
    """Add the numbers of a list up as they are written, so that 0.1 and 0.2 are 0.3."""
    elements = value if isinstance(value, list) else [value]
    summands = [Decimal(str(number(one))) for one in elements if one not in (None, [], {}) and not (isinstance(one, str) and not one.strip())]
    found = sum(summands, Decimal(0))
    return number(int(found) if found == found.to_integral_value() else float(found)) if summands else None


def compound_discount(value: object) -> int | float:
    """Make one percentage of several that are given one after the other: 10 % and then 5 % are 14.5 %. Up to 6 decimals."""
    left = 1.0
    for one in value if isinstance(value, list) else [value]:
        left *= 1 - number(one) / 100
    return number(round((1 - left) * 100, 6))


def sort(value: object, *, by: str) -> list[Any]:
    """Sort a list of objects by one of their numbers or texts; objects without it come last."""
    elements = value if isinstance(value, list) else [value]
    return sorted(elements, key=lambda element: sort_key(element.get(by) if isinstance(element, Mapping) else None))


def sort_key(value: object) -> tuple[int, float, str]:
    """Answer a key that puts numbers before texts and missing values last."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return 0, value, ""
    return (2, 0.0, "") if value is None else (1, 0.0, value if isinstance(value, str) else shown(value))


def each(value: object, *, template: str, needs: str | None = None) -> list[str] | None:
    """Write every object of a list as text: keys in braces are filled in. Objects without any of them, or without the key `needs`, are left out."""
    elements = value if isinstance(value, list) else [value]
    written = []
    for element in elements:
        if not isinstance(element, Mapping) or element.get("deleted") is True:
            continue
        if needs is not None and _text_or_none(element.get(needs)) is None:
            continue
        found = {key: _text_or_none(element.get(key)) for key in _KEY_IN_BRACES.findall(template)}
        if any(found.values()):
            written.append(_KEY_IN_BRACES.sub(lambda match, known=found: known[match[1]] or "", template).strip())  # type: ignore[misc]
    return written or None


def lines(value: object, *, kind: Literal["comma", "line"] = "comma", repeated: bool = False) -> str | None:
    """Join the texts of a list, keeping their order; of equal ones only the first, unless `repeated`."""
    found = _texts(value)
    return (", " if kind == "comma" else "\n").join(found if repeated else dict.fromkeys(found)) or None


TRANSFORMS: Final[Mapping[str, Transform]] = {
    "absolute": absolute,
    "add_days": add_days,
    "address": address,
    "address_line": address_line,
    "bool": boolean,
    "calendar_date": calendar_date,
    "clock_time": clock_time,
    "compound_discount": compound_discount,
    "count": count,
    "date": calendar_date,
    "date_in_zone": date_in_zone,
    "datetime": datetime_utc,
    "emails": emails,
    "each": each,
    "first": first_of,
    "html_sanitise": html_sanitise,
    "html_text": html_text,
    "integer": integer,
    "join": lines,
    "local_to_utc": local_to_utc,
    "negate": negate,
    "noon_utc": noon_utc,
    "number": number,
    "option": option,
    "phones": phones,
    "prefix": prefix,
    "round": rounded,
    "scale": scale,
    "sort": sort,
    "strip": strip,
    "sum": total,
    "text": text,
    "truncate": truncate,
    "upper": upper,
    "written_time": written_time,
    "yes_no": yes_no,
}
"""Transforms of single values by the name a mapping uses; `catalogue` has them all."""
