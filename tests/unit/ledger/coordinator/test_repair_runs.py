"""Mismatches are repaired or accepted, one by one or all; what people changed since the reconciliation stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.common.errors import InvalidRequestError, NotFoundError, PreconditionError
from services.ledger.domain import RunKind
from tests.unit.ledger.coordinator.test_reconcile_runs import mismatches, place, report
from tests.unit.ledger.coordinator.world import ACTOR, CONTEXT, CrashError, M, World
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2 import RunState

pytestmark = pytest.mark.requirement("L-13")


async def ask(world: World, *keys: str, kind: str = "", validate_only: bool = False) -> pb.RepairMismatchesResponse:
    selection = pb.MismatchSelection(keys=keys, kind=kind, is_all=not keys)
    request = pb.RepairMismatchesRequest(migration_id=M, actor=ACTOR, selection=selection, validate_only=validate_only)
    return await world.service.RepairMismatches(request, CONTEXT)


async def repair(world: World, *keys: str, kind: str = "") -> pb.Run:
    answer = await ask(world, *keys, kind=kind)
    run = await world.finish(answer.run.run_id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.message
    return run


async def accept(world: World, *keys: str) -> int:
    selection = pb.MismatchSelection(keys=keys, is_all=not keys)
    request = pb.AcceptMismatchesRequest(migration_id=M, actor=ACTOR, selection=selection)
    return (await world.service.AcceptMismatches(request, CONTEXT)).accepted_count


async def edited(world: World) -> dict[str, tuple[str, str]]:
    """Let people edit a person and a deal's value, delete a note and a deal with what hangs on it, and copy a deal."""
    await world.until_loaded()
    pipedrive = world.pipedrive
    places = {
        "person": place(world, "person", "name", "Client 2"),
        "note": place(world, "note", "content", "Client 4"),
        "deal": place(world, "deal", "title", "Order 1"),
        "valued": place(world, "deal", "title", "Order 2"),
    }
    pipedrive.records[places["person"]]["name"] = "Somebody"
    pipedrive.records[places["valued"]]["value"] = 999
    del pipedrive.records[places["note"]]
    del pipedrive.records[places["deal"]]
    for at in [at for at, held in pipedrive.records.items() if str(held.get("deal_id")) == places["deal"][1]]:
        del pipedrive.records[at]
    field = place(world, "custom_field", "field_name", "Transload ID")[1]
    pipedrive.records["deal", "9998"] = {"title": "Order 2 (copy)", f"custom_fields.{field}": "stel/sales_order/2"}
    await mismatches(world)
    return places


async def test_one_is_repaired_one_accepted_and_the_rest_repaired_until_all_is_whole(world: World) -> None:
    places = await edited(world)
    found = {one.key for one in (await mismatches(world)).mismatches}
    assert found == {
        "person:client/2",
        "note:client/4",
        "deal:sales_order/1",
        "line_item:sales_order/1/1",
        "deal_value:sales_order/1",
        "deal_value:sales_order/2",
        "deal:stel/sales_order/2",
    }
    await repair(world, "person:client/2")
    assert world.pipedrive.records[places["person"]]["name"] == "Client 2"
    assert (await report(world))["mismatch_count"] == 6
    assert await accept(world, "deal_value:sales_order/2") == 1
    assert world.pipedrive.records[places["valued"]]["value"] == 999
    await repair(world)
    assert {one["key"] for one in [{"key": one.key} for one in (await listed(world)).mismatches]} == {"deal:stel/sales_order/2"}
    await repair(world, kind="unexpected")
    assert ("deal", "9998") not in world.pipedrive.records
    whole = await report(world)
    assert (whole["mismatch_count"], whole["repaired"]) == (0, {"accept": 1, "create": 4, "delete": 1, "patch": 1})
    again = await mismatches(world)
    assert not again.mismatches
    again_found = await report(world)
    assert again_found["entities"]["deal"]["expected"] == 3
    assert world.pipedrive.creations["deal:sales_order/1"] == 2
    deal = place(world, "deal", "title", "Order 1")
    assert world.pipedrive.records[deal]["value"] == 10
    assert world.pipedrive.records[place(world, "line_item", "deal_id", deal[1])]["item_price"] == 10
    events = [(event.kind, event.key, event.actor) for event in await world.events()]
    assert ("mismatch.repair", "person:client/2", ACTOR) in events
    assert ("mismatch.accepted", "deal_value:sales_order/2", ACTOR) in events
    assert any(kind == "record.repaired" for kind, _, _ in events)


async def listed(world: World) -> pb.ListMismatchesResponse:
    return await world.service.ListMismatches(pb.ListMismatchesRequest(migration_id=M), CONTEXT)


async def test_a_dry_run_says_what_and_why_not_and_changes_nothing(world: World) -> None:
    await edited(world)
    before = {at: dict(held) for at, held in world.pipedrive.records.items()}
    answer = await ask(world, validate_only=True)
    assert dict(answer.action_counts) == {"create": 4, "patch": 2, "none": 1}
    steps = {step.key: step for step in answer.steps}
    assert (steps["person:client/2"].action, list(steps["person:client/2"].fields)) == ("patch", ["name"])
    assert (steps["deal:stel/sales_order/2"].action, bool(steps["deal:stel/sales_order/2"].message)) == ("none", True)
    assert not answer.HasField("run")
    assert world.pipedrive.records == before
    assert (await report(world))["mismatch_count"] == 7


async def test_a_deal_is_made_again_with_its_lines_and_value(world: World) -> None:
    await edited(world)
    answer = await ask(world, "deal:sales_order/1", validate_only=True)
    assert {step.key for step in answer.steps} == {"deal:sales_order/1", "line_item:sales_order/1/1", "deal_value:sales_order/1"}


async def test_what_the_source_has_no_more_is_not_made_again(world: World) -> None:
    await edited(world)
    gone = ["note:client/4", "line_item:sales_order/1/1"]
    async with world.ledger.transaction() as transaction:
        records = await transaction.get_records(M, gone)
        await transaction.save_records([replace(record, gone="flag") for record in records.values()])
    steps = {step.key: step for step in (await ask(world, validate_only=True)).steps}
    assert [(steps[key].action, bool(steps[key].message)) for key in gone] == [("none", True)] * 2
    await repair(world)
    async with world.ledger.read() as reader:
        assert {record.target_id != "" for record in (await reader.get_records(M, gone)).values()} == {True}
        assert not [count for count in await reader.summarize_sources(M) if count.pending_count]


async def test_what_a_person_changes_after_the_reconciliation_stays(world: World) -> None:
    places = await edited(world)
    world.pipedrive.records[places["person"]]["name"] = "Somebody Else"
    await repair(world, "person:client/2")
    assert world.pipedrive.records[places["person"]]["name"] == "Somebody Else"
    left = [one for one in (await listed(world)).mismatches if one.key == "person:client/2"]
    assert [orjson.loads(one.actual_json) for one in left] == ["Somebody Else"]
    items = await world.service.ListReviewItems(pb.ListReviewItemsRequest(migration_id=M), CONTEXT)
    assert [item.reason for item in items.review_items if item.key == "person:client/2"] == ["KEPT_USER_EDIT"]
    await repair(world, "person:client/2")
    assert world.pipedrive.records[places["person"]]["name"] == "Client 2"


async def test_what_hangs_on_a_record_made_again_is_relinked(world: World) -> None:
    await world.until_loaded()
    old = place(world, "organization", "name", "Client 3")
    del world.pipedrive.records[old]
    note = place(world, "note", "content", "Client 3")
    world.pipedrive.records[note].pop("org_id")
    await mismatches(world)
    await repair(world, "organization:client/3")
    new = place(world, "organization", "name", "Client 3")
    assert new != old
    assert world.pipedrive.records[place(world, "person", "name", "Client 3")]["org_id"] in {int(new[1]), new[1]}
    assert world.pipedrive.records[note]["org_id"] in {int(new[1]), new[1]}
    assert (await mismatches(world)).mismatch_count == 0


async def test_what_is_accepted_as_deleted_stays_deleted(world: World) -> None:
    await edited(world)
    assert await accept(world, "note:client/4") == 1
    assert (await report(world))["entities"]["note"]["expected"] == 4
    assert "note:client/4" not in {one.key for one in (await mismatches(world)).mismatches}
    world.changes = {"client": {"4": {"name": "Client 4 changed"}}}
    await world.run(RunKind.DELTA)
    assert world.pipedrive.creations["note:client/4"] == 1
    assert await accept(world) == 6
    assert (await mismatches(world)).mismatch_count == 0


async def test_a_death_at_any_point_of_a_repair_makes_nothing_twice(world: World) -> None:
    await edited(world)
    answer = await ask(world)
    for _ in range(400):
        world.fuse.points, world.fuse.at = 0, 7
        try:
            await world.finish(answer.run.run_id, steps_max=1)
        except CrashError:
            world.restart()
        except AssertionError:
            continue
        else:
            break
    world.fuse.at = 0
    run = (await world.migration()).latest_run
    if run.state == RunState.RUN_STATE_RUNNING:
        run = await world.finish(answer.run.run_id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED
    assert {one.key for one in (await mismatches(world)).mismatches} == {"deal:stel/sales_order/2"}
    assert world.pipedrive.creations["deal:sales_order/1"] == 2
    assert world.pipedrive.creations["line_item:sales_order/1/1"] == 2
    assert world.pipedrive.creations["note:client/4"] == 2


async def test_what_pipedrive_refuses_stays_a_mismatch(world: World) -> None:
    await edited(world)
    world.pipedrive.refused_keys = {"note:client/4"}
    await repair(world, "note:client/4")
    assert [(one.key, one.kind) for one in (await listed(world)).mismatches if one.key == "note:client/4"] == [("note:client/4", "missing")]


async def test_after_a_repair_everything_can_still_be_taken_back(world: World) -> None:
    before = {at: dict(held) for at, held in world.pipedrive.records.items()}
    await edited(world)
    await repair(world)
    await repair(world, kind="unexpected")
    await world.run(RunKind.ROLLBACK)
    assert world.pipedrive.records == before


async def test_nothing_is_meant_by_accident(world: World) -> None:
    await world.until_loaded()
    with pytest.raises(NotFoundError):
        await ask(world, "person:client/2")
    await mismatches(world)
    assert not (await ask(world)).HasField("run")
    request: Any = pb.RepairMismatchesRequest(migration_id=M, actor=ACTOR)
    with pytest.raises(InvalidRequestError):
        await world.service.RepairMismatches(request, CONTEXT)
    with pytest.raises(InvalidRequestError):
        await world.service.RepairMismatches(pb.RepairMismatchesRequest(migration_id=M), CONTEXT)
    with pytest.raises(InvalidRequestError):
        await ask(world, kind="odd")
    await world.start(RunKind.RECONCILE)
    with pytest.raises(PreconditionError):
        await ask(world)
