"""The one tree of failures. The type says what the caller should do; the message says what happened, to whom, and what would fix it.

    TransloadError
    ├── TransientError            the same call may succeed later            UNAVAILABLE         nak with backoff
    │   └── UnavailableError      a service, store or stream is away         UNAVAILABLE         nak with backoff
    ├── RateLimitedError          wait `retry_after_seconds`                 RESOURCE_EXHAUSTED  nak that long; fetching pauses, unless its
    │                                                                                            metadata names one `connection`
    ├── ClaimHeldError            another worker has the record              ABORTED             nak
    ├── PausedError               the migration is paused                    ABORTED             nak
    ├── PermanentError            repeating gives the same answer            INVALID_ARGUMENT    buried, then term
    │   ├── InvalidRecordError    the record's own values are at fault       INVALID_ARGUMENT    buried, then term
    │   ├── MalformedMessageError a queued message is none of its stream     INVALID_ARGUMENT    buried, then term
    │   ├── MappingError          a rule of the mapping is at fault          FAILED_PRECONDITION buried, then term
    │   └── TargetRejectedError   Pipedrive refused the record               FAILED_PRECONDITION buried, then term
    ├── PreconditionError         the state does not allow the step          FAILED_PRECONDITION nak, in the end dropped
    ├── NotFoundError             the named thing does not exist             NOT_FOUND           nak, in the end dropped
    ├── InvalidRequestError       the request breaks the contract            INVALID_ARGUMENT    nak, in the end buried
    ├── UnauthorizedError         a credential was refused                   FAILED_PRECONDITION nak with backoff
    └── ConfigurationError        a setting is missing or malformed          FAILED_PRECONDITION nak with backoff

`rpc_errors` and `consumer` read their answers from the classes here. Secrets and personal data never enter messages or metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class TransloadError(Exception):
    """Root of all failures we know.

    Attributes:
        message: what happened, to whom, and what would fix it.
        reason: `ErrorReason` name without prefix, e.g. `SOURCE_UNAUTHORIZED`.
        metadata: further facts by name, as documented with the reason; no secrets, no personal data.
    """

    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata = dict(metadata or {})


class TransientError(TransloadError):
    """The same call may succeed later without anybody changing anything."""

    default_reason = "UNAVAILABLE"


class UnavailableError(TransientError):
    """A needed service, database, stream or store does not answer now."""


class RateLimitedError(TransloadError):
    """A budget is used up; the call is welcome again after `retry_after_seconds`."""

    default_reason = "TARGET_QUOTA_EXHAUSTED"

    def __init__(self, message: str, *, retry_after_seconds: float, reason: str = "", metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.retry_after_seconds = max(0.0, retry_after_seconds)


class ClaimHeldError(TransloadError):
    """Another holder's claim on the record is live."""

    default_reason = "CLAIM_HELD"


class PausedError(TransloadError):
    """The migration is paused; work is handed back until it is resumed."""

    default_reason = "PAUSED"


class PermanentError(TransloadError):
    """Repeating the call gives the same answer: the record or the mapping has to change."""

    default_reason = "VALUE_INVALID"


class InvalidRecordError(PermanentError):
    """The record's own values are at fault."""


class MalformedMessageError(PermanentError):
    """A message of a stream is none that belongs there; whoever sends such is at fault."""

    default_reason = "INVALID_REQUEST"


class MappingError(PermanentError):
    """A rule of the mapping is at fault."""

    default_reason = "MAPPING_INVALID"


class TargetRejectedError(PermanentError):
    """Pipedrive refused the record; the message has its words."""

    default_reason = "TARGET_REJECTED"


class PreconditionError(TransloadError):
    """The state of the migration does not allow this step; metadata may have `state` and `allowed`."""

    default_reason = "WRONG_STATE"


class NotFoundError(TransloadError):
    """The named thing does not exist; the caller decides what that means."""

    default_reason = "NOT_FOUND"


class InvalidRequestError(TransloadError):
    """The request breaks a rule stated in the contract; the message names the field."""

    default_reason = "INVALID_REQUEST"


class UnauthorizedError(TransloadError):
    """A source or target refused our credential. Pass the reason: `SOURCE_UNAUTHORIZED`, `TARGET_UNAUTHORIZED`, `..._FORBIDDEN`."""

    default_reason = "TARGET_UNAUTHORIZED"


class UnauthenticatedError(TransloadError):
    """The call carries no token or certificate of a caller we know."""

    default_reason = "ACCESS_UNAUTHENTICATED"


class AccessDeniedError(TransloadError):
    """The caller is known and may not do this; metadata may have `rpc`, `role` and `needed`."""

    default_reason = "ACCESS_DENIED"


class ConfigurationError(TransloadError):
    """A setting or credential is missing or malformed; the message names it, never its value."""

    default_reason = "CONFIGURATION"
