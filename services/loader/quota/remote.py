"""Leases from an arbiter in another process, or from whichever of several has the budget."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from services.common.errors import TransientError
from services.loader.quota.client import REMOTE_BATCH_MAX, Grant
from services.loader.quota.codec import headers_to_proto
from services.loader.quota.leases import Priority, Refusal
from transload.v1 import quota_service_pb2
from transload.v1.quota_service_pb2_grpc import QuotaServiceStub

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grpc import aio

    from services.common.clock import Clock

_NEXT_SECONDS: Final = 0.2


class RemoteSource:
    """`QuotaService` through channels: the first one that answers and has the budget, until it does no more."""

    batch_max = REMOTE_BATCH_MAX

    def __init__(self, *, channels: Sequence[aio.Channel], holder: str, clock: Clock) -> None:
        self._stubs: list[QuotaServiceStub] = [QuotaServiceStub(channel) for channel in channels]
        self._present = 0
        # Arbiters in a row that did not answer.
        self._away_count = 0
        self._granted_by: dict[str, QuotaServiceStub] = {}
        self._holder = holder
        self._clock = clock

    def acquire_now(self, connection: str, *, tokens: int, searches: int, priority: Priority) -> Grant | None:  # noqa: ARG002 - far away
        """Answers None: the arbiter is far away."""
        return None

    async def acquire(self, connection: str, *, requests: int, tokens: int, searches: int, priority: Priority) -> tuple[Grant, int] | Refusal:
        """Asks the arbiter. Raises RateLimitedError, UnavailableError: none of them answers."""
        stub = self._stubs[self._present]
        # The lease is not older than the question; the clocks of arbiter and loader need not agree.
        asked = self._clock.monotonic()
        try:
            response = await stub.AcquireLease(
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
        except TransientError:
            self._ask_next()
            self._away_count += 1
            if self._away_count >= len(self._stubs):
                self._away_count = 0
                raise
            return Refusal(_NEXT_SECONDS)
        self._away_count = 0
        if not response.lease_id:
            if response.is_held_elsewhere:
                self._ask_next()
            return Refusal(response.retry_delay.ToTimedelta().total_seconds())
        self._granted_by[response.lease_id] = stub
        expires = asked + response.lease_duration.ToTimedelta().total_seconds()
        grant = Grant(lease_id=response.lease_id, expires=expires, calls_open=response.request_count)
        return grant, response.request_count

    def _ask_next(self) -> None:
        self._present = (self._present + 1) % len(self._stubs)

    async def release(self, connection: str, grant: Grant) -> None:  # noqa: ARG002 - the lease knows its connection
        """Gives back to the arbiter that granted it. Raises UnavailableError."""
        stub = self._granted_by.pop(grant.lease_id, self._stubs[self._present])
        await stub.ReleaseLease(
            quota_service_pb2.ReleaseLeaseRequest(
                lease_id=grant.lease_id,
                token_count=grant.tokens_spent,
                request_count=grant.requests_sent,
                unanswered_count=grant.requests_unanswered,
                headers=headers_to_proto(grant.headers) if grant.headers else None,
                answer_ages=[self._clock.monotonic() - answered for answered in grant.answered],
            )
        )

    def resume(self, connection: str) -> None:
        """Does nothing: the arbiter's own loader hears of it, or the time of the stop passes."""
