"""`LedgerService` over a real gRPC server, with loaders that race each other and repeat themselves."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from services.common import grpc_client, grpc_server
from services.common.errors import NotFoundError
from services.ledger.audit import verify_trail
from services.ledger.domain import RecordFilter, RecordState
from services.ledger.sql.ledger import SqlLedger
from tests.contract.ledger.world import PERSONS, RUN, M, World, actions, mapped, outcome
from tests.fakes.clock import FakeClock
from transload.v1 import ledger_service_pb2 as pb
from transload.v1 import ledger_service_pb2_grpc, records_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

RECORDS, BATCHES, LOADERS = 10, 6, 4


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = FakeClock()
    async with SqlLedger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=clock) as ledger:
        yield World(ledger, clock)


@pytest.fixture
async def stub(world: World) -> AsyncIterator[ledger_service_pb2_grpc.LedgerServiceStub]:
    registration = (ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server, world.servicer)
    async with grpc_server.serve("127.0.0.1:0", [registration]) as server, grpc_client.channel(server.address) as channel:
        yield ledger_service_pb2_grpc.LedgerServiceStub(channel)


async def test_refusals_arrive_as_what_they_are(world: World, stub: ledger_service_pb2_grpc.LedgerServiceStub) -> None:
    await world.begin()
    with pytest.raises(NotFoundError):
        await stub.GetManifest(pb.GetManifestRequest(manifest_digest="nothing"))


class Race:
    """Loaders that work on the same batches, die, repeat themselves, and one Pipedrive that creates what it is told."""

    def __init__(self, world: World, stub: ledger_service_pb2_grpc.LedgerServiceStub, seed: int) -> None:
        self.world, self.stub, self.rng = world, stub, random.Random(seed)
        self.batches = {f"b{number}": [f"person:client/{number * RECORDS + index}" for index in range(RECORDS)] for number in range(BATCHES)}
        self.created: dict[str, str] = {}

    async def load(self, replica: int) -> None:
        """Be one loader until every batch is final."""
        incarnation, left = 0, list(self.batches)
        for attempt in range(200):
            if not left:
                return
            batch_id, holder = self.rng.choice(left), f"loader-{replica}/{incarnation}"
            answer = await self.begin(batch_id, holder, f"{replica}-{attempt}")
            if self.rng.random() < 0.1:
                incarnation += 1  # died before any call
            elif await self.settle(batch_id, holder, f"s{replica}-{attempt}", self.act(answer)):
                left.remove(batch_id)
            if self.rng.random() < 0.2:
                self.world.clock.advance(61)
        raise AssertionError("the loaders did not finish")

    async def begin(self, batch_id: str, holder: str, request_id: str) -> pb.BeginBatchResponse:
        records = [mapped(key) for key in self.batches[batch_id]]
        batch = records_pb2.MappedBatch(batch_id=batch_id, migration_id=M, run_id=RUN, phase=PERSONS, target_entity="person", records=records)
        request = pb.BeginBatchRequest(batch=batch, holder=holder, request_id=request_id)
        await self.stub.BeginBatch(request)
        return await self.stub.BeginBatch(request)  # the first answer got lost

    def act(self, answer: pb.BeginBatchResponse) -> list[pb.RecordOutcome]:
        outcomes = []
        for key, action in actions(answer).items():
            if action == "IN_DOUBT" and key in self.created:
                outcomes.append(outcome(key, "CREATED", target_id=self.created[key], tokens=5))
            elif action in {"CREATE", "IN_DOUBT"}:
                outcomes.extend(self.create(key))
        return outcomes

    def create(self, key: str) -> list[pb.RecordOutcome]:
        """Create a record; now and then nothing is sent, the answer is lost, or the outcome is not told."""
        fate = self.rng.random()
        if fate < 0.1:
            return [outcome(key, "NOT_TRIED")]
        assert key not in self.created
        self.created[key] = str(len(self.created) + 1)
        if fate < 0.2:
            return [outcome(key, "UNKNOWN", tokens=5)]
        return [] if fate < 0.3 else [outcome(key, "CREATED", target_id=self.created[key], tokens=5)]

    async def settle(self, batch_id: str, holder: str, request_id: str, outcomes: list[pb.RecordOutcome]) -> bool:
        request = pb.SettleBatchRequest(migration_id=M, run_id=RUN, batch_id=batch_id, holder=holder, outcomes=outcomes, request_id=request_id)
        first = await self.stub.SettleBatch(request)
        again = await self.stub.SettleBatch(request)
        assert again.is_final >= first.is_final
        return again.is_final


@pytest.mark.requirement("L-10", "X-04")
@pytest.mark.parametrize("seed", range(3))
async def test_racing_loaders_create_every_record_once(world: World, stub: ledger_service_pb2_grpc.LedgerServiceStub, seed: int) -> None:
    await world.begin()
    race = Race(world, stub, seed)
    await world.read_sources(*(key.partition(":")[2] for keys in race.batches.values() for key in keys))
    for batch_id, keys in race.batches.items():
        await world.expect(*keys, batch_id=batch_id)
    await asyncio.gather(*(race.load(replica) for replica in range(LOADERS)))
    async with world.ledger.read() as reader:
        records = await reader.list_records(M, RecordFilter(states=(RecordState.LOADED,)))
        events = await reader.list_events(M, limit=10_000)
        run = await reader.get_run(RUN)
        (count,) = await reader.summarize_sources(M)
        assert (await verify_trail(reader, M)).is_whole
        assert (await reader.phase_progress(RUN, PERSONS)).open_batch_count == 0
    assert {record.key: record.target_id for record in records} == race.created
    assert sorted(event.key for event in events if event.kind == "record.created") == sorted(race.created)
    assert len(race.created) == count.extracted_count == count.loaded_count == BATCHES * RECORDS
    assert run is not None
    assert run.token_count >= 5 * len(race.created)
