"""The whole way of a migration through the real ledger, with fakes for the other services."""

from __future__ import annotations

import pytest

from services.ledger.domain import RunKind
from tests.unit.ledger.coordinator.world import CONTEXT, M, World
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2 import MigrationState, RunState


@pytest.mark.requirement("L-01", "L-02", "L-05", "L-08", "L-09", "L-10", "L-11", "L-13", "L-15", "X-04")
async def test_the_whole_way_from_creation_to_rollback(world: World) -> None:
    before = {place: dict(image) for place, image in world.pipedrive.records.items()}
    await world.until_loaded()
    assert (await world.migration()).state == MigrationState.MIGRATION_STATE_LOADED
    assert world.pipedrive.creations
    assert set(world.pipedrive.creations.values()) == {1}
    await world.run(RunKind.RECONCILE)
    assert (await world.summary()).mismatch_count == 0
    world.changes = {"client": {"1": {"name": "Client One"}}}
    world.source["client"]["1"] = {"name": "Client One"}
    await world.run(RunKind.DELTA)
    organizations = [image["name"] for (entity, _), image in world.pipedrive.records.items() if entity == "organization"]
    assert "Client One" in organizations
    assert len(organizations) == 5
    run = await world.run(RunKind.ROLLBACK)
    assert run.state == RunState.RUN_STATE_SUCCEEDED
    assert world.pipedrive.records == before
    assert (await world.migration()).state == MigrationState.MIGRATION_STATE_ROLLED_BACK
    verdict = await world.service.VerifyAudit(pb.VerifyAuditRequest(migration_id=M), CONTEXT)
    assert verdict.is_whole


async def test_a_clock_set_back_between_two_steps_hides_no_run(world: World) -> None:
    await world.until_approved()
    world.clock.jump(-7200)
    run_id = await world.start(RunKind.LOAD)
    assert (await world.migration()).latest_run.run_id == run_id
    assert (await world.finish(run_id)).state == RunState.RUN_STATE_SUCCEEDED
