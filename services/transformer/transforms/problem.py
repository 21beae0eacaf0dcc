"""What is wrong with a value, and how a value is shown in messages."""

from __future__ import annotations

from typing import Final

_SHOWN_CHARACTERS: Final = 80


class ValueProblem(Exception):  # noqa: N818 - not a failure of the program but a remark about a value
    """A value that cannot be used.

    Attributes:
        reason: `ErrorReason` name without prefix.
        message: what is wrong with the value; shows the value, shortened.
    """

    def __init__(self, message: str, *, reason: str = "VALUE_INVALID") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def shown(value: object) -> str:
    """Answer a value as it is shown in messages: quoted, at most 80 characters."""
    try:
        written = repr(value[:_SHOWN_CHARACTERS] if isinstance(value, str) else value)
    except (RecursionError, ValueError):  # nested too deeply, or a number with thousands of digits
        written = f"a {type(value).__name__} too large to show"
    return written if len(written) <= _SHOWN_CHARACTERS else f"{written[: _SHOWN_CHARACTERS - 1]}…"
