"""Runs that match: what stands in Pipedrive is read once, and whoever dies wherever, the end is the same and the way back leads to the beginning."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from services.common.errors import InvalidRequestError
from services.ledger.domain import RunKind
from tests.fakes.clock import FakeClock
from tests.unit.ledger.coordinator.deaths import after_a_death
from tests.unit.ledger.coordinator.test_reconcile_runs import mismatches
from tests.unit.ledger.coordinator.test_repair_runs import repair
from tests.unit.ledger.coordinator.test_restarts import STRIDE, end_of
from tests.unit.ledger.coordinator.world import ACTOR, CONTEXT, M, World, open_world
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2 import RunState

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.requirement("L-15", "X-04")

NAME = {"key": "name", "fields": [], "score": 0.95, "is_enough": False}
RULES = {
    "organization": {"policy": "match_and_fill", "within_source": "merge_into_first", "certain": 0.9, "uncertain": 0.7, "keys": [NAME], "differ": []}
}
THERE = {
    ("organization", "11"): {"name": "Client 1", "industry": "steel"},
    ("organization", "12"): {"name": "Client 2"},
    ("organization", "13"): {"name": "CLIENT 2"},
    ("organization", "14"): {"name": "Somebody else"},
}


def arrange(world: World) -> None:
    """An account that holds Client 1 once and Client 2 twice; in the source Client 4 came twice."""
    world.matching = RULES
    world.source["client"]["5"] = {"name": "Client 4"}
    world.pipedrive.records |= copy.deepcopy(THERE)


def strangers(world: World) -> dict[tuple[str, str], dict[str, Any]]:
    """What stood there before, without what is empty."""
    found = {place: world.pipedrive.records[place] for place in THERE}
    return {place: {name: value for name, value in image.items() if value is not None} for place, image in found.items()}


async def test_what_stands_there_is_read_once_and_then_what_changed(world: World) -> None:
    arrange(world)
    await world.until_approved()
    listed = [page for entity, page in world.listed if entity == "organization"]
    assert listed[:2] == [(11, 12), (13, 14)]
    assert world.since[0].year == 2000
    count = len(listed)
    began = world.clock.now()
    assert (await world.run(RunKind.LOAD)).state == RunState.RUN_STATE_SUCCEEDED
    assert len([page for entity, page in world.listed if entity == "organization"]) > count
    assert (began - world.since[-1]).total_seconds() < 7_200
    told = [event for event in await world.events() if event.kind == "match.indexed"]
    assert [(event.result, json.loads(event.payload_json)["is_whole"]) for event in told] == [("organization", True), ("organization", False)]
    async with world.ledger.read() as reader:
        spent = [cost.token_count for cost in await reader.list_run_costs(M) if cost.target_entity == "organization"]
        assert all(tokens > 0 for tokens in spent)
        records = {record.key: record for record in await reader.list_records_by_target(M, "organization", ["11", "12", "13", "14"])}
    assert {key: record.target_id for key, record in records.items()} == {"organization:client/1": "11"}
    assert await state(world, "organization:client/5") == "matched"
    items = (await world.service.ListReviewItems(pb.ListReviewItemsRequest(migration_id=M, reason="MATCH_UNCERTAIN"), CONTEXT)).review_items
    assert [(item.key, list(item.resolutions)) for item in items] == [("organization:client/2", ["match", "create", "retry", "skip"])]


async def state(world: World, key: str) -> str:
    async with world.ledger.read() as reader:
        return str((await reader.get_records(M, [key]))[key].state)


async def test_a_list_that_breaks_off_is_begun_again(world: World) -> None:
    arrange(world)
    await world.until_prepared()
    world.refused_tokens = {"12"}
    run_id = await world.start(RunKind.SAMPLE)
    for _ in range(200):
        await world.coordinator.step(run_id)
        await world.turn()
        if [page for entity, page in world.listed if entity == "organization"]:
            break
    world.refused_tokens = set()
    assert (await world.finish(run_id)).state == RunState.RUN_STATE_SUCCEEDED
    assert await state(world, "organization:client/1") == "matched"


async def test_other_rules_want_other_keys(world: World) -> None:
    arrange(world)
    await world.until_prepared()
    await world.run(RunKind.SAMPLE)
    world.matching = {"organization": {**RULES["organization"], "keys": [{**NAME, "score": 0.99}]}}
    await world.run(RunKind.SAMPLE)
    told = [json.loads(event.payload_json)["is_whole"] for event in await world.events() if event.kind == "match.indexed"]
    assert told == [True, True]


async def test_a_person_says_which_one_it_is_and_the_next_delta_links_it(world: World) -> None:
    arrange(world)
    await world.until_loaded()
    items = (await world.service.ListReviewItems(pb.ListReviewItemsRequest(migration_id=M, reason="MATCH_UNCERTAIN"), CONTEXT)).review_items
    ids = [item.review_item_id for item in items]
    request = pb.ResolveReviewItemsRequest(migration_id=M, review_item_ids=ids, resolution="match", candidate="13", actor=ACTOR)
    assert (await world.service.ResolveReviewItems(request, CONTEXT)).resolved_count == 1
    assert (await world.run(RunKind.DELTA)).state == RunState.RUN_STATE_SUCCEEDED
    async with world.ledger.read() as reader:
        known = await reader.get_records(M, ["organization:client/2", "deal:sales_order/2"])
    assert (known["organization:client/2"].state, known["organization:client/2"].target_id) == ("matched", "13")
    # What refers to it came along.
    assert json.loads(known["deal:sales_order/2"].image)["org_id"] == "13"
    await world.run(RunKind.ROLLBACK)
    assert strangers(world) == THERE


async def asked(world: World) -> str:
    (item,) = (await world.service.ListReviewItems(pb.ListReviewItemsRequest(migration_id=M, reason="MATCH_UNCERTAIN"), CONTEXT)).review_items
    return item.review_item_id


async def say(world: World, candidate: str, resolution: str = "match") -> None:
    request = pb.ResolveReviewItemsRequest(
        migration_id=M, review_item_ids=[await asked(world)], resolution=resolution, candidate=candidate, actor=ACTOR
    )
    assert (await world.service.ResolveReviewItems(request, CONTEXT)).resolved_count == 1


@pytest.mark.requirement("L-16")
@pytest.mark.parametrize(("candidate", "target_id"), [("14", "14"), ("15", "15"), ("target/14", "14"), ("organization:client/1", "11")])
async def test_a_person_names_another_one_than_the_candidates(world: World, candidate: str, target_id: str) -> None:
    arrange(world)
    await world.until_loaded()
    # Made by a colleague after the list was read.
    world.pipedrive.records["organization", "15"] = {"name": "Made later"}
    await say(world, candidate)
    assert (await world.run(RunKind.DELTA)).state == RunState.RUN_STATE_SUCCEEDED
    async with world.ledger.read() as reader:
        known = await reader.get_records(M, ["organization:client/2", "deal:sales_order/2"])
    assert (known["organization:client/2"].state, known["organization:client/2"].target_id) == ("matched", target_id)
    assert json.loads(known["deal:sales_order/2"].image)["org_id"] == target_id
    await world.run(RunKind.ROLLBACK)
    assert strangers(world) == THERE
    assert world.pipedrive.records["organization", "15"]["name"] == "Made later"


@pytest.mark.requirement("L-16")
@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ("99", "there is no organization 99 in Pipedrive"),
        ("Client 2", "neither the id of organization in Pipedrive nor the key"),
        ("organization:client/99", "no other record of this migration"),
        ("organization:client/2", "no other record of this migration"),
        ("product:product/1", "of the kind product"),
    ],
)
async def test_who_is_named_has_to_be_there_and_of_the_right_kind(world: World, candidate: str, message: str) -> None:
    arrange(world)
    await world.until_loaded()
    async with world.ledger.read() as reader:
        before = (await reader.get_records(M, ["organization:client/2"]))["organization:client/2"]
    with pytest.raises(InvalidRequestError, match=message):
        await say(world, candidate)
    async with world.ledger.read() as reader:
        assert (await reader.get_records(M, [before.key]))[before.key] == before
    await say(world, "", "create")
    await world.run(RunKind.DELTA)
    assert await state(world, "organization:client/2") == "loaded"


async def test_nothing_is_kept_for_matching_once_nothing_is_created_any_more(world: World) -> None:
    arrange(world)
    await world.until_loaded()
    await world.service.CompleteMigration(pb.CompleteMigrationRequest(migration_id=M, actor=ACTOR), CONTEXT)
    async with world.ledger.read() as reader:
        assert await reader.get_match_reading(M, "organization") is None


async def run_with_a_crash(base: Path, folder: Path, prepared: World, kind: RunKind, at: int) -> tuple[str, int]:
    async with after_a_death(prepared, base, folder, kind, at, arrange=arrange) as world:
        assert set(world.pipedrive.creations.values()) <= {1}, at
        points = world.fuse.points
        end = await end_of(world)
        if kind is RunKind.SAMPLE:
            assert world.pipedrive.records["organization", "11"]["transload_id"] == "organization:client/1"
            assert "organization:client/5" not in world.pipedrive.creations
            await world.run(RunKind.ROLLBACK)
        assert strangers(world) == THERE, at
        return end, points


@pytest.mark.parametrize("kind", [RunKind.SAMPLE, RunKind.ROLLBACK])
async def test_a_death_at_any_point_leads_to_the_same_end_and_back(tmp_path: Path, kind: RunKind) -> None:
    base = tmp_path / "base"
    base.mkdir()
    async for prepared in open_world(base, FakeClock(is_automatic=True)):
        arrange(prepared)
        await (prepared.until_prepared() if kind is RunKind.SAMPLE else prepared.until_loaded())
        break
    whole, points = await run_with_a_crash(base, tmp_path / "whole", prepared, kind, at=0)
    assert points > 50
    for at in range(1, points, STRIDE):
        end, _ = await run_with_a_crash(base, tmp_path / f"crash-{at}", prepared, kind, at=at)
        assert end == whole, f"dying at point {at} of {points}"


@pytest.mark.requirement("L-11", "L-16")
@pytest.mark.parametrize(("first", "second"), [("4", "5"), ("1", "3")])
async def test_who_stood_for_one_that_is_gone_is_no_match_for_it_and_follows(world: World, first: str, second: str) -> None:
    """Simulation seed 286: of two taken for one organization the first was matched with the second for ever, since that still had the old id."""
    arrange(world)
    world.source["client"]["3"] = {"name": "Client 1"}
    await world.until_loaded()
    old = await target_of(world, first)
    assert await target_of(world, second) == old
    del world.pipedrive.records["organization", old]
    world.source["client"][first] = {"name": f"CLIENT {first}"}
    world.changes = {"client": {first: world.source["client"][first]}}
    run = await world.run(RunKind.DELTA)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.message
    new = await target_of(world, first)
    assert new not in {"", old}
    assert await target_of(world, second) == new
    assert [place for place, image in world.pipedrive.records.items() if str(image.get("name")).casefold() == f"client {first}"].count(
        ("organization", new)
    ) == 1
    notes = [image for (entity, _), image in world.pipedrive.records.items() if entity == "note"]
    assert old not in {note["org_id"] for note in notes}, "what hung on either is linked anew"


async def target_of(world: World, client: str) -> str:
    async with world.ledger.read() as reader:
        return (await reader.get_records(M, [f"organization:client/{client}"]))[f"organization:client/{client}"].target_id


@pytest.mark.requirement("L-13", "L-16")
async def test_who_stood_for_one_that_a_repair_made_again_follows(world: World) -> None:
    """Simulation seed 1425: what the source brought later for the second was refused, because its organization was not there."""
    arrange(world)
    await world.until_loaded()
    old = await target_of(world, "4")
    assert await target_of(world, "5") == old
    del world.pipedrive.records["organization", old]
    await mismatches(world)
    await repair(world, "organization:client/4")
    new = await target_of(world, "4")
    assert new != old
    assert await target_of(world, "5") == new
