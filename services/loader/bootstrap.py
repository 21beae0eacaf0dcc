"""Wires the loader: the only place that picks concrete parts and closes them again."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from services.common import grpc_client, jetstream, streams, telemetry
from services.common.bus_users import LOADER_USER
from services.common.clock import SystemClock
from services.common.connections import Connections
from services.common.consumer import Consumer
from services.common.errors import TransientError
from services.common.runtime import Service
from services.common.staging import Staging
from services.loader.hands import SPARE, Hands
from services.loader.ledger import LedgerClient
from services.loader.pipedrive.http import http_client
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.client import LocalSource
from services.loader.quota.gauges import show_budgets
from services.loader.quota.keeper import Keeper
from services.loader.quota.remote import RemoteSource
from services.loader.quota.servicer import QuotaServicer
from services.loader.servicer import LoaderServicer
from services.loader.targets import Targets
from services.loader.upsert import Upsert
from services.loader.worker import LoadWorker
from transload.v1.loader_service_pb2_grpc import add_LoaderServiceServicer_to_server
from transload.v1.quota_service_pb2 import GetQuotaRequest, GetQuotaResponse
from transload.v1.quota_service_pb2_grpc import QuotaServiceStub, add_QuotaServiceServicer_to_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from services.loader.quota.client import Source
    from services.loader.settings import LoaderSettings


@asynccontextmanager
async def build(settings: LoaderSettings) -> AsyncIterator[Service]:
    """Wires the loader. Resources close in reverse order when the block ends."""
    clock = SystemClock()
    holder = f"{settings.telemetry.replica}/{uuid.uuid4().hex[:12]}"
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(jetstream.connect(settings.nats, user=LOADER_USER))
        ledger_channel = await stack.enter_async_context(grpc_client.channel(settings.ledger_address, security=settings.grpc.security.peers))
        http = await stack.enter_async_context(http_client(connections_max=settings.in_flight_max * 2, timeout_seconds=settings.call_timeout_seconds))
        ledger = LedgerClient(channel=ledger_channel, holder=holder)
        arbiter = Arbiter(settings=settings.quota, clock=clock, has_terms=True)
        keeper = Keeper(arbiter=arbiter, terms=ledger, settings=settings.quota, clock=clock)
        quota_servicer = QuotaServicer(arbiter=arbiter, clock=clock)
        source: Source = LocalSource(arbiter)
        get_quota = quota_servicer.quota
        if settings.quota_address and settings.quota_address != settings.grpc.listen:
            addresses = [address.strip() for address in settings.quota_address.split(",") if address.strip()]
            channels = [await stack.enter_async_context(grpc_client.channel(address, security=settings.grpc.security.peers)) for address in addresses]
            source = RemoteSource(channels=channels, holder=holder, clock=clock)
            get_quota = quota_servicer.show = partial(remote_quota, [QuotaServiceStub(channel) for channel in channels])
        targets = Targets(http=http, connections=Connections.from_env(settings.environ), source=source, clock=clock)
        stack.push_async_callback(targets.aclose)
        staging = Staging.open(settings.staging.url)
        upsert = Upsert(
            ledger=ledger,
            files=staging,
            clock=clock,
            in_flight_max=settings.in_flight_max,
            grace_seconds=settings.grace_seconds,
            margin_seconds=settings.margin_seconds,
        )
        hands = Hands(each_max=settings.consumer_concurrency, clock=clock)
        worker = LoadWorker(ledger=ledger, targets=targets, upsert=upsert, clock=clock, hands=hands)
        yield Service(
            name="loader",
            servicers=[
                (add_LoaderServiceServicer_to_server, LoaderServicer(targets=targets, quota=get_quota)),
                (add_QuotaServiceServicer_to_server, quota_servicer),
            ],
            consumers=[Consumer(bus, streams.LOADER, worker.handle, concurrency=settings.consumer_concurrency * SPARE)],
            tasks=[keeper.run, *([partial(show_budgets, arbiter, clock)] if telemetry.is_measuring() else [])],
            pings={"nats": bus.ping, "ledger": partial(grpc_client.ping, ledger_channel)},
        )


async def remote_quota(stubs: Sequence[QuotaServiceStub], connection: str) -> GetQuotaResponse:
    """Answers the budget as the arbiter knows it that has learned most of it: the others have seen no header.

    Each is asked for its own view only: one of them may be this process, and two that asked each other would never end.
    """
    found = GetQuotaResponse()
    for number, stub in enumerate(stubs, start=1):
        try:
            response = await stub.GetQuota(GetQuotaRequest(connection=connection, is_local=True))
        except TransientError:
            if number == len(stubs) and not found.window_limit:
                raise
            continue
        if not found.window_limit or response.daily_token_limit > found.daily_token_limit:
            found = response
    return found
