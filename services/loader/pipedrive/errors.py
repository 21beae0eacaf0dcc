"""What Pipedrive's answers mean (API.md 1.6, 1.7, 2.4) in our errors.

401                          UnauthorizedError    TARGET_UNAUTHORIZED
402, 403 with a plan code    TargetRejectedError  TARGET_CAPPED, metadata `code`
403 JSON                     TargetRejectedError  TARGET_FORBIDDEN
403 HTML                     RateLimitedError     TARGET_BLOCKED (the quota's breaker opens)
404, 410                     GoneError            TARGET_REJECTED
400, 405, 409, 415, 422 ...  TargetRejectedError  TARGET_REJECTED with Pipedrive's words
429                          RateLimitedError     TARGET_QUOTA_EXHAUSTED, or a pause the quota keeps
5xx, no or empty answer      OutcomeUnknownError  IN_DOUBT after a POST; UnavailableError TARGET_UNREACHABLE else
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.errors import TargetRejectedError, TransientError, TransloadError, UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS_MAX: Final = 500
_UNAUTHORIZED: Final = 401
_PAYMENT_REQUIRED: Final = 402
_FORBIDDEN: Final = 403
_GONE: Final = frozenset({404, 410})
_CAP_CODE_PREFIX: Final = "feature_capping"
# The per-company limits carry no code, only this text (API.md 1.6).
_CAP_TEXT: Final = "per company limit"


class OutcomeUnknownError(TransientError):
    """A POST got no answer that tells whether it took effect; it must be found out by listing before it is sent again.

    Attributes:
        is_answered: Pipedrive itself answered, so it is done with the request; else it may still be at work on it.
    """

    default_reason = "IN_DOUBT"

    def __init__(self, message: str, *, is_answered: bool = False, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message, metadata=metadata)
        self.is_answered = is_answered


class ClaimExpiredError(TransientError):
    """The claim ended before the call was sent; nothing was sent."""

    default_reason = "CLAIM_HELD"


class NotWantedError(Exception):
    """What a call was decided on does not hold any more; the call was not sent, or not again."""


class GoneError(TargetRejectedError):
    """The record is not there (404, 410)."""


def is_html(content_type: str, body: bytes) -> bool:
    """Whether an answer is a page for people instead of JSON."""
    return "html" in content_type.lower() or body[:64].lstrip().lower().startswith((b"<!doctype", b"<html"))


def refusal(status: int, body: bytes, what: str) -> TransloadError:
    """Answers the error for a 4xx with JSON (not 429). `what` names the operation, never values."""
    content = _content(body)
    words, code = _words(content), str(content.get("code") or "")
    if status == _UNAUTHORIZED:
        return UnauthorizedError(
            "Pipedrive refused the API token (401): check the key of this connection", reason="TARGET_UNAUTHORIZED", metadata={"operation": what}
        )
    metadata = {"operation": what, "status": str(status)} | ({"code": code} if code else {})
    if status == _PAYMENT_REQUIRED or (status == _FORBIDDEN and (code.startswith(_CAP_CODE_PREFIX) or _CAP_TEXT in words)):
        return TargetRejectedError(f"a limit of the Pipedrive plan is reached: {words or code}", reason="TARGET_CAPPED", metadata=metadata)
    if status == _FORBIDDEN:
        return TargetRejectedError(f"Pipedrive forbids {what}: {words}", reason="TARGET_FORBIDDEN", metadata=metadata)
    if status in _GONE:
        return GoneError(f"Pipedrive has no such record ({status}, {what}): {words}", metadata=metadata)
    return TargetRejectedError(f"Pipedrive refused the record ({status}, {what}): {words}", metadata=metadata)


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _words(content: dict[str, Any]) -> str:
    error = content.get("error") or content.get("message") or ""
    return (error if isinstance(error, str) else orjson.dumps(error).decode())[:_WORDS_MAX]
