"""What a caller of the gRPC API gets when a call fails: the documented reason, not a bare status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

if TYPE_CHECKING:
    from collections.abc import Mapping

ERROR_DOMAIN = "transload.dev"


class TransloadCallError(Exception):
    """A call that Transload refused or could not answer.

    Attributes:
        reason: `ErrorReason` name without prefix, e.g. `NOT_APPROVED`; `UNAVAILABLE` when nobody answered.
        code: gRPC status code.
        metadata: further facts by name, as documented with the reason.
        retry_after_seconds: when the service said how long to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        code: grpc.StatusCode,
        metadata: Mapping[str, str] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code
        self.metadata = dict(metadata or {})
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed later without anybody changing anything."""
        return self.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}


def from_rpc_error(error: grpc.aio.AioRpcError) -> TransloadCallError:
    """Reads reason, metadata and retry delay from the error details of a failed call."""
    reason = "UNAVAILABLE" if error.code() is grpc.StatusCode.UNAVAILABLE else "INTERNAL"
    metadata: dict[str, str] = {}
    retry_after: float | None = None
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # the aio error has the same two methods
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == ERROR_DOMAIN:
            reason = info.reason.removeprefix("ERROR_REASON_")
            metadata = dict(info.metadata)
        retry = error_details_pb2.RetryInfo()
        if detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    message = error.details() or error.code().name
    return TransloadCallError(message, reason=reason, code=error.code(), metadata=metadata, retry_after_seconds=retry_after)
