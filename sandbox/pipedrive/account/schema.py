"""Checks of request bodies and queries: strict about keys and types, collecting every problem.

A check takes a value and where it stands, notes problems, and returns the value to store. Messages follow the fragments
recorded of version 2; those not recorded are formed like them (assumed).
"""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from typing import Any

from sandbox.pipedrive.gateway.errors import validation_failed

ADDRESS_PARTS = (
    "value",
    "country",
    "admin_area_level_1",
    "admin_area_level_2",
    "locality",
    "sublocality",
    "route",
    "street_number",
    "subpremise",
    "postal_code",
)
NUMBER_MAX = 10**16
BAD_TIME = "This value is not a valid datetime."
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
_SPACED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")
_DURATION = re.compile(r"\d\d:[0-5]\d(:[0-5]\d)?")


class Problems:
    """Problems found in one request."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, path: str, message: str) -> None:
        """Note a problem at a place."""
        self.found.append(f"{path}: {message}" if path else message)

    def raise_if_any(self) -> None:
        """Raise the 400 that names all problems."""
        if self.found:
            raise validation_failed(self.found)


Check = Callable[[Any, str, Problems], Any]


def not_allowed(key: str) -> str:
    """Message for a key that the operation does not know."""
    return f"Parameter '{key}' is not allowed for this request"


def not_a(kind: str) -> str:
    """Message for a value of the wrong type."""
    return f"The value is not a valid '{kind}'"


def check_object(body: Any, fields: Mapping[str, Check], required: Collection[str], problems: Problems, path: str = "") -> dict[str, Any]:
    """Check an object against its known keys and return the values to store."""
    if type(body) is not dict:
        problems.add(path or "body", not_a("object"))
        return {}
    prefix = path + "." if path else ""
    values = {}
    for key, value in body.items():
        check = fields.get(key)
        if check is None:
            problems.add(prefix + key, not_allowed(key))
        else:
            values[key] = check(value, prefix + key, problems)
    for key in required:
        if key not in body:
            problems.add(prefix + key, "The value is required")
    return values


def integer(value: Any, path: str, problems: Problems) -> Any:
    """An integer; a number in a string or a boolean is not one."""
    if type(value) is not int:
        problems.add(path, not_a("integer"))
    return value


def positive(value: Any, path: str, problems: Problems) -> Any:
    """An integer above 0."""
    if type(value) is not int:
        problems.add(path, not_a("integer"))
    elif value < 1:
        problems.add(path, "The value must be greater than 0")
    return value


def number(value: Any, path: str, problems: Problems) -> Any:
    """An integer or a decimal number below 10^16 (the bound is assumed)."""
    if type(value) is not int and type(value) is not float:
        problems.add(path, not_a("number"))
    elif abs(value) >= NUMBER_MAX:
        problems.add(path, "The value is too large")
    return value


def above_zero(value: Any, path: str, problems: Problems) -> Any:
    """A number above 0."""
    number(value, path, problems)
    if type(value) in (int, float) and value <= 0:
        problems.add(path, "The value must be greater than 0")
    return value


def boolean(value: Any, path: str, problems: Problems) -> Any:
    """True or false; 0 and 1 are refused."""
    if type(value) is not bool:
        problems.add(path, not_a("boolean"))
    return value


def string(value: Any, path: str, problems: Problems) -> Any:
    """Any text."""
    if type(value) is not str:
        problems.add(path, not_a("string"))
    return value


def filled(value: Any, path: str, problems: Problems) -> Any:
    """Text with something else than white space in it."""
    if type(value) is not str:
        problems.add(path, not_a("string"))
    elif not value.strip():
        problems.add(path, "This value should not be blank.")
    return value


def text_max(length: int) -> Check:
    """Text of at most `length` characters."""

    def check(value: Any, path: str, problems: Problems) -> Any:
        if type(value) is not str:
            problems.add(path, not_a("string"))
        elif len(value) > length:
            problems.add(path, f"This value is too long. It should have {length} characters or less.")
        return value

    return check


def label(value: Any, path: str, problems: Problems) -> Any:
    """Name of a field or an option: 1 to 255 characters."""
    filled(value, path, problems)
    return text_max(255)(value, path, problems) if type(value) is str else value


def nullable(check: Check) -> Check:
    """A value or null."""

    def checked(value: Any, path: str, problems: Problems) -> Any:
        return None if value is None else check(value, path, problems)

    return checked


def one_of(*allowed: Any) -> Check:
    """One of a closed set."""

    def check(value: Any, path: str, problems: Problems) -> Any:
        if type(value) is bool or value not in allowed:
            problems.add(path, f"The value must be one of: {', '.join(str(item) for item in allowed)}")
        return value

    return check


def array(check: Check, count_max: int = 0) -> Check:
    """A list, of at most `count_max` items unless that is 0."""

    def checked(value: Any, path: str, problems: Problems) -> Any:
        if type(value) is not list:
            problems.add(path, not_a("array"))
            return value
        if count_max and len(value) > count_max:
            problems.add(path, f"This collection should contain {count_max} elements or less.")
            return value
        return [check(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]

    return checked


def obj(fields: Mapping[str, Check], required: Collection[str] = ()) -> Check:
    """An object with known keys."""

    def checked(value: Any, path: str, problems: Problems) -> Any:
        return check_object(value, fields, required, problems, path)

    return checked


def rfc3339(value: Any, path: str, problems: Problems) -> Any:
    """A point in time as RFC 3339 with whole seconds; stored in UTC."""
    if type(value) is not str:
        problems.add(path, not_a("string"))
    elif (stored := parse_time(value)) is None:
        problems.add(path, BAD_TIME)
    else:
        return stored
    return value


def any_time(value: Any, path: str, problems: Problems) -> Any:
    """A point in time, RFC 3339 or `YYYY-MM-DD HH:MM:SS` in UTC (which of them version 2 takes is not established)."""
    if type(value) is str and _SPACED.fullmatch(value):
        value = value.replace(" ", "T") + "Z"
    return rfc3339(value, path, problems)


def day(value: Any, path: str, problems: Problems) -> Any:
    """A date `YYYY-MM-DD`."""
    if type(value) is not str:
        problems.add(path, not_a("string"))
    elif not is_date(value):
        problems.add(path, "This value is not a valid date.")
    return value


def time_of_day(value: Any, path: str, problems: Problems) -> Any:
    """`HH:MM` or `HH:MM:SS`; stored with seconds."""
    return _clock(_CLOCK, value, path, problems)


def duration(value: Any, path: str, problems: Problems) -> Any:
    """`HH:MM` or `HH:MM:SS`, up to 99 hours (assumed); stored with seconds."""
    return _clock(_DURATION, value, path, problems)


def _clock(pattern: re.Pattern[str], value: Any, path: str, problems: Problems) -> Any:
    if type(value) is not str:
        problems.add(path, not_a("string"))
    elif not pattern.fullmatch(value):
        problems.add(path, BAD_TIME)
    elif len(value) == 5:
        return value + ":00"
    return value


_ADDRESS: dict[str, Check] = {part: nullable(string) for part in ADDRESS_PARTS}


def address(value: Any, path: str, problems: Problems) -> Any:
    """An address object. Only `value` is needed; every part left out becomes null, on updates too. Null clears it (assumed)."""
    if value is None:
        return None
    given = check_object(value, _ADDRESS, ("value",), problems, path)
    return {part: given.get(part) for part in ADDRESS_PARTS}


def parse_time(text: str) -> str | None:
    """Return an RFC 3339 time in UTC as stored, None when it is not one or has fractions of a second."""
    if not _RFC3339.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return text if text.endswith("Z") else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return None


def parse_v1_time(text: Any) -> str | None:
    """Return a version 1 time (`YYYY-MM-DD HH:MM:SS`, UTC) as stored, None when it is not one."""
    if not isinstance(text, str) or not _SPACED.fullmatch(text):
        return None
    return parse_time(text.replace(" ", "T") + "Z")


def is_date(text: str) -> bool:
    """Whether a text is a date that exists."""
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
