"""Transforms of truth values."""

from __future__ import annotations

from typing import Final

from services.transformer.transforms.problem import ValueProblem, shown

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
