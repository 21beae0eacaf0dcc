"""Waiting for leases: in this process, through the service, in order of priority, and without losing any."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from services.common.errors import InvalidRequestError, RateLimitedError
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.client import LocalSource, QuotaClient
from services.loader.quota.codec import headers_from_proto, headers_to_proto, priority_from_proto, priority_of_run
from services.loader.quota.leases import Headers, Priority
from services.loader.quota.remote import RemoteSource
from services.loader.quota.servicer import QuotaServicer
from services.loader.quota.settings import QuotaSettings
from tests.fakes.clock import FakeClock
from transload.v1 import quota_service_pb2 as pb

if TYPE_CHECKING:
    from services.loader.quota.client import Grant, Source


class DirectChannel:
    """Calls a servicer as a channel would."""

    def __init__(self, servicer: QuotaServicer) -> None:
        self._servicer = servicer
        self.calls: list[str] = []

    def unary_unary(self, method: str, **_: Any) -> Any:
        name = method.rpartition("/")[2]

        async def invoke(request: Any) -> Any:
            self.calls.append(name)
            return await getattr(self._servicer, name)(request, None)

        return invoke


def setting(**more: Any) -> QuotaSettings:
    return QuotaSettings(**{"restart_wait_seconds": 0.0, **more})


@pytest.fixture(params=["local", "remote"])
def source(request: pytest.FixtureRequest) -> Any:
    def make(clock: FakeClock, **more: Any) -> tuple[Source, Arbiter]:
        arbiter = Arbiter(settings=setting(**more), clock=clock)
        if request.param == "local":
            return LocalSource(arbiter), arbiter
        channel: Any = DirectChannel(QuotaServicer(arbiter=arbiter, clock=clock))
        return RemoteSource(channels=[channel], holder="r1/1", clock=clock), arbiter

    return make


async def use(quota: QuotaClient, clock: FakeClock, *, seconds: float = 0.1, tokens: int = 5, priority: Priority = Priority.BULK) -> Grant:
    grant = await quota.acquire(tokens=tokens, is_search=False, priority=priority)
    await clock.sleep(seconds)
    await quota.release(grant, is_sent=True, tokens_spent=tokens, headers=Headers(status=200))
    return grant


@pytest.mark.requirement("G-03")
async def test_many_callers_all_get_through_and_everything_is_given_back(source: Any) -> None:
    clock = FakeClock(is_automatic=True)
    made, arbiter = source(clock)
    quota = QuotaClient(connection="crm", source=made, clock=clock)
    await asyncio.gather(*(use(quota, clock) for _ in range(130)))
    state = arbiter.budget("crm").state()
    assert state.spent == 650
    assert clock.monotonic() >= 2.0 * (130 // 20 - 1)
    clock.advance(3)
    assert arbiter.budget("crm").state().window_used == 0
    await quota.aclose()


@pytest.mark.requirement("G-03")
async def test_a_call_without_an_answer_may_still_be_on_its_way(source: Any) -> None:
    clock = FakeClock()
    made, arbiter = source(clock, window_limit=1, restart_wait_seconds=6.0)
    clock.advance(6.0)
    quota = QuotaClient(connection="crm", source=made, clock=clock)
    grant = await quota.acquire(tokens=5, is_search=False, priority=Priority.BULK)
    await quota.release(grant, is_sent=True, is_answered=False, tokens_spent=5, headers=Headers())
    budget = arbiter.budget("crm")
    clock.advance(6.0)
    assert budget.state().window_used == 1
    clock.advance(0.001)
    assert budget.state().window_used == 0
    await quota.aclose()


@pytest.mark.requirement("G-03")
async def test_an_empty_budget_is_told_to_everybody_who_waits(source: Any) -> None:
    clock = FakeClock(is_automatic=True)
    made, _ = source(clock, daily_tokens=0)
    quota = QuotaClient(connection="crm", source=made, clock=clock)
    results = await asyncio.gather(*(use(quota, clock) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(result, RateLimitedError) for result in results)


async def test_the_more_urgent_goes_first() -> None:
    clock = FakeClock(is_automatic=True)
    arbiter = Arbiter(settings=setting(window_limit=1), clock=clock)
    quota = QuotaClient(connection="crm", source=LocalSource(arbiter), clock=clock)
    await use(quota, clock)
    order: list[str] = []

    async def one(name: str, priority: Priority) -> None:
        await use(quota, clock, priority=priority)
        order.append(name)

    await asyncio.gather(one("bulk", Priority.BULK), one("delta", Priority.DELTA), one("rollback", Priority.ROLLBACK))
    assert order == ["rollback", "delta", "bulk"]


async def test_a_caller_that_gives_up_leaves_no_slot_taken(source: Any) -> None:
    clock = FakeClock()
    made, arbiter = source(clock, window_limit=1, restart_wait_seconds=1.0)
    quota = QuotaClient(connection="crm", source=made, clock=clock)
    waiting = asyncio.create_task(quota.acquire(tokens=5, is_search=False, priority=Priority.BULK))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    for _ in range(5):
        clock.advance(1.0)
        await asyncio.sleep(0)
    assert arbiter.budget("crm").state().window_used == 0
    await quota.aclose()


async def test_several_calls_share_one_remote_lease() -> None:
    clock = FakeClock(is_automatic=True)
    arbiter = Arbiter(settings=setting(), clock=clock)
    channel: Any = DirectChannel(QuotaServicer(arbiter=arbiter, clock=clock))
    quota = QuotaClient(connection="crm", source=RemoteSource(channels=[channel], holder="r1/1", clock=clock), clock=clock)
    await asyncio.gather(*(use(quota, clock) for _ in range(20)))
    assert channel.calls.count("AcquireLease") <= 4
    assert channel.calls.count("ReleaseLease") == channel.calls.count("AcquireLease")


class OtherWall:
    """The same time, told by a machine whose wall clock is wrong."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        self._clock = clock
        self._difference = timedelta(seconds=seconds)
        self.monotonic, self.sleep = clock.monotonic, clock.sleep

    def now(self) -> datetime:
        return self._clock.now() + self._difference


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
async def test_a_lease_lasts_as_long_as_it_lasts_whatever_the_clocks_show(seconds: float) -> None:
    clock = FakeClock()
    servicer = QuotaServicer(arbiter=Arbiter(settings=setting(lease_seconds=10.0), clock=clock), clock=OtherWall(clock, seconds))
    channel: Any = DirectChannel(servicer)
    source = RemoteSource(channels=[channel], holder="r1/1", clock=clock)
    answer = await source.acquire("crm", requests=1, tokens=5, searches=0, priority=Priority.BULK)
    assert isinstance(answer, tuple)
    assert answer[0].expires == pytest.approx(clock.monotonic() + 10.0)


async def test_asking_twice_with_one_request_id_is_asking_once() -> None:
    clock = FakeClock()
    arbiter = Arbiter(settings=setting(), clock=clock)
    servicer: Any = QuotaServicer(arbiter=arbiter, clock=clock)
    request = pb.AcquireLeaseRequest(connection="crm", request_count=3, token_count=15, request_id="a")
    first, second = await servicer.AcquireLease(request, None), await servicer.AcquireLease(request, None)
    assert first == second
    assert (await servicer.GetQuota(pb.GetQuotaRequest(connection="crm"), None)).window_used == 3
    await servicer.ReleaseLease(pb.ReleaseLeaseRequest(lease_id=first.lease_id, request_count=0), None)
    await servicer.ReleaseLease(pb.ReleaseLeaseRequest(lease_id=first.lease_id, request_count=3), None)
    assert (await servicer.GetQuota(pb.GetQuotaRequest(connection="crm"), None)).window_used == 0


@pytest.mark.parametrize(
    "request_",
    [
        {"request_count": 1},
        {"connection": "crm"},
        {"connection": "crm", "request_count": 101},
        {"connection": "crm", "request_count": 1, "search_count": 2},
    ],
)
async def test_requests_that_break_the_contract_are_refused(request_: dict[str, Any]) -> None:
    clock = FakeClock()
    servicer: Any = QuotaServicer(arbiter=Arbiter(settings=setting(), clock=clock), clock=clock)
    with pytest.raises(InvalidRequestError):
        await servicer.AcquireLease(pb.AcquireLeaseRequest(**request_), None)


def test_headers_travel_whole() -> None:
    for headers in (Headers(), Headers(429, 1, 0, 20, 0, 2.5, is_html=True), Headers(200, window_limit=5)):
        assert headers_from_proto(headers_to_proto(headers)) == headers


def test_runs_have_their_priority() -> None:
    kinds = ["rollback", "RUN_KIND_RECONCILE", "sample", "delta", "load", ""]
    assert [priority_of_run(kind) for kind in kinds] == [
        Priority.ROLLBACK, Priority.VERIFY, Priority.SAMPLE, Priority.DELTA, Priority.BULK, Priority.BULK,
    ]  # fmt: skip
    assert priority_from_proto(pb.QUOTA_PRIORITY_UNSPECIFIED) is Priority.BULK
    assert {priority.value: priority.name for priority in Priority} == {
        number: name.removeprefix("QUOTA_PRIORITY_") for name, number in pb.QuotaPriority.items() if number
    }
