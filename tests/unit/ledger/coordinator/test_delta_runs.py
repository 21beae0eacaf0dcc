"""A delta deletes at its end, and ends after that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.ledger.domain import Record, RecordFilter, RecordState, RunKind
from services.ledger.runs.removal import ORDER
from tests.unit.ledger.coordinator.world import M, World
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
