"""Callers find the replica that is at work: by a list of addresses, or because the one they had hangs up."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from services.common import grpc_client
from services.common.errors import NotFoundError, UnavailableError
from services.common.grpc_server import serve
from services.ledger.leading import Standby
from services.ledger.migration_servicer import MigrationServicer
from transload.client import Client
from transload.errors import TransloadCallError
from transload.v1 import migration_service_pb2 as pb
from transload.v1 import migration_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEAD = "127.0.0.1:9"


class Working(MigrationServicer):
    """Knows one migration, and nothing of a ledger."""

    def __init__(self) -> None:
        """Leaves out what the real one needs."""

    async def GetMigration(self, request: pb.GetMigrationRequest, context: Any) -> pb.GetMigrationResponse:
        if request.migration_id != "acme":
            raise NotFoundError("no such migration", reason="MIGRATION_NOT_FOUND")
        return pb.GetMigrationResponse(migration=pb.Migration(migration_id="acme"))

    async def WatchMigration(self, request: pb.WatchMigrationRequest, context: Any) -> AsyncIterator[pb.WatchMigrationResponse]:
        yield pb.WatchMigrationResponse(migration=pb.Migration(migration_id="acme"))

    async def ExportAudit(self, request: pb.ExportAuditRequest, context: Any) -> AsyncIterator[pb.ExportAuditResponse]:
        yield pb.ExportAuditResponse(events=[pb.Event(sequence=1)])
        if request.migration_id == "breaks":
            raise UnavailableError("the ledger goes away")


@asynccontextmanager
async def ledger(servicer: object, listen: str = "127.0.0.1:0", *, is_serving: bool = True) -> AsyncIterator[str]:
    async with serve(listen, [(migration_service_pb2_grpc.add_MigrationServiceServicer_to_server, servicer)]) as server:
        await server.set_serving(is_serving)
        yield server.address


async def test_a_worker_and_a_person_reach_the_one_at_work_wherever_it_stands() -> None:
    request = pb.GetMigrationRequest(migration_id="acme")
    async with ledger(Standby(MigrationServicer), is_serving=False) as standby, ledger(Working()) as active:
        for addresses in (f"{standby},{active}", f"{DEAD},{standby},{active}", f"{active},{standby}"):
            async with grpc_client.channel(addresses) as channel:
                stub = migration_service_pb2_grpc.MigrationServiceStub(channel)
                assert (await stub.GetMigration(request)).migration.migration_id == "acme"
                with pytest.raises(NotFoundError):
                    await stub.GetMigration(pb.GetMigrationRequest(migration_id="x"))
            async with Client.connect(addresses, actor="a") as client:
                assert [message.migration.migration_id async for message in client.watch("acme")] == ["acme"]
                assert (await client.get_migration("acme")).migration_id == "acme"
        await grpc_client.wait_until_serving(f"{standby},{active}", timeout_seconds=5)


async def test_a_stream_begins_where_work_is_done_and_is_never_begun_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transload.client.RETRY_DELAYS_SECONDS", ())
    async with ledger(Standby(MigrationServicer), is_serving=False) as standby, ledger(Working()) as active:
        for addresses in (f"{standby},{active}", f"{DEAD},{standby},{active}"):
            async with Client.connect(addresses, actor="a") as client:
                assert [event.sequence async for event in client.export_audit("acme")] == [1]
            async with Client.connect(addresses, actor="a") as client:
                assert [message.migration.migration_id async for message in client.watch("acme")] == ["acme"]
            async with Client.connect(addresses, actor="a") as client:
                events = client.export_audit("breaks")
                assert (await anext(events)).sequence == 1
                with pytest.raises(TransloadCallError):
                    await anext(events)
            request = pb.ExportAuditRequest(migration_id="acme")
            async with grpc_client.channel(addresses) as channel:
                stream = migration_service_pb2_grpc.MigrationServiceStub(channel).ExportAudit(request)
                assert [len(answer.events) async for answer in stream] == [1]
    async with Client.connect(f"{DEAD},127.0.0.1:1", actor="a") as client:
        with pytest.raises(TransloadCallError):
            await anext(client.export_audit("acme"))


async def test_a_ledger_that_stands_by_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transload.client.RETRY_DELAYS_SECONDS", (0.0,))
    async with ledger(Standby(MigrationServicer), is_serving=False) as standby:
        async with grpc_client.channel(standby) as channel:
            await grpc_client.ping(channel)  # it lives
            assert not await grpc_client.is_serving(channel)
            with pytest.raises(UnavailableError) as refused:
                await migration_service_pb2_grpc.MigrationServiceStub(channel).GetMigration(pb.GetMigrationRequest(migration_id="acme"))
        async with Client.connect(f"{standby},{DEAD}", actor="a") as client:
            with pytest.raises(TransloadCallError):
                await client.get_migration("acme")
    assert refused.value.reason == "LEDGER_STANDBY"


async def test_behind_one_address_callers_follow_when_the_old_one_hangs_up() -> None:
    """As behind a Service of Kubernetes: the address stays, and another process answers there."""
    request = pb.GetMigrationRequest(migration_id="acme")
    async with ledger(Working()) as address:
        channel_open = grpc_client.channel(address)
        channel = await channel_open.__aenter__()
        stub = migration_service_pb2_grpc.MigrationServiceStub(channel)
        await stub.GetMigration(request)
    try:
        calling = asyncio.ensure_future(stub.GetMigration(request))
        async with ledger(Working(), address):
            assert (await calling).migration.migration_id == "acme"
    finally:
        await channel_open.__aexit__(None, None, None)
