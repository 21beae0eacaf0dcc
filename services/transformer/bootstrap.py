"""Wires the transformer: the only place that picks concrete classes and closes them again."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from services.common import grpc_client, jetstream, streams
from services.common.bus_users import TRANSFORMER_USER
from services.common.consumer import Consumer
from services.common.runtime import Service
from services.common.staging import Staging
from services.transformer.ledger import LedgerClient
from services.transformer.plans import Plans
from services.transformer.servicer import TransformerServicer
from services.transformer.snapshot.index import SnapshotIndex
from services.transformer.worker import TransformWorker
from transload.v1 import ledger_service_pb2_grpc, transformer_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.transformer.settings import TransformerSettings


@asynccontextmanager
async def build(settings: TransformerSettings) -> AsyncIterator[Service]:
    """Wire the transformer. Resources close in reverse order when the block ends."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(jetstream.connect(settings.nats, user=TRANSFORMER_USER))
        channel = await stack.enter_async_context(grpc_client.channel(settings.ledger_address, security=settings.grpc.security.peers))
        store = Staging.open(settings.staging.url)
        ledger = LedgerClient(ledger_service_pb2_grpc.LedgerServiceStub(channel))
        index = SnapshotIndex(settings.index_folder, pages=ledger, store=store, migrations_max=settings.index_migrations_max)
        stack.callback(index.close)
        plans = Plans(ledger)
        worker = TransformWorker(ledger=ledger, bus=bus, store=store, index=index, plans=plans)
        servicer = TransformerServicer(index=index, plans=plans, store=store)
        stack.callback(servicer.close)
        yield Service(
            name="transformer",
            servicers=[(transformer_service_pb2_grpc.add_TransformerServiceServicer_to_server, servicer)],
            consumers=[Consumer(bus, streams.TRANSFORMER, worker.handle, concurrency=settings.concurrency)],
            # The ledger pings the transformer; asking for its liveness only keeps the two from waiting for each other.
            pings={"nats": bus.ping, "ledger": partial(grpc_client.ping, channel)},
        )
