"""What a line of a saved filter can ask of a value: operators by type of field, and the test each stands for.

Assumed, as Pipedrive shows only names: texts compare without regard to case; empty values fulfil the negative operators and no other;
`contains` asks for every option named; dates are days in UTC.
"""

import operator as operators
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from sandbox.pipedrive.account.relative_dates import span_of
from sandbox.pipedrive.account.schema import is_date, parse_v1_time

Test = Callable[[Any], bool]
"""Whether a stored value fulfils a line."""


class OperandError(ValueError):
    """The value of a line does not fit its field or operator; the message is for the answer."""


_EMPTY = {"IS NULL": "is empty", "IS NOT NULL": "is not empty"}
_SAME = {"=": "is", "!=": "is not"}
_ORDER = {">": "is more than", "<": "is less than", ">=": "is more or equal to", "<=": "is less or equal to"}
_DAYS = {">": "is later than", "<": "is earlier than", ">=": "is exactly or later than", "<=": "is exactly or earlier than"}
_TIMES = {"<": "is before", ">": "is after", ">=": "is exactly or after than", "<=": "is exactly or before than"}
_LIKE = {"LIKE '%$%'": "contains", "LIKE '$%'": "starts with", "NOT LIKE '$%'": "does not start with"}
_RANGE = {
    "=": "starts at", "!=": "does not start at", "ends_at": "ends at", "does_not_end_at": "does not end at", "<": "starts before",
    "<=": "starts exactly on or before", "ends_before": "ends before", "ends_e_before": "ends exactly on or before", ">": "starts after",
    "ends_after": "ends after", ">=": "starts exactly or after", "ends_e_after": "ends exactly or after", "includes": "does include", **_EMPTY,
}  # fmt: skip
_LINK = _SAME | _EMPTY
OPERATORS: dict[str, dict[str, str]] = {
    "int": _SAME | _ORDER | _EMPTY,
    "double": _SAME | _ORDER | _EMPTY,
    "monetary": _SAME | _ORDER | _EMPTY,
    "time": _SAME | _TIMES | _EMPTY,
    "date": _SAME | _DAYS | _EMPTY,
    "entered_stage": _SAME | _DAYS,
    "timerange": _RANGE,
    "daterange": _RANGE,
    "varchar": _SAME | _EMPTY | _LIKE,
    "stage": {**_SAME, "has_been": "has been"},
    "title": {"=": "is", **_LIKE},
    "set": {**_SAME, "contains": "contains", "not_contains": "does not contain", **_EMPTY},
    "enum": _LINK,
    "deal": _LINK,
    "product": _LINK,
    "user": {**_LINK, "belongs_to_team": "belongs to team"},
    "status": _SAME,
    "visible_to": _SAME,
    "currency": _SAME,
    "pipeline": _SAME,
    "person": _LINK,
    "organization": _LINK,
}
"""Operators and their texts, as `GET /v1/filters/helpers` groups them."""
DEPRECATED = {"NOT LIKE '%$%'": "does not contain", "LIKE '%$'": "ends with", "NOT LIKE '%$'": "does not end with"}
_GENERAL = frozenset({*_SAME, *_ORDER, *_EMPTY, *_LIKE, *DEPRECATED})
"""Taken on every field; those of a group come on top. What a comparison of unlike things gives is then a matter of the test."""
_UNKNOWABLE = frozenset({"has_been", "belongs_to_team"})
"""They ask for histories and teams, which the account does not keep."""
_GROUPS = {
    "varchar_auto": "varchar", "text": "varchar", "phone": "varchar", "address": "varchar", "org": "organization", "people": "person",
}  # fmt: skip
_GROUPS_OF_BUILT_IN = {"status": "status", "visible_to": "visible_to", "currency": "currency", "pipeline_id": "pipeline", "stage_id": "stage"}
_NEGATIVE = {
    "!=": "=", "IS NULL": "IS NOT NULL", "NOT LIKE '$%'": "LIKE '$%'", "NOT LIKE '%$%'": "LIKE '%$%'", "NOT LIKE '%$'": "LIKE '%$'",
    "not_contains": "contains", "does_not_end_at": "ends_at",
}  # fmt: skip
_ENDS = {"ends_at": "=", "ends_before": "<", "ends_e_before": "<=", "ends_after": ">", "ends_e_after": ">="}
_COMPARISONS = {"=": operators.eq, "<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge}
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


def group_of(field: Mapping[str, Any]) -> str:
    """Return the group of operators a field has."""
    kind = str(field["field_type"])
    return _GROUPS_OF_BUILT_IN.get(field["field_code"], _GROUPS.get(kind, kind))


def is_operator(group: str, operator: str) -> bool:
    """Whether the account can evaluate an operator on fields of a group."""
    return operator in _GENERAL or (operator in OPERATORS[group] and operator not in _UNKNOWABLE)


def test_of(group: str, operator: str, value: str | None, today: date) -> Test:
    """Return the test of one line.

    Args:
        group: Group of the field.
        operator: An operator that `is_operator` knows.
        value: The operand as text.
        today: The day relative dates count from.

    Raises:
        OperandError: When the operand does not fit.
    """
    if operator in _NEGATIVE:
        positive = test_of(group, _NEGATIVE[operator], value, today)
        return lambda stored: not positive(stored)
    if operator == "IS NOT NULL":
        return lambda stored: bool(_entries(stored))
    if value is None or value == "":
        raise OperandError("value must be given")
    single = _single_test(group, operator, value, today)
    return lambda stored: any(single(entry) for entry in _entries(stored))


def _entries(stored: Any) -> list[Any]:
    """Return a value as a list of what it can be tested by: several e-mails are several, an empty value none."""
    if stored is None or stored == "":
        return []
    if isinstance(stored, list) and stored and isinstance(stored[0], dict):
        return [entry["value"] for entry in stored if entry["value"]]
    return [] if stored == [] else [stored]


def _single_test(group: str, operator: str, value: str, today: date) -> Test:
    if "LIKE" in operator:
        return _like(operator, value.casefold())
    if group == "set":
        return _options(operator, value)
    if group in {"date", "daterange"}:
        return _span_test(operator, *_days(value, today))
    if group in {"time", "timerange"}:
        if not _CLOCK.fullmatch(value):
            raise OperandError(f"'{value}' is not a time")
        moment = value if len(value) > 5 else value + ":00"
        return _span_test(operator, moment, moment)
    if group in {"int", "double", "monetary"}:
        wanted = _number(value)
        if wanted is None:
            raise OperandError(f"'{value}' is not a number")
        return lambda stored: (given := _number(_part(stored, "value"))) is not None and _compare(operator, given, wanted)
    return _plain(operator, value)


def _like(operator: str, value: str) -> Test:
    match operator:
        case "LIKE '$%'":
            return lambda stored: _text(stored).startswith(value)
        case "LIKE '%$'":
            return lambda stored: _text(stored).endswith(value)
        case _:
            return lambda stored: value in _text(stored)


def _options(operator: str, value: str) -> Test:
    wanted = {part.strip() for part in value.split(",")}

    def test(stored: Any) -> bool:
        given = {str(item) for item in stored} if isinstance(stored, list) else {str(stored)}
        return wanted <= given if operator == "contains" else wanted == given

    return test


def _plain(operator: str, value: str) -> Test:
    """Compare as texts, or as numbers where both are."""
    wanted, number = value.casefold(), _number(value)

    def test(stored: Any) -> bool:
        given = _text(stored)
        if number is not None and (other := _number(given)) is not None:
            return _compare(operator, other, number)
        return _compare(operator, given, wanted)

    return test


def _days(value: str, today: date) -> tuple[str, str]:
    """Return the first and the last moment an operand means: a day, a span of days, or a second."""
    if is_date(value):
        return value, value
    if (span := span_of(value, today)) is not None:
        return span[0].isoformat(), span[1].isoformat()
    if (moment := parse_v1_time(value)) is not None:
        return moment, moment
    raise OperandError(f"'{value}' is not a date")


def _span_test(operator: str, first: str, last: str) -> Test:
    """Compare the start of a value (or its end, or both) with a span; texts in ISO form order like what they mean."""
    width = len(first)

    def cut(moment: str) -> str:
        return moment[:width] if len(moment) >= width else moment + "T00:00:00Z"

    def holds(given: Any, operator: str) -> bool:
        if not isinstance(given, str):
            return False
        moment = cut(given)
        if operator == "=":
            return first <= moment <= last
        return _compare(operator, moment, first if operator in {"<", ">="} else last)

    if operator == "includes":
        return lambda stored: holds(_part(stored, "value"), "<=") and holds(_part(stored, "until"), ">=")
    if operator in _ENDS:
        return lambda stored: holds(_part(stored, "until"), _ENDS[operator])
    return lambda stored: holds(_part(stored, "value"), operator)


def _part(stored: Any, name: str) -> Any:
    """Return one part of a composite value; a plain value is its own start."""
    if isinstance(stored, dict):
        return stored.get(name)
    return stored if name == "value" else None


def _text(stored: Any) -> str:
    given = _part(stored, "value")
    return str(int(given) if isinstance(given, bool) else given).casefold()


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _compare(operator: str, given: Any, wanted: Any) -> bool:
    return bool(_COMPARISONS[operator](given, wanted))
