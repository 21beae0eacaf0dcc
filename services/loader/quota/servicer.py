"""`QuotaService`: the arbiter for loaders in other processes, and the budget for people."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import InvalidRequestError
from services.loader.pipedrive.costs import version
from services.loader.quota.codec import headers_from_proto, priority_from_proto
from services.loader.quota.leases import REQUESTS_PER_LEASE_MAX, Refusal
from transload.v1 import quota_service_pb2
from transload.v1.quota_service_pb2_grpc import QuotaServiceServicer as QuotaServiceBase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from grpc import aio

    from services.common.clock import Clock
    from services.loader.quota.arbiter import Arbiter

# Answers kept for repeated request ids; a repeat comes within seconds, and an arbiter grants at most some hundred leases in that time.
_ANSWERS_KEPT: Final = 1000


class QuotaServicer(QuotaServiceBase):
    """Answers leases from the arbiter in this process."""

    def __init__(self, *, arbiter: Arbiter, clock: Clock) -> None:
        self._arbiter = arbiter
        self.show: Callable[[str], Awaitable[quota_service_pb2.GetQuotaResponse]] = self.quota
        """Shows the budget of a connection; where loaders ask another process' arbiter, that one's."""
        self._clock = clock
        self._answers: OrderedDict[str, quota_service_pb2.AcquireLeaseResponse] = OrderedDict()

    async def AcquireLease(  # noqa: N802 - the contract's name
        self, request: quota_service_pb2.AcquireLeaseRequest, context: aio.ServicerContext[Any, Any]
    ) -> quota_service_pb2.AcquireLeaseResponse:
        """Grants, or says when to ask again."""
        del context
        if not request.connection:
            raise InvalidRequestError("connection must be set")
        if not 1 <= request.request_count <= REQUESTS_PER_LEASE_MAX:
            raise InvalidRequestError(f"request_count must be 1 to {REQUESTS_PER_LEASE_MAX}")
        if request.token_count < 0 or not 0 <= request.search_count <= request.request_count:
            raise InvalidRequestError("token_count must not be negative, search_count at most request_count")
        if request.request_id and (known := self._answers.get(request.request_id)) is not None:
            return known
        budget = self._arbiter.budget(request.connection)
        budget.share()
        answer = budget.acquire(
            requests=request.request_count,
            tokens=request.token_count,
            searches=request.search_count,
            priority=priority_from_proto(request.priority),
        )
        response = quota_service_pb2.AcquireLeaseResponse()
        if isinstance(answer, Refusal):
            response.retry_delay.FromTimedelta(timedelta(seconds=answer.retry_seconds))
            response.is_held_elsewhere = answer.is_held_elsewhere
            return response
        response.lease_id, response.request_count, response.token_count = answer.lease_id, answer.request_count, answer.token_count
        lease_duration = timedelta(seconds=answer.expires - self._clock.monotonic())
        response.expire_time.FromDatetime(self._clock.now() + lease_duration)
        response.lease_duration.FromTimedelta(lease_duration)
        if request.request_id:
            self._answers[request.request_id] = response
            if len(self._answers) > _ANSWERS_KEPT:
                self._answers.popitem(last=False)
        return response

    async def ReleaseLease(  # noqa: N802
        self, request: quota_service_pb2.ReleaseLeaseRequest, context: aio.ServicerContext[Any, Any]
    ) -> quota_service_pb2.ReleaseLeaseResponse:
        """Takes back."""
        del context
        connection = request.lease_id.rpartition("/")[0]
        if not connection:
            raise InvalidRequestError("lease_id must be one that AcquireLease answered")
        self._arbiter.budget(connection).release(
            request.lease_id,
            requests_sent=request.request_count,
            requests_unanswered=request.unanswered_count,
            tokens_spent=request.token_count,
            headers=headers_from_proto(request.headers) if request.HasField("headers") else None,
            ages=request.answer_ages,
        )
        return quota_service_pb2.ReleaseLeaseResponse()

    async def GetQuota(  # noqa: N802
        self, request: quota_service_pb2.GetQuotaRequest, context: aio.ServicerContext[Any, Any]
    ) -> quota_service_pb2.GetQuotaResponse:
        """Shows the budget."""
        del context
        if not request.connection:
            raise InvalidRequestError("connection must be set")
        return await (self.quota if request.is_local else self.show)(request.connection)

    async def quota(self, connection: str) -> quota_service_pb2.GetQuotaResponse:
        """Answers the budget of a connection."""
        state = self._arbiter.budget(connection).state()
        response = quota_service_pb2.GetQuotaResponse(
            daily_token_limit=state.daily_limit,
            daily_token_remaining=state.daily_remaining,
            spent_token_count=state.spent,
            window_limit=state.window_limit,
            window_used=state.window_used,
            refused_call_count=state.refused_calls,
            rollback_reserve=state.rollback_reserve,
            others_reserve=state.others_reserve,
            others_tokens_per_hour=state.others_per_hour,
            others_tokens_per_day=state.others_a_day,
            is_shadow=state.is_shadow,
            shadow_held_call_count=sum(state.shadow_held_calls.values()),
            lease_count=state.lease_count,
            leased_token_count=state.leased_tokens,
            spent_today_token_count=state.spent_today,
            others_spent_today_token_count=state.others_today,
            call_seconds=state.call_seconds,
            cost_version=version(),
            shadow_held_calls=state.shadow_held_calls,
        )
        for time, place in (
            (state.resume_time, response.resume_time),
            (state.reset_time, response.reset_time),
            (state.look_time, response.look_time),
        ):
            if time is not None:
                place.FromDatetime(time)
        return response
