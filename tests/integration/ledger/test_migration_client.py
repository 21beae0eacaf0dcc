"""The steps of a migration by the public client over a real gRPC server, with the coordinator running as it does in the service."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, cast

import pytest

from services.common.clock import SystemClock
from services.common.grpc_server import serve
from services.ledger.coordinator import Coordinator, Timing
from tests.unit.ledger.coordinator.world import M, World, open_world
from transload.client import Client
from transload.errors import TransloadCallError
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2_grpc import add_MigrationServiceServicer_to_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fakes.clock import FakeClock


async def work_forever(world: World) -> None:
    while True:
        await world.turn()


@asynccontextmanager
async def running(world: World) -> AsyncIterator[asyncio.Task[None]]:
    """The coordinator as a task; the block's end kills it without notice."""
    timing = Timing(tick_seconds=0.05, reannounce_seconds=30, restart_seconds=0.2)
    world.coordinator = Coordinator(tools=world.tools, drivers=world.coordinator._drivers, incarnation=world._incarnation, timing=timing)
    task = asyncio.create_task(world.coordinator.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class QuickClock(SystemClock):
    """Real time, in which nobody sleeps long."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async for opened in open_world(tmp_path, cast("FakeClock", QuickClock())):
        yield opened


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    workers = asyncio.create_task(work_forever(world))
    async with (
        serve("127.0.0.1:0", [(add_MigrationServiceServicer_to_server, world.service)]) as server,
        Client.connect(server.address, actor="ana") as connected,
    ):
        yield connected
    workers.cancel()
    with suppress(asyncio.CancelledError):
        await workers


async def until_sampled(client: Client) -> None:
    await client.create_migration(connector="stel_order", source_connection="stel", target_connection="pipedrive", migration_id=M)
    await client.start_audit(M)
    await client.wait(M)
    await client.confirm_mapping(M, (await client.get_mapping(M)).digest)
    await client.apply_schema(M)
    await client.wait(M)
    await client.run_sample(M)
    await client.wait(M)


async def approve(client: Client) -> None:
    pages = [page async for page in client.iterate_diff(M)]
    await client.approve(M, pages[0].diff_digest)


@pytest.mark.requirement("L-01", "L-02", "L-08", "L-09", "L-10", "L-13", "L-14", "L-15")
async def test_the_whole_way_by_the_client(world: World, client: Client) -> None:
    before = {place: dict(image) for place, image in world.pipedrive.records.items()}
    async with running(world):
        await until_sampled(client)
        assert json.loads(await client.get_audit(M))["load"]
        with pytest.raises(TransloadCallError) as caught:
            await client.start_load(M)
        assert caught.value.reason == "NOT_APPROVED"
        diff = [page async for page in client.iterate_diff(M)]
        assert diff[0].different_count == 0
        await client.approve(M, diff[0].diff_digest)
        await client.start_load(M)
        seen: list[pb.WatchMigrationResponse] = []
        assert (await client.wait(M, seen.append)).state == pb.MIGRATION_STATE_LOADED
        assert seen[-1].summary.entities
        await client.reconcile(M)
        await client.wait(M)
        assert (await client.get_summary(M)).mismatch_count == 0
        plan = await client.plan_rollback(M)
        assert plan.steps
        await client.rollback(M)
        assert (await client.wait(M)).state == pb.MIGRATION_STATE_ROLLED_BACK
    assert world.pipedrive.records == before
    assert (await client.verify_audit(M)).is_whole
    sequences = [event.sequence async for event in client.export_audit(M)]
    assert sequences == list(range(1, len(sequences) + 1))


async def test_a_coordinator_killed_again_and_again_still_brings_the_load_to_its_end(world: World, client: Client) -> None:
    async with running(world):
        await until_sampled(client)
    await approve(client)
    await client.start_load(M)
    ended = asyncio.create_task(client.wait(M))
    kills = 0
    while not ended.done():
        async with running(world):
            await asyncio.wait({ended}, timeout=0.3 + 0.1 * kills)
        kills += 1
        assert kills < 200
    assert ended.result().latest_run.state == pb.RUN_STATE_SUCCEEDED
    assert kills > 1
    assert set(world.pipedrive.creations.values()) == {1}


async def test_pause_and_resume_by_the_client(world: World, client: Client) -> None:
    async with running(world):
        await until_sampled(client)
        await approve(client)
        await client.start_load(M)
        paused = await client.pause(M)
        assert paused.pause_kind == pb.PAUSE_KIND_USER
        assert "ana" in paused.pause_message
        assert (await client.wait(M)).pause_kind == pb.PAUSE_KIND_USER
        assert (await client.resume(M)).pause_kind == pb.PAUSE_KIND_UNSPECIFIED
        assert (await client.wait(M)).state == pb.MIGRATION_STATE_LOADED
