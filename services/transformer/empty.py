"""What counts as no value."""

from __future__ import annotations

from typing import Final

EMPTY: Final[tuple[object, ...]] = (None, "", [], {})


def is_empty(value: object) -> bool:
    """Say whether a value counts as missing: None, blank text, an empty list or object. Zero and false are values."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value or value.isspace()
    return not value and isinstance(value, (list, dict))
