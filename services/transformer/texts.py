"""Writes values into texts made for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.transformer.empty import is_empty
from services.transformer.transforms.dates import calendar_date
from services.transformer.transforms.problem import ValueProblem
from services.transformer.transforms.texts import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.transformer.context import Context

_MIDNIGHT: Final = "T00:00:00+0000"


def plain_text(value: Any) -> str | None:
    """Write a value for a text made of several; midnight stamps are shown as dates."""
    if type(value) is str:  # nearly always
        if not value or value.isspace():
            return None
        return calendar_date(value) if value.endswith(_MIDNIGHT) else value
    if is_empty(value):
        return None
    try:
        return text(value)
    except ValueProblem:
        return None


def read_text(value: Callable[[Context], Any], context: Context) -> str | None:
    """Read a value for a note. One that a transform refuses is shown as the reason, because a note must not hold a record back."""
    try:
        return plain_text(value(context))
    except ValueProblem as problem:
        return problem.message
