"""Leases from an arbiter in another process."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from services.loader.quota.arbiter import Priority, Refusal
from services.loader.quota.client import REMOTE_BATCH_MAX, Grant
from services.loader.quota.codec import headers_to_proto
from transload.v1 import quota_service_pb2
from transload.v1.quota_service_pb2_grpc import QuotaServiceStub

if TYPE_CHECKING:
    from grpc import aio

    from services.common.clock import Clock


class RemoteSource:
    """`QuotaService` through a channel."""

    batch_max = REMOTE_BATCH_MAX

    def __init__(self, *, channel: aio.Channel, holder: str, clock: Clock) -> None:
        self._stub = QuotaServiceStub(channel)
        self._holder = holder
        self._clock = clock

    def acquire_now(self, connection: str, *, tokens: int, searches: int, priority: Priority) -> Grant | None:  # noqa: ARG002 - far away
        """Answers None: the arbiter is far away."""
        return None

    async def acquire(self, connection: str, *, requests: int, tokens: int, searches: int, priority: Priority) -> tuple[Grant, int] | Refusal:
        """Asks the arbiter. Raises RateLimitedError, UnavailableError."""
        # The lease is not older than the question; the clocks of arbiter and loader need not agree.
        asked = self._clock.monotonic()
        response = await self._stub.AcquireLease(
            quota_service_pb2.AcquireLeaseRequest(
                connection=connection,
                holder=self._holder,
                token_count=tokens,
                request_count=requests,
                search_count=searches,
                priority=quota_service_pb2.QuotaPriority.ValueType(priority.value),
                request_id=str(uuid.uuid4()),
            )
        )
        if not response.lease_id:
            return Refusal(response.retry_delay.ToTimedelta().total_seconds())
        expires = asked + response.lease_duration.ToTimedelta().total_seconds()
        grant = Grant(lease_id=response.lease_id, expires=expires, calls_open=response.request_count)
        return grant, response.request_count

    async def release(self, connection: str, grant: Grant) -> None:  # noqa: ARG002 - the lease knows its connection
        """Gives back. Raises UnavailableError."""
        await self._stub.ReleaseLease(
            quota_service_pb2.ReleaseLeaseRequest(
                lease_id=grant.lease_id,
                token_count=grant.tokens_spent,
                request_count=grant.requests_sent,
                headers=headers_to_proto(grant.headers) if grant.headers else None,
            )
        )

    def resume(self, connection: str) -> None:
        """Does nothing: the arbiter's own loader hears of it, or the time of the stop passes."""
