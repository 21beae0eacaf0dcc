"""Tests of values, as conditions name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.common.errors import MappingError
from services.transformer.empty import is_empty

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.transformer.mapping.rules import Condition


def value_test(condition: Condition) -> Callable[[Any], bool]:
    """Answer the test of a condition as a function of the value.

    Raises:
        MappingError: the condition names none.
    """
    given = condition.model_fields_set
    if condition.is_ == "present":
        return lambda value: not is_empty(value)
    if condition.is_ == "empty":
        return is_empty
    if condition.is_ == "true":
        return lambda value: value is True
    if condition.is_ == "false":
        return lambda value: value is not True
    if "equals" in given:
        return lambda value: bool(value == condition.equals)
    if condition.one_of is not None:
        allowed = condition.one_of
        return lambda value: value in allowed
    if condition.longer_than is not None:
        length = condition.longer_than
        return lambda value: isinstance(value, (str, list)) and len(value) > length
    if condition.greater_than is not None or condition.less_than is not None:
        low, high = condition.greater_than, condition.less_than
        return lambda value: _is_between(value, low, high)
    raise MappingError("a condition needs a test: is, equals, one_of, greater_than, less_than or longer_than")


def _is_between(value: Any, low: float | None, high: float | None) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return (low is None or value > low) and (high is None or value < high)
