"""The arbiter behind a real gRPC server, asked by the client another loader uses."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from services.common import grpc_client, grpc_server
from services.common.clock import SystemClock
from services.common.errors import InvalidRequestError, RateLimitedError
from services.loader.bootstrap import remote_quota
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.client import QuotaClient
from services.loader.quota.leases import Headers, Priority
from services.loader.quota.remote import RemoteSource
from services.loader.quota.servicer import QuotaServicer
from services.loader.quota.settings import QuotaSettings
from transload.v1.quota_service_pb2 import AcquireLeaseRequest, GetQuotaRequest, GetQuotaResponse
from transload.v1.quota_service_pb2_grpc import QuotaServiceStub, add_QuotaServiceServicer_to_server


@pytest.mark.requirement("G-03")
async def test_two_loaders_share_one_window_and_one_budget() -> None:
    clock = SystemClock()
    arbiter = Arbiter(settings=QuotaSettings(restart_wait_seconds=0.0, window_seconds=0.2), clock=clock)
    servicers = [(add_QuotaServiceServicer_to_server, QuotaServicer(arbiter=arbiter, clock=clock))]
    async with grpc_server.serve("127.0.0.1:0", servicers) as server, grpc_client.channel(server.address) as channel:
        quotas = [
            QuotaClient(connection="crm", source=RemoteSource(channels=[channel], holder=f"r{n}/1", clock=clock), clock=clock) for n in range(2)
        ]
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
async def test_an_arbiter_that_shows_what_all_know_asks_itself_once() -> None:
    clock = SystemClock()
    servicer = QuotaServicer(arbiter=Arbiter(settings=QuotaSettings(restart_wait_seconds=0.0), clock=clock), clock=clock)
    async with (
        grpc_server.serve("127.0.0.1:0", [(add_QuotaServiceServicer_to_server, servicer)]) as server,
        grpc_client.channel(server.address) as channel,
    ):
        stub = QuotaServiceStub(channel)
        asked: list[str] = []

        async def show(connection: str) -> GetQuotaResponse:
            asked.append(connection)
            return await remote_quota([stub], connection)

        servicer.show = show
        assert (await stub.GetQuota(GetQuotaRequest(connection="crm"))).cost_version
        assert asked == ["crm"]


@pytest.mark.requirement("G-03")
async def test_an_empty_budget_and_a_bad_request_keep_their_meaning_over_the_wire() -> None:
    clock = SystemClock()
    arbiter = Arbiter(settings=QuotaSettings(restart_wait_seconds=0.0, daily_tokens=0), clock=clock)
    servicers = [(add_QuotaServiceServicer_to_server, QuotaServicer(arbiter=arbiter, clock=clock))]
    async with grpc_server.serve("127.0.0.1:0", servicers) as server, grpc_client.channel(server.address) as channel:
        quota = QuotaClient(connection="crm", source=RemoteSource(channels=[channel], holder="r1/1", clock=clock), clock=clock)
        with pytest.raises(RateLimitedError) as caught:
            await quota.acquire(tokens=5, is_search=False, priority=Priority.BULK)
        assert caught.value.reason == "TARGET_QUOTA_EXHAUSTED"
        assert caught.value.retry_after_seconds > 0
        assert caught.value.metadata["resume_time"].endswith("Z")
        with pytest.raises(InvalidRequestError):
            await QuotaServiceStub(channel).AcquireLease(AcquireLeaseRequest(connection="crm"))
        await quota.aclose()


@pytest.mark.requirement("G-03")
async def test_a_loader_goes_to_the_arbiter_that_has_the_budget_and_to_the_next_when_it_is_gone() -> None:
    clock, settings = SystemClock(), QuotaSettings(restart_wait_seconds=0.0)
    arbiters = [Arbiter(settings=settings, clock=clock, has_terms=True) for _ in range(2)]

    async def give_term(number: int) -> None:
        for place, arbiter in enumerate(arbiters):
            budget = arbiter.budget("crm")
            if place != number:
                budget.lose_term()
                continue
            budget.share()
            budget.begin_term(None, idle_seconds=0.0, is_same_replica=True)
            budget.renew_term(budget.kept(), until=clock.monotonic() + 60)

    async with AsyncExitStack() as stack, AsyncExitStack() as second:
        servers = [
            await (stack if number == 0 else second).enter_async_context(
                grpc_server.serve("127.0.0.1:0", [(add_QuotaServiceServicer_to_server, QuotaServicer(arbiter=arbiter, clock=clock))])
            )
            for number, arbiter in enumerate(arbiters)
        ]
        channels = [await stack.enter_async_context(grpc_client.channel(server.address)) for server in servers]
        quota = QuotaClient(connection="crm", source=RemoteSource(channels=channels, holder="r1/1", clock=clock), clock=clock)

        async def call() -> None:
            grant = await quota.acquire(tokens=5, is_search=False, priority=Priority.BULK)
            await quota.release(grant, is_sent=True, tokens_spent=5, headers=Headers(status=200))

        await give_term(1)
        await call()
        assert [arbiter.budget("crm").state().spent for arbiter in arbiters] == [0, 5]
        await second.aclose()
        await give_term(0)
        await call()
        assert [arbiter.budget("crm").state().spent for arbiter in arbiters] == [5, 5]
        await quota.aclose()
