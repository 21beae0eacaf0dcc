"""What the platform's answers mean.

A failing body is an array of objects with `errorCode` and `message`; a login's is one object with `error`. Anything that is not JSON is an
outage, but for an address that is too long. (Known: the vendor's documentation. Assumed: the reactions.)
"""

import enum
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from services.common.secrecy import masked
from services.extractor.connector import Refusal


class Reaction(enum.StrEnum):
    """What the connector does with a failing answer."""

    SESSION = "session"
    """Log in once more, repeat."""
    CONCURRENT = "concurrent"
    """Too many long calls at once: wait a minute, repeat."""
    DAY = "day"
    """The allowance of 24 hours is used up: wait, repeat."""
    CURSOR = "cursor"
    """The query's cursor is gone: begin again from the last key."""
    FIELD = "field"
    """A field is not there any more: leave it out, repeat."""
    TOO_LONG = "too_long"
    """The query's address is too long, or the query too wide: split it."""
    TOO_LARGE = "too_large"
    """The query takes too long: ask for fewer rows."""
    RIGHT = "right"
    """Closed to this user, or not there: go on with the others."""
    OUTAGE = "outage"
    """Pause, repeat."""
    UNEXPECTED = "unexpected"
    """Not an answer to a reading call."""


_CODES: Final[Mapping[str, Reaction]] = {
    "INVALID_SESSION_ID": Reaction.SESSION,
    "INVALID_QUERY_LOCATOR": Reaction.CURSOR,
    "INVALID_FIELD": Reaction.FIELD,
    "QUERY_TOO_COMPLICATED": Reaction.TOO_LONG,
    "QUERY_TIMEOUT": Reaction.TOO_LARGE,
    "OPERATION_TOO_LARGE": Reaction.TOO_LARGE,
    "INVALID_TYPE": Reaction.RIGHT,
    "NOT_FOUND": Reaction.RIGHT,
    "INSUFFICIENT_ACCESS": Reaction.RIGHT,
    "API_DISABLED_FOR_ORG": Reaction.RIGHT,
    "FUNCTIONALITY_NOT_ENABLED": Reaction.RIGHT,
    "FEATURENOTENABLED": Reaction.RIGHT,
    "UNKNOWN_EXCEPTION": Reaction.OUTAGE,
    "SERVER_UNAVAILABLE": Reaction.OUTAGE,
}
_TOO_LONG_STATUSES: Final = frozenset({414, 431})
_RETRIED_STATUSES: Final = frozenset({408, 420, 425, 429})
_CODE_CHARACTERS_MAX: Final = 80
_BODY_BYTES_MAX: Final = 16_384
_MISSING_COLUMN: Final = re.compile(r"No such column '(\w+)'")


class Failure(NamedTuple):
    """A failing answer: what to do, the platform's code (may be empty), the HTTP status, and the field that is not there."""

    reaction: Reaction
    code: str
    status: int
    field: str = ""

    def __str__(self) -> str:
        """Say it without the platform's text, which repeats the query."""
        return f"{self.code or 'no code'}, HTTP {self.status}"


def failure_of(status: int, content: bytes, *, may_be_html: bool = False) -> Failure | None:
    """Answer what a failing answer means; None for one that did not fail."""
    if 200 <= status < 300:  # noqa: PLR2004 - success
        # A page of a proxy or of "back soon" comes with 200, too.
        return Failure(Reaction.OUTAGE, "", status) if not may_be_html and content[:64].lstrip().startswith(b"<") else None
    if status in _TOO_LONG_STATUSES:
        return Failure(Reaction.TOO_LONG, "", status)
    error = _error_in(content)
    code = masked(str(error.get("errorCode") or ""))[:_CODE_CHARACTERS_MAX]
    message = str(error.get("message") or "")
    if code == "REQUEST_LIMIT_EXCEEDED":
        # Both limits have the same code; the message tells them apart.
        return Failure(Reaction.CONCURRENT if "oncurrent" in message else Reaction.DAY, code, status)
    if code in _CODES:
        missing = _MISSING_COLUMN.search(message)
        return Failure(_CODES[code], code, status, missing[1] if missing else "")
    return Failure(_by_status(status, is_json=bool(error)), code, status)


def refusal_of(status: int, content: bytes) -> Refusal | None:
    """Answer which call limit an answer says is passed, if any."""
    failure = failure_of(status, content)
    return None if failure is None else {Reaction.CONCURRENT: Refusal.MINUTE, Reaction.DAY: Refusal.DAY}.get(failure.reaction)


def _by_status(status: int, *, is_json: bool) -> Reaction:
    if status == 401:  # noqa: PLR2004 - unauthorized
        return Reaction.SESSION
    if status >= 500 or status in _RETRIED_STATUSES:  # noqa: PLR2004 - server errors
        return Reaction.OUTAGE
    if status in {403, 404}:
        return Reaction.RIGHT
    return Reaction.UNEXPECTED if is_json else Reaction.OUTAGE


def _error_in(content: bytes) -> dict[str, Any]:
    if len(content) > _BODY_BYTES_MAX:
        return {}
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    first = body[0] if isinstance(body, list) and body else body
    return first if isinstance(first, dict) else {}
