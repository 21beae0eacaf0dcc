from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from services.common import errors
from services.common.rpc_errors import MESSAGE_CHARACTERS_MAX, from_rpc_error, status_of
from transload.errors import from_rpc_error as client_error

KNOWN: list[errors.TransloadError] = [
    errors.TransientError("m"),
    errors.UnavailableError("m", reason="STAGING_UNAVAILABLE"),
    errors.RateLimitedError("m", retry_after_seconds=12.5, reason="SOURCE_QUOTA_EXHAUSTED"),
    errors.ClaimHeldError("m"),
    errors.PausedError("m"),
    errors.PermanentError("m"),
    errors.InvalidRecordError("m", reason="VALUE_TOO_LONG"),
    errors.MappingError("m"),
    errors.TargetRejectedError("m", reason="TARGET_CAPPED"),
    errors.PreconditionError("m", reason="NOT_APPROVED", metadata={"state": "AUDITED"}),
    errors.NotFoundError("m", reason="MIGRATION_NOT_FOUND"),
    errors.InvalidRequestError("m"),
    errors.UnauthorizedError("m", reason="SOURCE_UNAUTHORIZED"),
    errors.ConfigurationError("m", metadata={"setting": "X"}),
    errors.TransloadError("m"),
]


def sent(error: errors.TransloadError) -> AioRpcError:
    code, message, trailing = status_of(error)
    return AioRpcError(code, Metadata(), Metadata(*trailing), message, "")


@pytest.mark.parametrize("error", KNOWN, ids=lambda error: type(error).__name__)
def test_a_caller_catches_what_the_servicer_raised(error: errors.TransloadError) -> None:
    back = from_rpc_error(sent(error))
    assert (type(back), back.reason, back.metadata, back.message) == (type(error), error.reason, error.metadata, error.message)


def test_a_rate_limit_keeps_its_pause() -> None:
    back = from_rpc_error(sent(errors.RateLimitedError("m", retry_after_seconds=12.5)))
    assert isinstance(back, errors.RateLimitedError)
    assert back.retry_after_seconds == 12.5


@pytest.mark.parametrize("error", KNOWN, ids=lambda error: type(error).__name__)
def test_other_programs_read_the_documented_reason(error: errors.TransloadError) -> None:
    seen = client_error(sent(error))
    assert (seen.reason, seen.metadata) == (error.reason, error.metadata)
    assert seen.retry_after_seconds == getattr(error, "retry_after_seconds", None)


def test_a_subclass_of_a_service_travels_as_its_parent() -> None:
    class OddStageError(errors.MappingError):
        pass

    assert type(from_rpc_error(sent(OddStageError("m")))) is errors.MappingError


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.UnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.UnavailableError),
        (grpc.StatusCode.NOT_FOUND, errors.NotFoundError),
        (grpc.StatusCode.UNIMPLEMENTED, errors.TransloadError),
    ],
)
def test_a_bare_status_gets_the_class_it_means(code: grpc.StatusCode, expected: type[errors.TransloadError]) -> None:
    assert type(from_rpc_error(AioRpcError(code, Metadata(), Metadata(), "x", ""))) is expected


def test_an_unknown_reason_is_internal_and_a_long_message_is_cut() -> None:
    back = from_rpc_error(sent(errors.TargetRejectedError("x" * 10_000, reason="NO_SUCH_REASON")))
    assert back.reason == "INTERNAL"
    assert len(back.message) == MESSAGE_CHARACTERS_MAX
