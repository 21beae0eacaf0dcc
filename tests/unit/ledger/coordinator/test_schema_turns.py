"""Migrations into one Pipedrive company change its schema one after the other: two at once would each make what neither found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from services.ledger.domain import Migration, Run, RunKind, RunState
from services.ledger.runs.context import RunContext
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2 import RunState as RunStateView

if TYPE_CHECKING:
    from tests.unit.ledger.coordinator.world import World

OTHER = "other"
TURNS = 40
SCHEMA = {"custom_field", "pipeline", "stage"}


async def begin_other(world: World, *, kind: RunKind, target_connection: str = "pipedrive", has_turn: bool = True) -> Run:
    """Another migration, with a run that has the turn."""
    now = world.clock.now()
    migration = Migration(
        migration_id=OTHER, display_name=OTHER, connector="stel_order", source_connection="stel", target_connection=target_connection, create_time=now
    )
    run = Run(run_id=f"{OTHER}-1", migration_id=OTHER, kind=kind, start_time=now, context_json=RunContext(has_schema_turn=has_turn).to_json())
    async with world.ledger.transaction() as transaction:
        await transaction.save_migration(migration)
        await transaction.save_run(run)
    return run


async def end(world: World, run: Run) -> None:
    async with world.ledger.transaction() as transaction:
        await transaction.save_run(replace(run, state=RunState.SUCCEEDED, end_time=world.clock.now()))


def schema_in(world: World) -> set[str]:
    return {entity for entity, _ in world.pipedrive.records} & SCHEMA


async def look_on(world: World, run_id: str) -> None:
    for _ in range(TURNS):
        assert await world.coordinator.step(run_id) is not None
        await world.turn()


@pytest.mark.requirement("L-05")
@pytest.mark.parametrize("kind", [RunKind.SCHEMA, RunKind.ROLLBACK])
async def test_a_schema_waits_while_another_migration_has_the_turn(world: World, kind: RunKind) -> None:
    await world.create()
    await world.run(RunKind.AUDIT)
    await world.confirm()
    other = await begin_other(world, kind=kind)
    before = len(await world.events())
    run_id = await world.start(RunKind.SCHEMA)
    await look_on(world, run_id)
    assert not schema_in(world)
    assert "target.inspected" not in [event.kind for event in await world.events()][before:], "what it would find now is out of date later"
    migration = await world.migration()
    assert f"waiting for migration {OTHER}" in migration.latest_run.activity
    assert migration.pause_kind == pb.PAUSE_KIND_UNSPECIFIED, "it is no pause: nobody has to do anything"
    await end(world, other)
    run = await world.finish(run_id)
    assert run.state == RunStateView.RUN_STATE_SUCCEEDED, run.message
    assert schema_in(world) == SCHEMA


@pytest.mark.requirement("L-15")
async def test_a_rollback_takes_the_data_back_and_waits_with_the_schema(world: World) -> None:
    await world.until_prepared()
    await world.run(RunKind.SAMPLE)
    assert schema_in(world) == SCHEMA
    other = await begin_other(world, kind=RunKind.SCHEMA)
    run_id = await world.start(RunKind.ROLLBACK)
    await look_on(world, run_id)
    assert {entity for entity, _ in world.pipedrive.records} == {"user", *SCHEMA}, "what is no schema goes meanwhile"
    run = (await world.migration()).latest_run
    assert f"waiting for migration {OTHER}, which makes the schema" in run.activity
    token_count = run.token_count
    await look_on(world, run_id)
    assert (await world.migration()).latest_run.token_count == token_count, "waiting costs nothing"
    await end(world, other)
    assert (await world.finish(run_id)).state == RunStateView.RUN_STATE_SUCCEEDED
    assert not schema_in(world)


@pytest.mark.requirement("L-05")
@pytest.mark.parametrize(("target_connection", "has_turn"), [("another company", True), ("pipedrive", False)])
async def test_nothing_else_holds_a_schema_back(world: World, target_connection: str, has_turn: bool) -> None:
    await world.create()
    await world.run(RunKind.AUDIT)
    await world.confirm()
    await begin_other(world, kind=RunKind.SCHEMA, target_connection=target_connection, has_turn=has_turn)
    assert (await world.run(RunKind.SCHEMA)).state == RunStateView.RUN_STATE_SUCCEEDED
