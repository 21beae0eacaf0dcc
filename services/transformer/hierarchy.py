"""Transforms on lists of records: what a chain of ancestors gives, from the nearest to the root, and what links to many give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.transformer.transforms.problem import ValueProblem, shown
from services.transformer.transforms.texts import text


def reverse(value: object) -> object:
    """Turn a list round."""
    return list(reversed(value)) if isinstance(value, list) else value


def distinct(value: object, *, by: str | None = None) -> object:
    """Leave out what stands in a list again; of objects with the same value in the field `by` the first stays."""
    if not isinstance(value, list):
        return value
    kept: dict[str, Any] = {}
    for element in value:
        found = element.get(by) if by is not None and isinstance(element, Mapping) else element
        kept.setdefault(_compared(found), element)
    return list(kept.values())


def _compared(value: object) -> str:
    try:
        return repr(value)
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number with thousands of digits
        raise ValueProblem(f"{shown(value)} cannot be compared") from error


def lineage(value: object, *, name: str, otherwise: str = "", separator: str = " > ") -> str | None:
    """Write a list of objects, nearest ancestor first, as one text from the root down; nothing is left out, however often a name comes.

    `name` and, where it is empty, `otherwise` say which field of an object is written; an object with neither shows as `?`.
    """
    steps = value if isinstance(value, list) else [value]
    return separator.join(_step(step, name, otherwise) for step in reversed(steps)) or None


def _step(step: Any, name: str, otherwise: str) -> str:
    if not isinstance(step, Mapping):
        raise ValueProblem(f"{shown(step)} is no record of a chain")
    for field in (name, otherwise):
        found = step.get(field) if field else None
        if found is not None and (written := text(found)):
            return " ".join(written.split())
    return "?"
