"""Transforms of numbers: reading them as they are written, rounding, adding up."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

from services.transformer.transforms.problem import ValueProblem, shown

_NUMBER_CHARACTERS_MAX: Final = 400
_NUMBER_EXPONENT_MAX: Final = 300
NUMBER_MAX: Final = 10**_NUMBER_EXPONENT_MAX
"""Beyond that a number is a mistake; what is computed of a smaller one is still a number."""


def number(value: object) -> int | float:
    """Read a number; text may use a decimal comma and thousands marks (`1.234,50`, `1,234.50`)."""
    if isinstance(value, bool):
        raise ValueProblem(f"{shown(value)} is not a number")
    if isinstance(value, (int, float)):
        if not abs(value) <= NUMBER_MAX:
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
