"""Wires the ledger: the only place that picks concrete classes and closes them again."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from services.common import grpc_client, jetstream, telemetry
from services.common.bus_users import LEDGER_USER
from services.common.clock import Clock, SystemClock
from services.common.runtime import Service
from services.common.staging import Staging
from services.ledger.coordinator import Coordinator, Timing
from services.ledger.domain import RunKind
from services.ledger.gauges import Gauges
from services.ledger.leading import Standby, leading, refuse_readiness, until_free
from services.ledger.lease import LeaseStore
from services.ledger.ledger_servicer import LedgerServicer
from services.ledger.migration_servicer import MigrationServicer
from services.ledger.outbox import OutboxRelay
from services.ledger.retention import Retention
from services.ledger.runs.audit import AuditDriver
from services.ledger.runs.clients import GrpcExtractor, GrpcLoader, GrpcTransformer, StagingSelections
from services.ledger.runs.driver import Driver, Tools
from services.ledger.runs.load import DeltaDriver, LoadDriver, SampleDriver
from services.ledger.runs.reconcile import ReconcileDriver
from services.ledger.runs.repair import RepairDriver
from services.ledger.runs.rollback import RollbackDriver
from services.ledger.runs.schema import SchemaDriver
from services.ledger.settings import LedgerSettings
from services.ledger.signing import load_signer
from services.ledger.sql.engine import Database, opened
from services.ledger.sql.lease import lease_of
from services.ledger.sql.ledger import SqlLedger
from services.ledger.sql.postgres import PostgresDatabase
from services.ledger.sql.schema import has_leases, upgrade
from transload.v1 import ledger_service_pb2_grpc, migration_service_pb2_grpc


def drivers(tools: Tools) -> dict[RunKind, Driver]:
    """Answer the driver of every kind of run."""
    return {
        RunKind.AUDIT: AuditDriver(tools),
        RunKind.SCHEMA: SchemaDriver(tools),
        RunKind.SAMPLE: SampleDriver(tools),
        RunKind.LOAD: LoadDriver(tools),
        RunKind.DELTA: DeltaDriver(tools),
        RunKind.RECONCILE: ReconcileDriver(tools),
        RunKind.ROLLBACK: RollbackDriver(tools),
        RunKind.REPAIR: RepairDriver(tools),
    }


@asynccontextmanager
async def build(settings: LedgerSettings) -> AsyncIterator[Service]:
    """Wire the ledger, or what stands by while another one writes to the same database. Its service ends when that changes, to be wired anew."""
    clock = SystemClock()
    async with opened(settings.database_url) as database:
        if isinstance(database, PostgresDatabase) and not await has_leases(database):
            await upgrade(database)
        store = lease_of(database, settings.telemetry.replica)
        async with leading(store, clock) as leadership:
            if leadership is None:
                yield _standby(store, clock)
                return
            async with _active(settings, database, clock) as service:
                yield replace(service, until=leadership.until_lost if store.is_shared else None)


def _standby(store: LeaseStore, clock: Clock) -> Service:
    """Answer a service that refuses all calls until the lease may be had."""
    return Service(
        name="ledger",
        servicers=[
            (ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server, Standby(LedgerServicer)),
            (migration_service_pb2_grpc.add_MigrationServiceServicer_to_server, Standby(MigrationServicer)),
        ],
        pings={"lease": refuse_readiness},
        until=lambda: until_free(store, clock),
    )


@asynccontextmanager
async def _active(settings: LedgerSettings, database: Database, clock: Clock) -> AsyncIterator[Service]:
    """Wire the ledger that writes: database (brought up to date), NATS, the other services, relay and coordinator."""
    async with AsyncExitStack() as stack:
        ledger = await SqlLedger.on(database, clock=clock)
        bus = await stack.enter_async_context(jetstream.connect(settings.nats, user=LEDGER_USER))
        extractor = await stack.enter_async_context(grpc_client.channel(settings.extractor_address, security=settings.grpc.security.peers))
        transformer = await stack.enter_async_context(grpc_client.channel(settings.transformer_address, security=settings.grpc.security.peers))
        loader = await stack.enter_async_context(grpc_client.channel(settings.loader_address, security=settings.grpc.security.peers))
        tools = Tools(
            ledger=ledger,
            clock=clock,
            extractor=GrpcExtractor(extractor),
            transformer=GrpcTransformer(transformer),
            loader=GrpcLoader(loader),
            selections=StagingSelections(Staging.open(settings.staging.url)),
            signer=load_signer(settings.signing_key_file),
            poll_seconds=settings.poll_seconds,
            claim_ttl=timedelta(seconds=settings.claim_seconds),
        )
        stack.push_async_callback(tools.refusals.close)
        timing = Timing(tick_seconds=settings.tick_seconds, reannounce_seconds=settings.reannounce_seconds, restart_seconds=settings.restart_seconds)
        coordinator = Coordinator(tools=tools, drivers=drivers(tools), incarnation=bus.incarnation, timing=timing)
        relay = OutboxRelay(ledger=ledger, publisher=bus, clock=clock)
        workers = LedgerServicer(ledger=ledger, clock=clock, claim_ttl=tools.claim_ttl, steady=tools.steady)
        yield Service(
            name="ledger",
            servicers=[
                (ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server, workers),
                (migration_service_pb2_grpc.add_MigrationServiceServicer_to_server, MigrationServicer(tools=tools)),
            ],
            tasks=[
                relay.run,
                coordinator.run,
                *([Gauges(tools, bus.lags).run] if telemetry.is_measuring() else []),
                *([Retention(tools, settings.retention_days).run] if settings.retention_days else []),
            ],
            on_refused=tools.refusals.note,
            # Without NATS people still see where things stand, so only the database decides whether the ledger is ready.
            pings={"database": ledger.ping},
        )
