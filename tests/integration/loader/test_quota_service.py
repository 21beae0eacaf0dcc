"""The arbiter behind a real gRPC server, asked by the client another loader uses."""

from __future__ import annotations

import asyncio

import pytest

from services.common import grpc_client, grpc_server
from services.common.clock import SystemClock
from services.common.errors import InvalidRequestError, RateLimitedError
from services.loader.quota.arbiter import Arbiter, Headers, Priority
from services.loader.quota.client import QuotaClient
from services.loader.quota.remote import RemoteSource
from services.loader.quota.servicer import QuotaServicer
from services.loader.quota.settings import QuotaSettings
from transload.v1.quota_service_pb2 import AcquireLeaseRequest, GetQuotaRequest
from transload.v1.quota_service_pb2_grpc import QuotaServiceStub, add_QuotaServiceServicer_to_server


@pytest.mark.requirement("G-03")
async def test_two_loaders_share_one_window_and_one_budget() -> None:
    clock = SystemClock()
    arbiter = Arbiter(settings=QuotaSettings(restart_wait_seconds=0.0, window_seconds=0.2), clock=clock)
    servicers = [(add_QuotaServiceServicer_to_server, QuotaServicer(arbiter=arbiter, clock=clock))]
    async with grpc_server.serve("127.0.0.1:0", servicers) as server, grpc_client.channel(server.address) as channel:
        quotas = [QuotaClient(connection="crm", source=RemoteSource(channel=channel, holder=f"r{n}/1", clock=clock), clock=clock) for n in range(2)]
        used: list[int] = []

        async def one(quota: QuotaClient) -> None:
            grant = await quota.acquire(tokens=5, is_search=False, priority=Priority.BULK)
            used.append(arbiter.budget("crm").state().window_used)
            await quota.release(grant, is_sent=True, tokens_spent=5, headers=Headers(status=200))

        await asyncio.gather(*(one(quota) for quota in quotas * 40))
        assert max(used) <= 20
        state = await QuotaServiceStub(channel).GetQuota(GetQuotaRequest(connection="crm"))
        assert state.spent_token_count == 400
        for quota in quotas:
            await quota.aclose()


@pytest.mark.requirement("G-03")
async def test_an_empty_budget_and_a_bad_request_keep_their_meaning_over_the_wire() -> None:
    clock = SystemClock()
    arbiter = Arbiter(settings=QuotaSettings(restart_wait_seconds=0.0, daily_tokens=0), clock=clock)
    servicers = [(add_QuotaServiceServicer_to_server, QuotaServicer(arbiter=arbiter, clock=clock))]
    async with grpc_server.serve("127.0.0.1:0", servicers) as server, grpc_client.channel(server.address) as channel:
        quota = QuotaClient(connection="crm", source=RemoteSource(channel=channel, holder="r1/1", clock=clock), clock=clock)
        with pytest.raises(RateLimitedError) as caught:
            await quota.acquire(tokens=5, is_search=False, priority=Priority.BULK)
        assert caught.value.reason == "TARGET_QUOTA_EXHAUSTED"
        assert caught.value.retry_after_seconds > 0
        assert caught.value.metadata["resume_time"].endswith("Z")
        with pytest.raises(InvalidRequestError):
            await QuotaServiceStub(channel).AcquireLease(AcquireLeaseRequest(connection="crm"))
        await quota.aclose()
