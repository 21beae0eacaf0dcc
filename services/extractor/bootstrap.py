"""Wires the extractor: the only place that picks concrete classes and closes them again."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from services.common import grpc_client
from services.common.backoff import Backoff
from services.common.clock import SystemClock
from services.common.connections import Connections
from services.common.runtime import Service
from services.common.staging import Staging
from services.extractor.budget import OutagePolicy
from services.extractor.http import source_client
from services.extractor.jobs import Extractions
from services.extractor.ledger import LedgerClient
from services.extractor.registry import CONNECTORS
from services.extractor.servicer import ExtractorServicer
from services.extractor.settings import ExtractorSettings
from transload.v1 import extractor_service_pb2_grpc, ledger_service_pb2_grpc


@asynccontextmanager
async def build(settings: ExtractorSettings) -> AsyncIterator[Service]:
    """Wire the extractor. Extractions stop and connections close when the block ends."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        channel = await stack.enter_async_context(grpc_client.channel(settings.ledger_address, security=settings.grpc.security.peers))
        store = Staging.open(settings.staging.url)
        extractions = Extractions(
            connectors=CONNECTORS,
            connections=Connections.from_env(os.environ),
            ledger=LedgerClient(ledger_service_pb2_grpc.LedgerServiceStub(channel), clock=clock),
            store=store,
            clock=clock,
            http_client=partial(source_client, timeout_seconds=settings.http_timeout_seconds),
            outage_policy=OutagePolicy(
                tries=settings.outage_tries,
                slow=Backoff(base_seconds=settings.outage_pause_seconds, cap_seconds=settings.outage_pause_seconds_max),
            ),
        )
        stack.push_async_callback(extractions.close)
        yield Service(
            name="extractor",
            servicers=[(extractor_service_pb2_grpc.add_ExtractorServiceServicer_to_server, ExtractorServicer(extractions))],
            pings={"ledger": partial(grpc_client.ping, channel)},
        )
