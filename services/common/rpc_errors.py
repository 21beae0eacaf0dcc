"""Our errors to `google.rpc.Status` and back: a caller catches the same class the servicer raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from services.common import errors, secrecy
from transload.v1.error_reason_pb2 import ErrorReason

if TYPE_CHECKING:
    from collections.abc import Sequence

ERROR_DOMAIN: Final = "transload.dev"
DETAILS_KEY: Final = "grpc-status-details-bin"
# One reason may belong to several classes (a precondition and a permanent refusal share FAILED_PRECONDITION), so the class travels beside it.
CLASS_KEY: Final = "transload-error"
# gRPC refuses header blocks above 8 KiB; a vendor's long message must not turn an error into another one.
MESSAGE_CHARACTERS_MAX: Final = 2_000

_CODES: Final[dict[type[errors.TransloadError], grpc.StatusCode]] = {
    errors.TransientError: grpc.StatusCode.UNAVAILABLE,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.RateLimitedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ClaimHeldError: grpc.StatusCode.ABORTED,
    errors.PausedError: grpc.StatusCode.ABORTED,
    errors.PermanentError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidRecordError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.MalformedMessageError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.MappingError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TargetRejectedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.PreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnauthorizedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.AccessDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    errors.ConfigurationError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TransloadError: grpc.StatusCode.INTERNAL,
}
_CLASSES: Final = {error_class.__name__: error_class for error_class in _CODES}

# What a status means that did not come from one of our servicers.
_FOREIGN: Final[dict[grpc.StatusCode, type[errors.TransloadError]]] = {
    grpc.StatusCode.UNAVAILABLE: errors.UnavailableError,
    # The call may or may not have had its effect; every call of ours may be repeated.
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.UnavailableError,
    grpc.StatusCode.CANCELLED: errors.UnavailableError,
    grpc.StatusCode.ABORTED: errors.UnavailableError,
    grpc.StatusCode.NOT_FOUND: errors.NotFoundError,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequestError,
    grpc.StatusCode.FAILED_PRECONDITION: errors.PreconditionError,
    grpc.StatusCode.UNAUTHENTICATED: errors.UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: errors.AccessDeniedError,
}


def status_of(error: errors.TransloadError) -> tuple[grpc.StatusCode, str, tuple[tuple[str, str | bytes], ...]]:
    """Answers what `context.abort` takes: code, message, trailing metadata with ErrorInfo and, for a rate limit, RetryInfo."""
    code, error_class = _code_and_class(error)
    message = secrecy.masked(error.message)[:MESSAGE_CHARACTERS_MAX]
    metadata = {name: secrecy.masked(value) for name, value in error.metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=_reason_name(error.reason), domain=ERROR_DOMAIN, metadata=metadata)
    details = [_pack(info)]
    if isinstance(error, errors.RateLimitedError):
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    status = status_pb2.Status(code=code.value[0], message=message, details=details)
    return code, message, ((DETAILS_KEY, status.SerializeToString()), (CLASS_KEY, error_class.__name__))


def from_rpc_error(error: grpc.aio.AioRpcError) -> errors.TransloadError:
    """Answers the error the servicer raised, or what the bare status means when no servicer of ours answered."""
    trailing: dict[str, str | bytes] = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]  # pairs, whatever the stub says
    info, retry = _details(trailing.get(DETAILS_KEY))
    if info is None:
        known = _FOREIGN.get(error.code(), errors.TransloadError)
        return known(f"{error.code().name}: {error.details() or 'no details'}")
    error_class = _CLASSES.get(str(trailing.get(CLASS_KEY, "")), _FOREIGN.get(error.code(), errors.TransloadError))
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        error_class = errors.RateLimitedError
    reason = info.reason.removeprefix("ERROR_REASON_")
    message = error.details() or reason
    if issubclass(error_class, errors.RateLimitedError):
        seconds = retry.retry_delay.ToTimedelta().total_seconds() if retry is not None else 1.0
        return errors.RateLimitedError(message, retry_after_seconds=seconds, reason=reason, metadata=dict(info.metadata))
    return error_class(message, reason=reason, metadata=dict(info.metadata))


def _code_and_class(error: errors.TransloadError) -> tuple[grpc.StatusCode, type[errors.TransloadError]]:
    for error_class in type(error).__mro__:
        if error_class in _CODES:
            return _CODES[error_class], error_class
    raise AssertionError(type(error))  # the root of the tree is in the table


def _reason_name(reason: str) -> str:
    name = f"ERROR_REASON_{reason}"
    return name if name in ErrorReason.keys() else "ERROR_REASON_INTERNAL"  # noqa: SIM118 - a protobuf enum is no dict


def _pack(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _details(raw: str | bytes | None) -> tuple[error_details_pb2.ErrorInfo | None, error_details_pb2.RetryInfo | None]:
    info: error_details_pb2.ErrorInfo | None = None
    retry: error_details_pb2.RetryInfo | None = None
    packed: Sequence[any_pb2.Any] = status_pb2.Status.FromString(raw).details if isinstance(raw, bytes) else ()
    for detail in packed:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            found = error_details_pb2.ErrorInfo()
            if detail.Unpack(found) and found.domain == ERROR_DOMAIN:
                info = found
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
    return info, retry
