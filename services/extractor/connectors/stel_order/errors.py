"""What STEL Order's answers mean.

The codes and their meaning are the vendor's; the HTTP status they come with is not published, so the code decides, whatever the status.
A failing body is an object with `error-code`, or an array of such objects; anything that is not JSON is an outage.
"""

import enum
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from services.common.secrecy import masked
from services.extractor.connector import Refusal


class Reaction(enum.StrEnum):
    """What the connector does with a failing answer."""

    MINUTE = "minute"
    """Wait 61 s, repeat."""
    DAY = "day"
    """Wait for the turn of the day, repeat."""
    FILTER = "filter"
    """The filter or date is not usable here: do not repeat, read another way."""
    KEY = "key"
    """Stop, ask for the key."""
    RIGHT = "right"
    """The entity is closed to this key: go on with the others."""
    TRIAL = "trial"
    """Stop, tell the customer."""
    ABSENT = "absent"
    """The source does not have this collection: go on with the others."""
    OUTAGE = "outage"
    """Pause, repeat."""
    UNEXPECTED = "unexpected"
    """Not an answer to a reading call: the entity cannot be read."""


REACTIONS: Final[Mapping[str, Reaction]] = {
    "E000001": Reaction.MINUTE,
    "E000002": Reaction.DAY,
    "E000003": Reaction.FILTER,
    "E000004": Reaction.KEY,
    "E000005": Reaction.UNEXPECTED,
    "E000006": Reaction.RIGHT,
    # Ceilings for creating and editing (E000007 to E000016): who only reads never meets them.
    **{f"E{number:06}": Reaction.UNEXPECTED for number in range(7, 17)},
    "E000017": Reaction.TRIAL,
}
FIRST_TRIAL_CODE: Final = 17
"""Codes from E000017 on speak of the end of a trial or demo."""

_CODE_CHARACTERS_MAX: Final = 40
_RETRIED_STATUSES: Final = frozenset({408, 425, 500, 502, 503, 504})


class Failure(NamedTuple):
    """A failing answer: what to do, the vendor's code (may be empty), and the HTTP status."""

    reaction: Reaction
    code: str
    status: int

    def __str__(self) -> str:
        """Say it without the vendor's text, which may repeat the request."""
        return f"{self.code or 'no code'}, HTTP {self.status}"


def failure_of(status: int, content: bytes) -> Failure | None:
    """Answer what a failing answer means; None for one that did not fail."""
    code = _code_in(content)
    if code:
        return Failure(_reaction_to(code), code, status)
    if 200 <= status < 300:  # noqa: PLR2004 - success
        # A page of a proxy or of "back soon" comes with 200, too.
        return Failure(Reaction.OUTAGE, "", status) if content[:64].lstrip().startswith(b"<") else None
    return Failure(_reaction_to_status(status, content), "", status)


def refusal_of(status: int, content: bytes) -> Refusal | None:
    """Answer which call limit an answer says is passed, if any."""
    failure = failure_of(status, content)
    if failure is None:
        return None
    return {Reaction.MINUTE: Refusal.MINUTE, Reaction.DAY: Refusal.DAY}.get(failure.reaction)


def _reaction_to(code: str) -> Reaction:
    if code in REACTIONS:
        return REACTIONS[code]
    number = code.removeprefix("E")
    return Reaction.TRIAL if number.isdigit() and int(number) >= FIRST_TRIAL_CODE else Reaction.UNEXPECTED


def _reaction_to_status(status: int, content: bytes) -> Reaction:
    known = {401: Reaction.KEY, 404: Reaction.ABSENT, 429: Reaction.MINUTE}
    if status in known:
        return known[status]
    if status in _RETRIED_STATUSES or status >= 500 or _parse(content) is None:  # noqa: PLR2004 - server errors
        return Reaction.OUTAGE
    return Reaction.RIGHT if status == 403 else Reaction.UNEXPECTED  # noqa: PLR2004 - forbidden


def _code_in(content: bytes) -> str:
    # A page of records may be megabytes; a failing body is short, so only short ones are looked into.
    if len(content) > 16_384:  # noqa: PLR2004 - well above any failing body
        return ""
    body = _parse(content)
    first = body[0] if isinstance(body, list) and body else body
    code = first.get("error-code") if isinstance(first, dict) else None
    return masked(code.strip())[:_CODE_CHARACTERS_MAX] if isinstance(code, str) else ""


def _parse(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
