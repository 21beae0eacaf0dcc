"""One command takes everything back, from any point."""

from __future__ import annotations

import pytest

from services.common.errors import UnavailableError
from services.ledger.domain import RunKind
from tests.unit.ledger.coordinator.world import CONTEXT, CrashError, M, World
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2 import MigrationState, RunState


@pytest.mark.requirement("L-15")
@pytest.mark.parametrize("point", ["schema", "sample", "half a load", "load", "completed"])
async def test_rollback_from_any_point_leaves_the_target_as_it_was(world: World, point: str) -> None:
    before = {place: dict(image) for place, image in world.pipedrive.records.items()}
    await world.until_prepared()
    if point != "schema":
        await world.run(RunKind.SAMPLE)
    if point in {"half a load", "load", "completed"}:
        await world.approve()
        run_id = await world.start(RunKind.LOAD)
        if point == "half a load":
            for _ in range(15):
                await world.coordinator.step(run_id)
                await world.turn()
            assert (await world.migration()).latest_run.state == RunState.RUN_STATE_RUNNING
        else:
            await world.finish(run_id)
    if point == "completed":
        await world.service.CompleteMigration(pb.CompleteMigrationRequest(migration_id=M, actor="bo"), CONTEXT)
    run = await world.run(RunKind.ROLLBACK)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.message
    assert world.pipedrive.records == before
    assert (await world.migration()).state == MigrationState.MIGRATION_STATE_ROLLED_BACK
    assert not (await world.service.PlanRollback(pb.PlanRollbackRequest(migration_id=M), CONTEXT)).steps
    kinds = [event.kind for event in await world.events()]
    assert {"rollback.planned", "rollback.verified"} <= set(kinds)
    assert ("run.cancelled" in kinds) == (point == "half a load")


@pytest.mark.requirement("L-15")
async def test_records_in_doubt_are_found_out_about_first(world: World) -> None:
    before = {place: dict(image) for place, image in world.pipedrive.records.items()}
    await world.until_approved()
    run_id = await world.start(RunKind.LOAD)
    for at in range(200, 0, -1):
        world.fuse.at, world.fuse.points = at, 0
        try:
            await world.coordinator.step(run_id)
            await world.turn()
        except CrashError:
            if len(world.pipedrive.records) > 20:
                break
    world.fuse.at = 0
    world.restart()
    assert (await world.run(RunKind.ROLLBACK)).state == RunState.RUN_STATE_SUCCEEDED
    assert world.pipedrive.records == before


@pytest.mark.requirement("L-15")
async def test_the_plan_says_what_it_costs_and_changes_nothing(world: World) -> None:
    await world.until_loaded()
    sequence = (await world.summary()).event_sequence
    plan = await world.service.PlanRollback(pb.PlanRollbackRequest(migration_id=M), CONTEXT)
    assert (await world.summary()).event_sequence == sequence
    steps = {step.target_entity: step for step in plan.steps}
    # Three deletions; a look at each deal, at their lines, and afterwards at what was changed, archived or not.
    assert (steps["deal"].delete_count, steps["deal"].token_count, steps["deal"].read_token_count) == (3, 9 + 43, 3 + 10 + 30)
    assert (steps["note"].delete_count, steps["note"].token_count, steps["note"].read_token_count) == (5, 30 + 40, 20 + 20)
    # What dies with its deal needs no call.
    assert (steps["line_item"].delete_count, steps["line_item"].token_count) == (3, 0)
    assert (steps["deal_value"].delete_count, steps["deal_value"].token_count) == (3, 0)
    assert plan.token_count == sum(step.token_count for step in plan.steps)
    order = [step.target_entity for step in plan.steps]
    assert order.index("note") < order.index("deal") < order.index("person") < order.index("organization") < order.index("stage")
    assert order.index("stage") < order.index("pipeline") < order.index("custom_field")


@pytest.mark.requirement("L-15")
async def test_line_items_end_with_their_deal_without_calls(world: World) -> None:
    await world.until_loaded()
    await world.run(RunKind.ROLLBACK)
    ends = {event.key: event for event in await world.events() if event.kind == "record.deleted" and event.key.startswith("line_item:")}
    assert {event.result for event in ends.values()} == {"with_deal"}
    assert len(ends) == 3


@pytest.mark.requirement("L-15")
async def test_what_cannot_be_taken_back_is_said_and_tried_again_by_the_next_rollback(world: World) -> None:
    before = {place: dict(image) for place, image in world.pipedrive.records.items()}
    await world.until_loaded()
    world.pipedrive.refused_keys = {"product:product/1"}
    run = await world.run(RunKind.ROLLBACK)
    assert run.state == RunState.RUN_STATE_FAILED
    assert "1 x product" in run.message
    assert (await world.migration()).state == MigrationState.MIGRATION_STATE_LOADED
    assert [entity for entity, _ in world.pipedrive.records if entity != "user"] == ["product"]
    world.pipedrive.refused_keys = set()
    assert (await world.run(RunKind.ROLLBACK)).state == RunState.RUN_STATE_SUCCEEDED
    assert world.pipedrive.records == before


async def test_lost_undo_batches_are_made_again(world: World) -> None:
    await world.until_loaded()
    world.drops_mapped = 3
    assert (await world.run(RunKind.ROLLBACK)).state == RunState.RUN_STATE_SUCCEEDED


@pytest.mark.requirement("L-15")
async def test_taking_back_does_not_wait_for_the_extractor(world: World) -> None:
    await world.until_loaded()
    world.failures["extractor"] = [UnavailableError("the extractor does not answer") for _ in range(1000)]
    assert (await world.run(RunKind.ROLLBACK)).state == RunState.RUN_STATE_SUCCEEDED
