"""Reading back: everything asked for, in canonical form, by the cheaper way; and looking at the account."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.common.errors import InvalidRequestError
from services.loader.inspection import Inspection, is_admin, plan_and_caps, target_json
from services.loader.quota.servicer import QuotaServicer
from services.loader.readback import ReadBack
from services.loader.servicer import LoaderServicer
from tests.unit.loader import payloads
from tests.unit.loader.test_worker import DEAL, ORG, PRODUCT, base
from tests.unit.loader.world import CONNECTION, World
from transload.v1 import loader_service_pb2


@pytest.fixture
def world() -> World:
    return World(seed=None)


async def read(world: World, entity: str, ids: list[str] | None = None, parents: list[str] | None = None) -> tuple[dict[str, Any], int]:
    calls = world.context
    pages = ReadBack(client=world.client, context=calls).pages(entity, ids or [], parents or [])
    return {target_id: image async for page in pages for target_id, image in page}, calls.token_count


async def many(world: World, count: int) -> list[str]:
    for begin in range(0, count, 100):
        batch = {f"organization:client/{number}": payloads.organization(f"Org {number}") for number in range(begin, min(begin + 100, count))}
        await world.load("organization", batch)
    return [world.ledger.entry(f"organization:client/{number}").target_id for number in range(count)]


@pytest.mark.requirement("L-13")
async def test_few_are_got_one_by_one_some_by_ids_and_most_by_a_scan(world: World) -> None:
    ids = await many(world, 620)
    found, tokens = await read(world, "organization", ids[:5])
    assert (len(found), tokens) == (5, 5)
    found, tokens = await read(world, "organization", ids[600:])
    assert (len(found), tokens) == (20, 10)
    found, tokens = await read(world, "organization", ids)
    assert (list(found) == ids, tokens) == (True, 20)
    found, tokens = await read(world, "organization")
    assert (len(found), tokens) == (620, 20)


@pytest.mark.requirement("L-13", "L-15")
async def test_deleted_records_are_missing(world: World) -> None:
    ids = await many(world, 30)
    await world.client.call("organizations.delete", world.context, ids={"id": ids[3]})
    found, _ = await read(world, "organization", ids)
    assert set(found) == set(ids) - {ids[3]}
    found, _ = await read(world, "organization", [ids[3]])
    assert found == {}


@pytest.mark.requirement("L-13")
async def test_archived_deals_are_found_too(world: World) -> None:
    await base(world)
    batch = {f"deal:sales_order/{number}": payloads.deal(ORG, f"Deal {number}", is_archived=number % 2 == 0) for number in range(24)}
    await world.load("deal", batch)
    ids = [world.ledger.entry(key).target_id for key in batch]
    found, _ = await read(world, "deal", ids)
    assert set(found) == set(ids)
    found, _ = await read(world, "deal_value", ids[:3])
    assert found == {target_id: {"value": 120, "currency": "EUR"} for target_id in ids[:3]}


@pytest.mark.requirement("L-13")
async def test_notes_and_lines_are_read_as_they_can_be(world: World) -> None:
    await base(world)
    await world.load("note", {f"note:contact/{number}": payloads.note(DEAL, f"<p>{number}</p>") for number in range(40)})
    ids = [world.ledger.entry(f"note:contact/{number}").target_id for number in range(40)]
    found, tokens = await read(world, "note", ids)
    assert (set(found), tokens) == (set(ids), 20)
    found, tokens = await read(world, "note", ids[:3])
    assert (set(found), tokens) == (set(ids[:3]), 6)
    await world.load("line_item", {f"line_item:sales_estimate/3/{number}": payloads.line(DEAL, PRODUCT) for number in range(3)})
    found, tokens = await read(world, "line_item", [], [world.ledger.entry(DEAL).target_id])
    assert (len(found), tokens) == (3, 10)
    with pytest.raises(InvalidRequestError):
        await read(world, "line_item")
    with pytest.raises(InvalidRequestError):
        await read(world, "spaceship")


@pytest.mark.requirement("L-13")
async def test_relations_are_loaded_and_read_by_id_or_by_parent(world: World) -> None:
    ids = await many(world, 3)
    key = "organization_relation:asset/1"
    relation = {
        "type": "parent",
        "rel_owner_org_id": {"$ref": "organization:client/0"},
        "rel_linked_org_id": {"$ref": "organization:client/1"},
    }
    world.fault("cut_after", method="POST", path="organizationRelationships", times=1)
    await world.load("organization_relation", {key: relation})
    entry = world.ledger.entry(key)
    assert entry.parent == ids[0]
    assert len(world.live("organization_relation")) == 1
    expected = {entry.target_id: orjson.loads(entry.image)}
    assert (await read(world, "organization_relation", [entry.target_id])) == (expected, 2)
    assert (await read(world, "organization_relation", [], [ids[0], ids[1]]))[0] == expected
    await world.undo("organization_relation", [key])
    assert world.live("organization_relation") == []


@pytest.mark.requirement("L-05", "L-13")
async def test_schema_is_read_whole(world: World) -> None:
    field = "custom_field:schema/deal.kind"
    await world.load("custom_field", {field: {"entity": "deal", "field_name": "Kind", "field_type": "enum", "options": ["A", "B"]}})
    option = "field_option:schema/deal.label_ids/Quote"
    await world.load("field_option", {option: {"entity": "deal", "field_code": "label_ids", "label": "Quote"}})
    await world.load("pipeline", {"pipeline:schema/q": {"name": "Quotes"}})
    for key in (field, option, "pipeline:schema/q"):
        entry = world.ledger.entry(key)
        found, _ = await read(world, key.partition(":")[0], [entry.target_id])
        actual = found[entry.target_id]
        expected = orjson.loads(entry.image)
        assert {name: actual.get(name) for name in expected} == expected


@pytest.mark.requirement("L-01", "G-01", "G-02", "G-05")
async def test_the_account_is_looked_at(world: World) -> None:
    servicer = LoaderServicer(targets=world.targets, quota=QuotaServicer(arbiter=world.arbiter, clock=world.clock).quota)
    request = loader_service_pb2.InspectTargetRequest(connection=CONNECTION)
    response = await servicer.InspectTarget(request, None)  # type: ignore[arg-type]
    target = orjson.loads(response.target_json)
    assert set(target) == {"company", "token_user", "users", "fields", "pipelines", "stages", "activity_types", "activity_outcomes"} | {
        "counts",
        "quota",
        "caps",
    }
    assert target["token_user"]["is_admin"] is True
    assert {"id", "name", "email", "active_flag"} == set(target["users"][0])
    assert set(target["fields"]) == {"deal", "person", "organization", "product"}
    assert {"field_code", "field_name", "field_type", "is_custom_field", "options"} == set(target["fields"]["deal"][0])
    assert target["counts"]["open_deals"] == 0
    assert target["activity_outcomes"] == []
    assert response.token_count == sum(entry.tokens for entry in world.app.journal.entries)


async def test_read_back_streams_pages_and_tokens(world: World) -> None:
    await many(world, 12)
    servicer = LoaderServicer(targets=world.targets, quota=QuotaServicer(arbiter=world.arbiter, clock=world.clock).quota)
    request = loader_service_pb2.ReadBackRequest(connection=CONNECTION, target_entity="organization")
    responses = [response async for response in servicer.ReadBack(request, None)]  # type: ignore[arg-type]
    assert sum(len(response.records) for response in responses) == 12
    assert responses[-1].token_count == 10


@pytest.mark.requirement("L-01", "G-05")
def test_plan_and_caps_are_guessed_from_the_limits() -> None:
    assert plan_and_caps(window_limit=20, daily_limit=60_000) == ({"name": "Lite", "seats": 2}, {"custom_fields": 30, "open_deals": 5_000})
    assert plan_and_caps(window_limit=120, daily_limit=1_050_000) == ({"name": "Ultimate", "seats": 5}, {"custom_fields": 500, "open_deals": 100_000})
    assert plan_and_caps(window_limit=480, daily_limit=1_050_000) == plan_and_caps(window_limit=120, daily_limit=1_050_000)
    assert plan_and_caps(window_limit=77, daily_limit=1)[0]["name"] is None
    assert orjson.loads(target_json({}, quota={"window_limit": 20, "daily_token_limit": 0}))["quota"]["plan"]["seats"] is None


@pytest.mark.requirement("G-02")
def test_a_token_without_admin_rights_is_told() -> None:
    assert is_admin({"access": [{"app": "sales", "admin": False}, {"app": "global", "admin": True}]})
    assert not is_admin({"access": [{"app": "sales", "admin": False}]})


async def test_an_inspection_counts_its_tokens(world: World) -> None:
    inspection = Inspection(world.client)
    await inspection.look()
    assert inspection.token_count == 2 + 20 + 4 * 10 + 5 + 5 + 20 + 10 + 10
