"""Killed anywhere, restarted, its streams lost: the end is the same, and nothing is in Pipedrive twice."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from services.ledger.domain import PauseKind, RunKind
from tests.fakes.clock import FakeClock
from tests.unit.ledger.coordinator.deaths import after_a_death
from tests.unit.ledger.coordinator.world import ACTOR, CONTEXT, CrashError, FakePipedrive, Fuse, M, World, open_world
from transload.v1 import ledger_service_pb2 as ledger_pb
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2 import RunState

if TYPE_CHECKING:
    from pathlib import Path

# The process may die at some hundred points of a run; every few of them keep the test short, and the phase shifts from run to run.
STRIDE = 17


async def prepare(folder: Path, kind: RunKind) -> World:
    """Come to the state in which a run of this kind can start; the database stays in the folder."""
    async for world in open_world(folder, FakeClock(is_automatic=True)):
        await (world.until_approved() if kind is RunKind.LOAD else world.until_loaded())
        return world
    raise AssertionError


async def run_with_a_crash(prepared: World, base: Path, folder: Path, kind: RunKind, at: int) -> tuple[str, int]:
    """Run on a copy with a death at the `at`-th point; answers the end, and how many points were passed without one."""
    async with after_a_death(prepared, base, folder, kind, at) as world:
        assert set(world.pipedrive.creations.values()) == {1}, at
        return await end_of(world), world.fuse.points


async def end_of(world: World) -> str:
    summary = await world.summary()
    images = sorted(
        (entity, sorted((name, value) for name, value in image.items() if not name.endswith("id") or name == "transload_id"))
        for (entity, _), image in world.pipedrive.records.items()
    )
    sums = [
        (entity.source_entity, entity.extracted_count, entity.loaded_count, entity.skipped_count, entity.waiting_count) for entity in summary.entities
    ]
    return str((images, sums))


@pytest.mark.requirement("L-10", "L-15", "X-04")
@pytest.mark.parametrize("kind", [RunKind.LOAD, RunKind.ROLLBACK])
async def test_a_death_at_any_point_leads_to_the_same_end(tmp_path: Path, kind: RunKind) -> None:
    base = tmp_path / "base"
    base.mkdir()
    prepared = await prepare(base, kind)
    whole, points = await run_with_a_crash(prepared, base, tmp_path / "whole", kind, at=0)
    assert points > 100
    for at in range(1, points, STRIDE):
        end, _ = await run_with_a_crash(prepared, base, tmp_path / f"crash-{at}", kind, at=at)
        assert end == whole, f"dying at point {at} of {points}"


async def test_lost_announcements_are_made_again(world: World) -> None:
    await world.until_approved()
    world.drops_raw, world.drops_mapped = 3, 2
    run = await world.run(RunKind.LOAD)
    assert run.state == RunState.RUN_STATE_SUCCEEDED
    assert set(world.pipedrive.creations.values()) == {1}
    assert "work.announced_again" in {event.kind for event in await world.events()}


async def test_lost_schema_batches_are_made_again(world: World) -> None:
    await world.create()
    await world.run(RunKind.AUDIT)
    await world.confirm()
    world.drops_mapped = 2
    assert (await world.run(RunKind.SCHEMA)).state == RunState.RUN_STATE_SUCCEEDED


async def test_new_streams_are_filled_again_at_once(world: World) -> None:
    await world.until_approved()
    run_id = await world.start(RunKind.LOAD)
    world.drops_raw = 10_000
    for _ in range(4):
        await world.coordinator.step(run_id)
        await world.turn()
    world.drops_raw = 0
    began = world.clock.monotonic()
    world.streams = "second"
    await world.turn()
    assert "work.announced_again" in {event.kind for event in await world.events()}
    assert world.clock.monotonic() - began < 2
    assert (await world.finish(run_id)).state == RunState.RUN_STATE_SUCCEEDED


async def test_pages_dropped_during_a_pause_come_back_when_it_ends(world: World) -> None:
    await world.until_approved()
    run_id = await world.start(RunKind.LOAD)
    for _ in range(3):
        await world.coordinator.step(run_id)
    await world.service.PauseMigration(pb.PauseMigrationRequest(migration_id=M, actor=ACTOR), CONTEXT)
    before = dict(world.pipedrive.creations)
    for _ in range(5):
        await world.coordinator.step(run_id)
        await world.turn()
    assert dict(world.pipedrive.creations) == before
    await world.service.ResumeMigration(pb.ResumeMigrationRequest(migration_id=M, actor=ACTOR), CONTEXT)
    began = world.clock.monotonic()
    assert (await world.finish(run_id)).state == RunState.RUN_STATE_SUCCEEDED
    assert world.clock.monotonic() - began < 120


async def test_work_in_hand_at_a_restart_is_announced_again(world: World) -> None:
    await world.until_approved()
    run_id = await world.start(RunKind.LOAD)
    world.drops_raw = 10_000
    for _ in range(4):
        await world.coordinator.step(run_id)
        await world.turn()
    world.drops_raw = 0
    world.restart()
    began = world.clock.monotonic()
    while "work.announced_again" not in {event.kind for event in await world.events()}:
        await world.coordinator.step(run_id)
        await world.turn()
        assert world.clock.monotonic() - began < 15
    assert (await world.finish(run_id)).state == RunState.RUN_STATE_SUCCEEDED


async def test_while_the_budget_is_used_up_a_new_ledger_shows_the_work_once(world: World) -> None:
    await world.until_approved()
    run_id = await world.start(RunKind.LOAD)
    world.drops_raw = 10_000
    for _ in range(4):
        await world.coordinator.step(run_id)
        await world.turn()
    report = ledger_pb.ReportTargetRequest(connection=(await world.domain()).target_connection, reason="TARGET_QUOTA_EXHAUSTED", message="used up")
    report.resume_time.FromDatetime(world.clock.now() + timedelta(hours=5))
    await world.workers.ReportTarget(report, CONTEXT)
    world.restart()
    began = world.clock.monotonic()
    while world.clock.monotonic() - began < 600:
        await world.coordinator.step(run_id)
        await world.turn()
        world.clock.advance(1)
    assert (await world.domain()).pause_kind is PauseKind.TARGET_QUOTA
    assert [event.kind for event in await world.events()].count("work.announced_again") == 1


def test_a_fuse_blows_once() -> None:
    fuse = Fuse(at=2)
    fuse.point()
    with pytest.raises(CrashError):
        fuse.point()
    fuse.point()
    assert FakePipedrive().records
