"""A delta deletes at its end, and ends after that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.ledger.domain import Record, RecordFilter, RecordState, ReportKind, Run, RunKind
from services.ledger.runs.context import RunContext
from services.ledger.runs.removal import ORDER, RemovalWork
from tests.unit.ledger.coordinator.world import CrashError, M, World
from transload.v1 import migration_service_pb2 as pb


async def loaded(world: World) -> dict[str, Record]:
    async with world.ledger.read() as reader:
        records = await reader.list_records(M, RecordFilter(states=(RecordState.LOADED,), has_target=True))
    return {record.key: record for record in records if record.target_entity in {entity for _, entity in ORDER}}


async def lose(world: World, records: dict[str, Record]) -> None:
    """Mark records as lost in the source, to be deleted by policy."""
    async with world.ledger.transaction() as tx:
        await tx.save_records([replace(record, gone="delete") for record in records.values()])


@pytest.mark.requirement("L-11")
async def test_a_delta_ends_after_all_it_deletes_is_deleted(world: World) -> None:
    await world.until_loaded()
    lost = await loaded(world)
    await lose(world, lost)
    run = await world.run(RunKind.DELTA)
    assert run.state == pb.RUN_STATE_SUCCEEDED
    async with world.ledger.read() as reader:
        after = await reader.get_records(M, list(lost))
    assert len({record.target_entity for record in lost.values()}) > 1
    assert {str(record.state) for record in after.values()} == {"undone"}
    counts = {(result.target_entity, result.result): result.count for result in (await world.migration()).latest_run.results}
    assert sum(count for (_, result), count in counts.items() if result == "deleted") == len(lost)


@pytest.mark.requirement("L-11", "L-16", "X-01")
async def test_what_something_still_wanted_hangs_on_is_asked_about(world: World) -> None:
    await world.until_loaded()
    lost = {key: record for key, record in (await loaded(world)).items() if record.target_entity == "organization"}
    await lose(world, lost)
    await world.run(RunKind.DELTA)
    async with world.ledger.read() as reader:
        after = (await reader.get_records(M, list(lost))).values()
    asked = [record for record in after if record.reason == "SOURCE_DELETED"]
    assert asked
    assert {str(record.state) for record in after} <= {"undone", "waiting"}
    assert all("are still in the source" in record.message for record in asked)


@pytest.mark.requirement("L-11")
async def test_nothing_goes_on_before_what_was_announced_is_done(world: World) -> None:
    await world.until_loaded()
    lost = await loaded(world)
    await lose(world, lost)
    run = Run("delta-x", M, RunKind.DELTA, world.clock.now(), context_json=RunContext(step="remove").to_json())
    async with world.ledger.transaction() as tx:
        await tx.save_run(run)
    work = RemovalWork(world.tools)
    for _ in range(2 * len(ORDER)):  # no loader takes the batches
        async with world.ledger.read() as reader:
            now = await reader.get_run(run.run_id)
        assert now is not None
        await work.advance(now, next_step="finish")
    async with world.ledger.read() as reader:
        batches = [batch for phase in {phase for phase, _ in ORDER} for batch in await reader.list_batches(run.run_id, phase)]
    assert now is not None
    assert RunContext.of(now).step == "remove"
    assert len({batch.target_entity for batch in batches}) == 1


ORDERS = [f"deal:sales_order/{number}" for number in (1, 2, 3)]


async def record(world: World, key: str) -> Record:
    async with world.ledger.read() as reader:
        return (await reader.get_records(M, [key]))[key]


async def deleted_by_a_person(world: World, key: str) -> str:
    """Let a person delete what a client became, and the source change the client; answers the id it had."""
    old = (await record(world, key)).target_id
    del world.pipedrive.records[key.partition(":")[0], old]
    number = key.rpartition("/")[2]
    world.source["client"][number] = {"name": "Another name"}
    world.changes = {"client": {number: {"name": "Another name"}}}
    return old


@pytest.mark.requirement("L-11", "X-01")
async def test_what_hung_on_a_record_that_is_made_anew_is_linked_anew(world: World) -> None:
    await world.until_loaded()
    before = {key: await record(world, key) for key in ORDERS}
    old = await deleted_by_a_person(world, "organization:client/1")
    assert (await world.run(RunKind.DELTA)).state == pb.RUN_STATE_SUCCEEDED
    new = (await record(world, "organization:client/1")).target_id
    assert new not in {"", old}
    after = {key: await record(world, key) for key in ORDERS}
    assert world.pipedrive.records["deal", after[ORDERS[0]].target_id]["org_id"] == new
    assert [after[key].target_id for key in ORDERS] == [before[key].target_id for key in ORDERS]
    # Only that deal was written, and nothing is left to do for the next delta.
    assert [after[key].image != before[key].image for key in ORDERS] == [True, False, False]
    assert {key: count for key, count in world.pipedrive.creations.items() if count > 1} == {"organization:client/1": 2}
    counts = {(result.target_entity, result.result): result.count for result in (await world.migration()).latest_run.results}
    assert counts["deal", "updated"] == 1
    world.changes = {}
    await world.run(RunKind.DELTA)
    counts = {(result.target_entity, result.result): result.count for result in (await world.migration()).latest_run.results}
    assert not any(result in {"updated", "created"} for _, result in counts)
    async with world.ledger.read() as reader:
        assert not await reader.list_report_rows(M, ReportKind.REPLACED)


@pytest.mark.requirement("L-11")
async def test_what_could_not_be_made_anew_yet_is_linked_by_the_delta_that_makes_it(world: World) -> None:
    await world.until_loaded()
    await deleted_by_a_person(world, "organization:client/1")
    world.pipedrive.refused_on_create = {"organization:client/1"}
    await world.run(RunKind.DELTA)
    assert str((await record(world, "organization:client/1")).state) == "rejected"
    world.pipedrive.refused_on_create = set()
    world.source["client"]["1"] = {"name": "Yet another"}
    world.changes = {"client": {"1": {"name": "Yet another"}}}
    await world.run(RunKind.DELTA)
    new = (await record(world, "organization:client/1")).target_id
    assert world.pipedrive.records["deal", (await record(world, ORDERS[0])).target_id]["org_id"] == new


@pytest.mark.requirement("L-11", "L-15")
async def test_it_is_linked_anew_wherever_the_ledger_dies(world: World) -> None:
    await world.until_loaded()
    await deleted_by_a_person(world, "organization:client/1")
    run_id = await world.start(RunKind.DELTA)
    deaths = 0
    while True:
        world.fuse.at, world.fuse.points = 40 + 7 * deaths, 0
        try:
            run = await world.finish(run_id)
            break
        except CrashError:
            deaths += 1
            world.fuse.at = 0
            world.restart()
    assert deaths > 1
    assert run.state == pb.RUN_STATE_SUCCEEDED
    new = (await record(world, "organization:client/1")).target_id
    assert world.pipedrive.records["deal", (await record(world, ORDERS[0])).target_id]["org_id"] == new
    assert {key: count for key, count in world.pipedrive.creations.items() if count > 1} == {"organization:client/1": 2}
