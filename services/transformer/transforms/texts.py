"""Transforms of text: writing any value as text, cutting it, putting words in front."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from services.transformer.transforms.numbers import NUMBER_MAX
from services.transformer.transforms.problem import ValueProblem, shown

_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_WHOLE_FLOAT_MAX: Final = 1e16
"""From there on a float is written with an exponent: its last digits are nobody's."""
_DEPTH_MAX: Final = 50
"""Lists in lists in objects that are written as text: nobody reads more."""


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
    if isinstance(value, (int, float)) and abs(value) <= NUMBER_MAX:
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


def text_or_none(value: object) -> str | None:
    """Write a value as text where there may be none."""
    return None if value is None else text(value)


def whole_text(value: str) -> str:
    """Put a mark for halves of characters: a text that was cut in the middle of one cannot be written as UTF-8."""
    return value if value.isascii() else _SURROGATES.sub("\ufffd", value)


def strip(value: object) -> str | None:
    """Take blanks off both ends of a text."""
    written = text(value)
    return written.strip() if written else None


def upper(value: object) -> str | None:
    """Write in capitals."""
    written = text(value)
    return written.upper() if written else None


def texts_of(value: object) -> list[str]:
    """Write the elements of a list as texts, empty ones left out; one value counts as a list of one."""
    values = value if isinstance(value, list) else [value]
    return [written for element in values if element is not None and (written := text(element))]


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
