"""Record ids: 15 characters that depend on capitals, or 18 that do not. Compared and kept in the long form only."""

from typing import Final

_CHECK: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHORT_LENGTH: Final = 15
_LONG_LENGTH: Final = 18
_GROUP: Final = 5
PREFIX_LENGTH: Final = 3
"""The first characters of an id tell its object."""


def is_id(value: object) -> bool:
    """Say whether a value has the shape of a record id."""
    return isinstance(value, str) and len(value) in {_SHORT_LENGTH, _LONG_LENGTH} and value.isascii() and value.isalnum()


def long_id(value: str) -> str:
    """Answer the 18-character form of an id; anything else stays as it is.

    Each of the three last characters tells which of five characters are capitals. (Known: the platform's documentation.)
    """
    if len(value) != _SHORT_LENGTH or not is_id(value):
        return value
    groups = (value[start : start + _GROUP] for start in range(0, _SHORT_LENGTH, _GROUP))
    return value + "".join(_CHECK[sum(1 << place for place, char in enumerate(group) if char.isupper())] for group in groups)
