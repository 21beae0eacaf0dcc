"""What people did meanwhile stays when a migration is taken back; and parts can be taken back alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from services.common.errors import InvalidRequestError, NotFoundError, PreconditionError
from services.ledger.domain import RecordState, RunKind
from services.ledger.runs.rollback_plan import deals_with_doubtful_lines
from tests.unit.ledger.coordinator.world import CONTEXT, M, World
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2 import MigrationState, RunState
from transload.v1.records_pb2 import MappedRecord, Reference

ORG, PERSON, DEAL = "organization:client/1", "person:client/1", "deal:sales_order/1"


async def target_of(world: World, key: str) -> str:
    async with world.ledger.read() as reader:
        return (await reader.get_records(M, [key]))[key].target_id


async def image_of(world: World, key: str) -> dict[str, Any]:
    return world.pipedrive.records[key.partition(":")[0], await target_of(world, key)]


async def roll_back(world: World, **scope: Any) -> pb.Run:
    request = pb.RollbackMigrationRequest(migration_id=M, actor="bo", scope=pb.TakeBackScope(**scope))
    return await world.finish((await world.service.RollbackMigration(request, CONTEXT)).run.run_id)


async def kept(world: World) -> dict[str, pb.KeptRecord]:
    response = await world.service.ListKept(pb.ListKeptRequest(migration_id=M), CONTEXT)
    return {record.key: record for record in response.records}


async def standing(world: World) -> set[str]:
    """Answer entities of what stands in Pipedrive, users apart."""
    return {f"{entity}/{number}" for entity, number in world.pipedrive.records if entity != "user"}


@pytest.mark.requirement("L-15")
async def test_an_edited_record_stays_with_what_it_refers_to_and_a_second_run_takes_it(world: World) -> None:
    before = {place: dict(image) for place, image in world.pipedrive.records.items()}
    await world.until_loaded()
    (await image_of(world, DEAL))["title"] = "Renamed by Ana"
    org, deal = await target_of(world, ORG), await target_of(world, DEAL)
    run = await roll_back(world)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.message
    migration = await world.migration()
    assert migration.state == MigrationState.MIGRATION_STATE_ROLLED_BACK
    found = await kept(world)
    assert (found[DEAL].reason, list(found[DEAL].fields), found[DEAL].target_id) == ("edited", ["title"], deal)
    assert (found[ORG].reason, found[ORG].target_id) == ("needed", org)
    assert {"line_item:sales_order/1/1", "deal_value:sales_order/1"} <= set(found)
    assert PERSON not in found
    assert migration.kept_count == len(found)
    remaining = await standing(world)
    assert {f"deal/{deal}", f"organization/{org}"} <= remaining
    assert {name.partition("/")[0] for name in remaining} == {"deal", "organization", "line_item"}
    with pytest.raises(PreconditionError, match="--edited delete"):
        await roll_back(world)
    request = pb.PlanRollbackRequest(migration_id=M, scope=pb.TakeBackScope(deletes_edited=True))
    plan = await world.service.PlanRollback(request, CONTEXT)
    assert plan.kept_count == len(found)
    assert {step.target_entity: step.delete_count for step in plan.steps if step.delete_count} == {
        "deal": 1, "line_item": 1, "deal_value": 1, "organization": 1,
    }  # fmt: skip
    assert (await roll_back(world, deletes_edited=True)).state == RunState.RUN_STATE_SUCCEEDED
    assert world.pipedrive.records == before
    assert not await kept(world)
    with pytest.raises(PreconditionError):
        await roll_back(world, deletes_edited=True)


@pytest.mark.requirement("L-15")
async def test_edited_records_go_at_once_when_that_is_asked(world: World) -> None:
    before = {place: dict(image) for place, image in world.pipedrive.records.items()}
    await world.until_loaded()
    (await image_of(world, DEAL))["title"] = "Renamed by Ana"
    assert (await roll_back(world, deletes_edited=True)).state == RunState.RUN_STATE_SUCCEEDED
    assert world.pipedrive.records == before


@pytest.mark.requirement("L-15")
async def test_an_edited_note_is_kept_by_the_ledgers_own_look(world: World) -> None:
    await world.until_loaded()
    key = "note:client/2"
    (await image_of(world, key))["content"] = "called back"
    await roll_back(world)
    found = await kept(world)
    assert {name: record.reason for name, record in found.items()} == {key: "edited", "organization:client/2": "needed"}
    event = next(event for event in await world.events() if event.kind == "record.kept" and event.key == key)
    assert json.loads(event.payload_json)["edited_fields"] == ["content"]


@pytest.mark.requirement("L-15")
async def test_what_a_person_hung_on_ours_keeps_it(world: World) -> None:
    await world.until_loaded()
    deal, org = await target_of(world, DEAL), await target_of(world, ORG)
    field = next(number for entity, number in world.pipedrive.records if entity == "custom_field")
    theirs = {
        ("note", "9001"): {"content": "mine", "deal_id": deal},
        ("deal", "9002"): {"title": "my deal", f"custom_fields.{field}": "x"},
    }
    world.pipedrive.records |= {place: dict(image) for place, image in theirs.items()}
    assert (await roll_back(world)).state == RunState.RUN_STATE_SUCCEEDED
    found = await kept(world)
    assert found["theirs:note/9001"].references == [f"deal/{deal}"]
    assert found["theirs:note/9001"].reason == "theirs"
    assert (found[DEAL].reason, found[ORG].target_id) == ("needed", org)
    assert [record.target_id for record in found.values() if record.target_entity == "custom_field"] == [field]
    for place, image in theirs.items():
        assert world.pipedrive.records[place] == image
    assert ("custom_field", field) in world.pipedrive.records


@pytest.mark.requirement("L-15")
async def test_one_record_goes_with_what_hangs_on_it_and_stays_out(world: World) -> None:
    await world.until_loaded()
    before = set(world.pipedrive.records)
    org, deal, person = [await target_of(world, key) for key in (ORG, DEAL, PERSON)]
    note, line = await target_of(world, "note:client/1"), await target_of(world, "line_item:sales_order/1/1")
    plan = await world.service.PlanRollback(pb.PlanRollbackRequest(migration_id=M, scope=pb.TakeBackScope(key=ORG)), CONTEXT)
    assert {step.target_entity: step.delete_count for step in plan.steps if step.delete_count} == {
        "note": 1, "deal": 1, "line_item": 1, "deal_value": 1, "person": 1, "organization": 1,
    }  # fmt: skip
    run = await roll_back(world, key=ORG)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.message
    gone = {("organization", org), ("deal", deal), ("person", person), ("note", note), ("line_item", line)}
    assert before - set(world.pipedrive.records) == gone
    assert (await world.migration()).state == MigrationState.MIGRATION_STATE_LOADED
    counts = {count.source_entity: count for count in (await world.summary()).entities}
    assert (counts["client"].skipped_count, counts["client"].pending_count) == (1, 0)
    assert (counts["sales_order"].skipped_count, counts["sales_order"].pending_count) == (1, 0)
    assert (await world.run(RunKind.RECONCILE)).state == RunState.RUN_STATE_SUCCEEDED
    mismatches = await world.service.ListMismatches(pb.ListMismatchesRequest(migration_id=M), CONTEXT)
    assert not mismatches.mismatches
    world.changes = {"client": {"1": {"name": "Client 1, renamed"}}}
    await world.run(RunKind.DELTA)
    assert ("organization", org) not in world.pipedrive.records
    assert world.pipedrive.creations[ORG] == 1
    request = pb.RunDeltaRequest(migration_id=M, actor="bo", includes_rolled_back=True)
    await world.finish((await world.service.RunDelta(request, CONTEXT)).run.run_id)
    assert world.pipedrive.creations[ORG] == 2
    assert world.pipedrive.creations[DEAL] == 2
    counts = {count.source_entity: count for count in (await world.summary()).entities}
    assert counts["client"].skipped_count == 0
    assert counts["client"].loaded_count == 5


@pytest.mark.requirement("L-15")
async def test_one_kind_goes_alone(world: World) -> None:
    await world.until_loaded()
    before = set(world.pipedrive.records)
    assert (await roll_back(world, target_entity="note")).state == RunState.RUN_STATE_SUCCEEDED
    assert {entity for entity, _ in before - set(world.pipedrive.records)} == {"note"}
    assert not [entity for entity, _ in world.pipedrive.records if entity == "note"]
    assert (await world.run(RunKind.ROLLBACK)).state == RunState.RUN_STATE_SUCCEEDED
    assert {entity for entity, _ in world.pipedrive.records} == {"user"}


@pytest.mark.requirement("L-15")
async def test_what_a_part_keeps_is_still_loaded(world: World) -> None:
    await world.until_loaded()
    (await image_of(world, "note:client/2"))["content"] = "called back"
    run = await roll_back(world, target_entity="note")
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.message
    assert list(await kept(world)) == ["note:client/2"]
    async with world.ledger.read() as reader:
        assert (await reader.get_records(M, ["note:client/2"]))["note:client/2"].state == RecordState.LOADED
    await roll_back(world, target_entity="note", deletes_edited=True)
    assert not await kept(world)
    assert not [entity for entity, _ in world.pipedrive.records if entity == "note"]


@pytest.mark.requirement("L-15")
async def test_what_stays_and_refers_to_something_taken_back_is_listed(world: World) -> None:
    await world.until_loaded()
    note = next(image for (entity, _), image in world.pipedrive.records.items() if entity == "note" and image["transload_id"] == "note:client/2")
    deal = await target_of(world, DEAL)
    async with world.ledger.transaction() as transaction:
        record = (await transaction.get_records(M, ["note:client/2"]))["note:client/2"]
        note["person_id"] = await target_of(world, PERSON)
        note["deal_id"] = await target_of(world, "deal:sales_order/2")
        await transaction.save_records([replace(record, image=json.dumps(note))])
    plan = await world.service.PlanRollback(pb.PlanRollbackRequest(migration_id=M, scope=pb.TakeBackScope(key=PERSON)), CONTEXT)
    assert plan.outside_count == 1
    await roll_back(world, key=PERSON)
    found = await kept(world)
    assert found["note:client/2"].reason == "outside"
    assert list(found["note:client/2"].references) == [f"person/{note['person_id']}"]
    assert ("deal", deal) in world.pipedrive.records


@pytest.mark.requirement("L-15")
async def test_a_scope_that_makes_no_sense_is_refused(world: World) -> None:
    await world.until_loaded()
    cases: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"target_entity": "stage"}, InvalidRequestError),
        ({"target_entity": "note", "key": DEAL}, InvalidRequestError),
        ({"key": "deal:sales_order/77"}, NotFoundError),
        ({"is_sample": True}, PreconditionError),
    ]
    for scope, error in cases:
        with pytest.raises(error):
            await roll_back(world, **scope)


@pytest.mark.requirement("L-09", "L-15")
async def test_a_rehearsal_unlocks_the_full_load(world: World) -> None:
    await world.until_prepared(requires_rehearsal=True)
    prepared = {place: dict(image) for place, image in world.pipedrive.records.items()}
    await world.run(RunKind.SAMPLE)
    await world.approve()
    with pytest.raises(PreconditionError, match="rehearsal") as refusal:
        await world.start(RunKind.LOAD)
    assert refusal.value.reason == "NOT_REHEARSED"
    assert (await roll_back(world, is_sample=True)).state == RunState.RUN_STATE_SUCCEEDED
    assert world.pipedrive.records == prepared
    migration = await world.migration()
    assert migration.is_rehearsed
    assert migration.state == MigrationState.MIGRATION_STATE_APPROVED
    assert (await world.run(RunKind.LOAD)).state == RunState.RUN_STATE_SUCCEEDED
    counts = {count.source_entity: count for count in (await world.summary()).entities}
    assert counts["client"].loaded_count == 5


@pytest.mark.requirement("L-09", "L-15")
async def test_a_rehearsal_that_leaves_something_behind_does_not_count(world: World) -> None:
    await world.until_prepared(requires_rehearsal=True)
    await world.run(RunKind.SAMPLE)
    await world.approve()
    place = next(place for place in world.pipedrive.records if place[0] == "organization")
    world.pipedrive.records[place]["name"] = "Edited"
    await roll_back(world, is_sample=True)
    migration = await world.migration()
    assert not migration.is_rehearsed
    assert migration.state == MigrationState.MIGRATION_STATE_PREPARED
    await world.run(RunKind.SAMPLE)
    await world.approve()
    with pytest.raises(PreconditionError, match="rehearsal"):
        await world.start(RunKind.LOAD)


@pytest.mark.requirement("L-09", "L-15")
async def test_a_failed_rehearsal_is_made_good_by_taking_what_was_kept_and_a_new_sample(world: World) -> None:
    await world.until_prepared(requires_rehearsal=True)
    prepared = {place: dict(image) for place, image in world.pipedrive.records.items()}
    await world.run(RunKind.SAMPLE)
    await world.approve()
    place = next(place for place in world.pipedrive.records if place[0] == "organization")
    world.pipedrive.records[place]["name"] = "Edited"
    await roll_back(world, is_sample=True)
    with pytest.raises(PreconditionError) as refusal:
        await world.start(RunKind.LOAD)
    assert refusal.value.reason == "NOT_APPROVED"
    assert place in world.pipedrive.records
    assert (await roll_back(world, is_sample=True, deletes_edited=True)).state == RunState.RUN_STATE_SUCCEEDED
    assert world.pipedrive.records == prepared
    await world.run(RunKind.SAMPLE)
    await world.approve()
    await roll_back(world, is_sample=True)
    assert world.pipedrive.records == prepared
    assert (await world.migration()).is_rehearsed
    assert (await world.run(RunKind.LOAD)).state == RunState.RUN_STATE_SUCCEEDED


@pytest.mark.requirement("L-15")
async def test_lines_of_a_deal_with_a_line_in_doubt_are_not_compared(world: World) -> None:
    await world.until_loaded()
    key = "line_item:sales_order/1/1"
    reference = Reference(key=DEAL)
    async with world.ledger.transaction() as transaction:
        line = (await transaction.get_records(M, [key]))[key]
        content = MappedRecord(key=key, target_entity="line_item", references=[reference]).SerializeToString()
        doubtful = replace(line, state=RecordState.IN_DOUBT, target_id="", parent_target_id="", intent_time=world.clock.now(), intent_record=content)
        await transaction.save_records([doubtful])
    async with world.ledger.read() as reader:
        assert await deals_with_doubtful_lines(reader, M) == (DEAL,)


@pytest.mark.requirement("L-15")
async def test_a_value_is_set_again_when_lines_were_taken_back_alone(world: World) -> None:
    await world.until_loaded()
    assert (await roll_back(world, target_entity="line_item")).state == RunState.RUN_STATE_SUCCEEDED
    async with world.ledger.read() as reader:
        records = await reader.get_records(M, [DEAL, "line_item:sales_order/1/1", "deal_value:sales_order/1"])
    assert {key: record.state for key, record in records.items()} == {
        DEAL: RecordState.LOADED,
        "line_item:sales_order/1/1": RecordState.UNDONE,
        "deal_value:sales_order/1": RecordState.UNDONE,
    }
