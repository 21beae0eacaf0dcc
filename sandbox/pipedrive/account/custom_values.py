"""Checks of custom field values in the shapes of version 2, one per field type."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol
from zoneinfo import available_timezones

from sandbox.pipedrive.account.schema import ADDRESS_PARTS, NUMBER_MAX, Problems, is_date
from sandbox.pipedrive.store.store import Record

_PATH = "custom_fields"
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")
VARCHAR_MAX = 255
TEXT_MAX = 65_535
DIGITS_MAX = 16


class Surroundings(Protocol):
    """What a value may refer to."""

    def option_ids(self, field: Record) -> frozenset[int]:
        """Ids of the field's options."""

    def exists(self, kind: str, record_id: int) -> bool:
        """Whether a record is there and not deleted."""

    def is_currency(self, code: str) -> bool:
        """Whether the company knows a currency."""

    def timezone(self) -> str:
        """Zone of the calling user."""


def check_value(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
    """Return the value to store for a custom field. Null clears any type; an empty text is stored as null (assumed)."""
    if value is None:
        return None
    found = len(problems.found)
    stored = _CHECKS[field["field_type"]](field, value, problems, around)
    return None if len(problems.found) > found else stored


def _wrong(field: Record, expected: str, kind: str, problems: Problems, value: Any) -> None:
    if type(value) is dict and expected != "object":
        problems.add(_PATH, "Invalid collection")
    else:
        problems.add(_PATH, f"Expected '{expected}' as value for {kind} custom field '{field['field_code']}'")


def _text(length: int) -> Callable[..., Any]:
    def check(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
        del around
        if type(value) is not str:
            _wrong(field, "string", "text", problems, value)
        elif len(value) > length:
            problems.add(_PATH, f"Value of custom field '{field['field_code']}' is longer than {length} characters")
        return value or None

    return check


def _double(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
    del around
    _check_number(field, value, "numerical", problems)
    return value


def _check_number(field: Record, value: Any, kind: str, problems: Problems) -> None:
    """A number below 10^16; what decimals beyond 16 digits do is not checked."""
    if type(value) is not int and type(value) is not float:
        _wrong(field, "number", kind, problems, value)
    elif abs(value) >= NUMBER_MAX:
        problems.add(_PATH, f"Value of custom field '{field['field_code']}' has more than {DIGITS_MAX} digits")


def _date(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
    del around
    if type(value) is not str:
        _wrong(field, "string", "date", problems, value)
    elif not is_date(value):
        problems.add(_PATH, f"Value of date custom field '{field['field_code']}' is not a valid date.")
    return value


def _parts(field: Record, value: Any, problems: Problems, kind: str, allowed: tuple[str, ...]) -> bool:
    """Check that a composite value is an object with known keys and a `value`."""
    if type(value) is not dict:
        problems.add(_PATH, f"{kind} custom field value expected 'object'")
        return False
    for key in value:
        if key not in allowed:
            problems.add(_PATH, f"Unknown key '{key}' in {kind.lower()} custom field '{field['field_code']}'")
            return False
    if "value" not in value:
        problems.add(_PATH, f"Key 'value' is required in {kind.lower()} custom field '{field['field_code']}'")
        return False
    return True


def _monetary(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
    if not _parts(field, value, problems, "Monetary", ("value", "currency")):
        return None
    _check_number(field, value["value"], "monetary", problems)
    currency = value.get("currency")
    if type(currency) is not str or not around.is_currency(currency):
        problems.add(_PATH, f"Currency of monetary custom field '{field['field_code']}' is not known")
    return {"value": value["value"], "currency": currency}


def _daterange(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
    if not _parts(field, value, problems, "Daterange", ("value", "until")):
        return None
    return {part: _date(field, value.get(part), problems, around) for part in ("value", "until")}


def _time(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
    return _times(field, value, problems, around, ("value",))


def _timerange(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
    return _times(field, value, problems, around, ("value", "until"))


def _times(field: Record, value: Any, problems: Problems, around: Surroundings, parts: tuple[str, ...]) -> Any:
    kind = "Time" if len(parts) == 1 else "Timerange"
    if not _parts(field, value, problems, kind, (*parts, "timezone_name", "timezone_id")):
        return None
    stored: Record = {}
    for part in parts:
        text = value.get(part)
        if type(text) is not str or not _TIME.fullmatch(text):
            problems.add(_PATH, f"Value of {kind.lower()} custom field '{field['field_code']}' is not a valid time.")
            return None
        stored[part] = text if len(text) > 5 else text + ":00"
    zone = value.get("timezone_name") or around.timezone()
    zones = _zones()
    if zone not in zones:
        problems.add(_PATH, f"Time zone of {kind.lower()} custom field '{field['field_code']}' is not known")
        return None
    return {**stored, "timezone_id": zones[zone], "timezone_name": zone}


@cache
def _zones() -> dict[str, int]:
    """Known zones with a number each, as the internal `timezone_id`."""
    return {name: index for index, name in enumerate(sorted(available_timezones()), 1)}


def zone_of(number: Any) -> str | None:
    """Return the name of the zone that has a `timezone_id`, None when none has."""
    return next((name for name, index in _zones().items() if index == number), None)


def _enum(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
    if type(value) is not int:
        _wrong(field, "number", "single option", problems, value)
    elif value not in around.option_ids(field):
        problems.add(_PATH, f"Unknown option '{value}' for custom field '{field['field_code']}'")
    return value


def _set(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
    if type(value) is not list:
        _wrong(field, "array", "multiple options", problems, value)
        return value
    if not value:
        problems.add(_PATH, f"Value of custom field '{field['field_code']}' must not be an empty collection; use null")
    for item in value:
        if type(item) is not int or item not in around.option_ids(field):
            problems.add(_PATH, f"Unknown option '{item}' for custom field '{field['field_code']}'")
    return list(dict.fromkeys(item for item in value if type(item) is int))


def _link(kind: str, name: str) -> Callable[..., Any]:
    def check(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
        if type(value) is not int:
            _wrong(field, "number", name, problems, value)
        elif not around.exists(kind, value):
            problems.add(_PATH, f"Unknown {name} '{value}' for custom field '{field['field_code']}'")
        return value

    return check


def _address(field: Record, value: Any, problems: Problems, around: Surroundings) -> Any:
    del around
    if not _parts(field, value, problems, "Address", (*ADDRESS_PARTS, "formatted_address")):
        return None
    for part, text in value.items():
        if text is not None and type(text) is not str:
            problems.add(_PATH, f"Expected 'string' for '{part}' of address custom field '{field['field_code']}'")
    # Without geocoding there is nothing to format but what was sent (assumed).
    return {**{part: value.get(part) for part in ADDRESS_PARTS}, "formatted_address": value["value"]}


_CHECKS: dict[str, Callable[[Record, Any, Problems, Surroundings], Any]] = {
    "varchar": _text(VARCHAR_MAX),
    "varchar_auto": _text(VARCHAR_MAX),
    "phone": _text(VARCHAR_MAX),
    "text": _text(TEXT_MAX),
    "double": _double,
    "monetary": _monetary,
    "date": _date,
    "daterange": _daterange,
    "time": _time,
    "timerange": _timerange,
    "enum": _enum,
    "set": _set,
    "user": _link("user", "user"),
    "org": _link("organization", "organization"),
    "people": _link("person", "person"),
    "address": _address,
}
