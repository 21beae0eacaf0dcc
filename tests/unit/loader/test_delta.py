"""Deltas in the loader: fields decided one by one, decisions that last, records that people deleted or merged, and deleting what nobody changed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from sandbox.pipedrive.account.merging import merge
from services.common.canonical import canonical_json
from tests.unit.loader import payloads
from tests.unit.loader.world import ACCOUNT, Entry, World
from transload.v1 import ledger_service_pb2 as pb

ORG, TWIN = "organization:client/1", "organization:client/2"
PERSON, DEAL, PRODUCT = "person:contact/2", "deal:sales_estimate/3", "product:product/4"


@pytest.fixture
def world() -> World:
    return World()


def result_of(outcome: pb.RecordOutcome | None) -> str:
    assert outcome is not None
    return pb.OutcomeResult.Name(outcome.result).removeprefix("OUTCOME_RESULT_")


def decided(outcome: pb.RecordOutcome | None) -> list[tuple[str, str, str]]:
    assert outcome is not None
    return [(one["field"], one["decision"], one["by"]) for one in orjson.loads(outcome.conflicts_json or b"[]")]


async def edit(world: World, key: str, **values: Any) -> None:
    """A person changes a record in Pipedrive."""
    plural = {"organization": "organizations", "deal": "deals"}[key.partition(":")[0]]
    await world.client.call(f"{plural}.update", world.context, ids={"id": world.ledger.entry(key).target_id}, body=values)


def stored(world: World, key: str) -> dict[str, Any]:
    record = world.account.store[key.partition(":")[0]].get(int(world.ledger.entry(key).target_id))
    assert record is not None
    return dict(record)


def organization(name: str, website: str, **more: Any) -> dict[str, Any]:
    return payloads.organization(name, website=website, **more)


@pytest.mark.requirement("L-11", "L-16")
async def test_fields_decided_by_policy_are_written_and_only_the_rest_is_asked_about(world: World) -> None:
    await world.load("organization", {ORG: organization("Old", "old.example", employee_count=1)})
    await edit(world, ORG, name="By a person", website="person.example")
    world.ledger.field_policies = {"website": "source"}
    outcome = (await world.load("organization", {ORG: organization("New", "new.example", employee_count=2)}))[ORG]
    assert result_of(outcome) == "WAITING"
    assert outcome is not None
    assert decided(outcome) == [("name", "ask", "policy"), ("website", "source", "policy")]
    assert orjson.loads(outcome.asked_json) == {"name": "By a person"}
    image = orjson.loads(outcome.image_json)
    assert (image["name"], image["website"], image["employee_count"]) == ("Old", "new.example", 2)
    now = stored(world, ORG)
    assert (now["name"], now["website"], now["employee_count"]) == ("By a person", "new.example", 2)


@pytest.mark.requirement("L-11", "L-16")
@pytest.mark.parametrize(("said", "name"), [("source", "New"), ("target", "By a person")])
async def test_a_persons_decision_is_about_the_fields_that_were_asked_about(world: World, said: str, name: str) -> None:
    await world.load("organization", {ORG: organization("Old", "old.example")})
    await edit(world, ORG, name="By a person")
    await world.load("organization", {ORG: organization("New", "new.example")})
    await edit(world, ORG, website="later.example")
    world.ledger.resolutions[ORG] = said
    world.app.journal.clear()
    outcome = (await world.load("organization", {ORG: organization("New", "new.example")}))[ORG]
    assert (stored(world, ORG)["name"], stored(world, ORG)["website"]) == (name, "later.example")
    assert result_of(outcome) == ("UPDATED" if said == "source" else "UNCHANGED")
    assert decided(outcome) == [("name", said, "person")]


@pytest.mark.requirement("L-11", "L-16")
async def test_a_decision_holds_for_the_value_that_was_shown(world: World) -> None:
    await world.load("organization", {ORG: organization("Old", "old.example")})
    await edit(world, ORG, name="By a person")
    await world.load("organization", {ORG: organization("New", "old.example")})
    await edit(world, ORG, name="By a person, again")
    world.ledger.resolutions[ORG] = "source"
    outcome = (await world.load("organization", {ORG: organization("New", "old.example")}))[ORG]
    assert result_of(outcome) == "WAITING"
    assert stored(world, ORG)["name"] == "By a person, again"


@pytest.mark.requirement("L-11")
async def test_a_value_kept_for_a_person_is_not_asked_about_until_the_source_changes_it_again(world: World) -> None:
    await world.load("organization", {ORG: organization("Old", "old.example")})
    await edit(world, ORG, name="By a person")
    world.ledger.conflict_policy = "target"
    await world.load("organization", {ORG: organization("New", "old.example")})
    world.ledger.conflict_policy = ""
    quiet = (await world.load("organization", {ORG: organization("New", "new.example")}))[ORG]
    assert (result_of(quiet), decided(quiet)) == ("UPDATED", [])
    loud = (await world.load("organization", {ORG: organization("Newest", "new.example")}))[ORG]
    assert (result_of(loud), decided(loud)) == ("WAITING", [("name", "ask", "policy")])
    assert stored(world, ORG)["name"] == "By a person"


@pytest.mark.requirement("L-11")
async def test_a_closing_time_does_not_carry_its_status_over_a_persons_one(world: World) -> None:
    await world.load("organization", {ORG: payloads.organization()})
    await world.load("deal", {DEAL: payloads.deal(ORG)})
    await edit(world, DEAL, status="open")
    outcome = (await world.load("deal", {DEAL: payloads.deal(ORG, won_time="2022-02-02T02:02:02Z")}))[DEAL]
    assert result_of(outcome) == "WAITING"
    assert stored(world, DEAL)["status"] == "open"


@pytest.mark.requirement("L-11", "X-04")
async def test_what_a_person_deleted_comes_again_only_by_decision_and_under_an_intent(world: World) -> None:
    await world.load("organization", {ORG: organization("Old", "old.example")})
    first = world.ledger.entry(ORG).target_id
    await world.client.call("organizations.delete", world.context, ids={"id": first})
    outcome = (await world.load("organization", {ORG: organization("New", "old.example")}))[ORG]
    assert (result_of(outcome), decided(outcome)) == ("WAITING", [("", "ask", "policy")])
    world.ledger.resolutions[ORG] = "source"
    begun = world.ledger.begin_count
    outcome = (await world.load("organization", {ORG: organization("New", "old.example")}))[ORG]
    assert result_of(outcome) == "CREATED"
    assert world.ledger.begin_count == begun + 2  # found gone under one claim, created under the next, whose intent was written first
    assert world.ledger.entry(ORG).target_id != first
    assert len([one for one in world.live("organization") if one["name"] == "New"]) == 1


async def with_external_id(world: World) -> str:
    key = "custom_field:schema/organization.transload_id"
    await world.load("custom_field", {key: {"entity": "organization", "field_name": "Transload ID", "field_type": "varchar"}})
    code = world.ledger.entry(key).target_id
    world.ledger.manifest_json["bindings"][key] = {"target_id": code, "image": {}}
    return code


def ours(code: str, number: int, name: str, **more: Any) -> dict[str, Any]:
    return payloads.organization(name, custom_fields={code: f"{ACCOUNT}/client/{number}"}, **more)


@pytest.mark.requirement("L-11", "X-01")
@pytest.mark.parametrize(("merged_get", "evidence"), [("survivor", "answered_id"), ("deleted", "external_id")])
@pytest.mark.parametrize("count", [1, 12], ids=["read-alone", "listed"])
async def test_an_update_follows_a_merge_into_a_foreign_record(merged_get: str, evidence: str, count: int) -> None:
    world = World(merged_get=merged_get)
    code = await with_external_id(world)
    many = {f"organization:client/{number}": ours(code, number, f"Org {number}") for number in range(1, count + 1)}
    await world.load("organization", many)
    foreign = await world.client.call("organizations.create", world.context, body={"name": "Theirs", "website": "theirs.example"})
    old = world.ledger.entry(ORG).target_id
    merge(world.account, "organization", foreign.data["id"], int(old))
    changed = {key: {**payload, "employee_count": 3} for key, payload in many.items()}
    outcomes = await world.load("organization", changed)
    assert {result_of(outcome) for outcome in outcomes.values()} == {"UPDATED"}
    assert world.ledger.moves == [(old, str(foreign.data["id"]), evidence)]
    survivor = stored(world, ORG)
    assert (survivor["id"], survivor["employee_count"], survivor["website"], survivor["name"]) == (foreign.data["id"], 3, "theirs.example", "Theirs")


@pytest.mark.requirement("L-11", "X-01")
async def test_two_of_our_records_merged_into_one_are_recognised_by_what_hangs_on_them(world: World) -> None:
    code = await with_external_id(world)
    both = {ORG: ours(code, 1, "One"), TWIN: ours(code, 2, "Two")}
    await world.load("organization", both)
    await world.load("person", {PERSON: payloads.person(ORG)})
    one, two = world.ledger.entry(ORG).target_id, world.ledger.entry(TWIN).target_id
    merge(world.account, "organization", int(two), int(one))
    outcome = (await world.load("organization", {ORG: {**both[ORG], "name": "One, changed"}}))[ORG]
    assert world.ledger.moves == [(one, two, "links")]
    assert result_of(outcome) == "WAITING"  # the name of the other one stands there: a person decides
    assert stored(world, TWIN)["name"] == "Two"


@pytest.mark.requirement("L-11", "X-01")
async def test_new_records_refer_to_what_a_record_was_merged_into(world: World) -> None:
    code = await with_external_id(world)
    await world.load("organization", {ORG: ours(code, 1, "One")})
    foreign = await world.client.call("organizations.create", world.context, body={"name": "Theirs"})
    merge(world.account, "organization", foreign.data["id"], int(world.ledger.entry(ORG).target_id))
    world.ledger.run_kind = "delta"
    outcome = (await world.load("deal", {DEAL: payloads.deal(ORG)}))[DEAL]
    assert result_of(outcome) == "CREATED"
    assert stored(world, DEAL)["org_id"] == foreign.data["id"]
    assert len(world.ledger.moves) == 1


@pytest.mark.requirement("L-11", "L-15", "X-01")
async def test_two_records_of_a_batch_in_one_object_are_written_and_taken_back_one_after_the_other(world: World) -> None:
    foreign = await world.client.call("organizations.create", world.context, body={"name": "Theirs", "website": "theirs.example"})
    last = canonical_json({"name": "Theirs", "website": "theirs.example"})
    for key in (ORG, TWIN):
        world.ledger.entries[key] = Entry(state="loaded", target_id=str(foreign.data["id"]), image=last, is_preexisting=True, digest="old")
    world.ledger.conflict_policy = "source"
    await world.load("organization", {ORG: {"name": "First", "website": "1.example"}, TWIN: {"name": "Second", "website": "theirs.example"}})
    assert (stored(world, ORG)["name"], stored(world, ORG)["website"]) == ("Second", "1.example")
    assert orjson.loads(world.ledger.entry(TWIN).pre_image) == {"name": "First"}
    world.ledger.entry(TWIN).pre_image = canonical_json({"name": "Theirs"})  # as the ledger keeps it
    outcomes = await world.undo("organization", [ORG, TWIN])
    assert [result_of(outcome) for outcome in outcomes.values()] == ["RESTORED", "RESTORED"]
    assert (stored(world, ORG)["name"], stored(world, ORG)["website"]) == ("Theirs", "theirs.example")


@pytest.mark.requirement("L-11")
async def test_a_record_that_was_deleted_is_not_taken_for_merged(world: World) -> None:
    code = await with_external_id(world)
    await world.load("organization", {ORG: ours(code, 1, "One"), TWIN: ours(code, 2, "Two")})
    await world.load("person", {PERSON: payloads.person(ORG)})
    await world.client.call("organizations.delete", world.context, ids={"id": world.ledger.entry(ORG).target_id})
    outcome = (await world.load("organization", {ORG: ours(code, 1, "One, changed")}))[ORG]
    assert (result_of(outcome), world.ledger.moves) == ("WAITING", [])


async def load_one_of_each(world: World) -> dict[str, str]:
    """Load one record of every kind with as little as possible; answers entity → key."""
    keys = {"product": PRODUCT, "organization": ORG, "person": PERSON, "deal": DEAL}
    keys |= {"line_item": "line_item:sales_estimate/3/1", "activity": "activity:work_order/5", "note": "note:contact/2"}
    wanted: dict[str, dict[str, Any]] = {
        "product": {"name": "Pump"},
        "organization": {"name": "Least"},
        "person": {"name": "Ana", "org_id": {"$ref": ORG}},
        "deal": {"title": "Least", "org_id": {"$ref": ORG}, "person_id": {"$ref": PERSON}},
        "line_item": {"deal_id": {"$ref": DEAL}, "product_id": {"$ref": PRODUCT}, "item_price": 10, "quantity": 1},
        "activity": {"subject": "Visit", "deal_id": {"$ref": DEAL}},
        "note": payloads.note(DEAL),
    }
    for entity, key in keys.items():
        await world.load(entity, {key: wanted[entity]})
    digest = world.files.add(b"content")
    keys["file"] = "file:entity_attachment/9"
    await world.load("file", {keys["file"]: payloads.file(DEAL, digest, 7)})
    return keys


@pytest.mark.requirement("L-11", "L-15")
async def test_what_nobody_changed_is_deleted_whatever_pipedrive_filled_in_by_itself(world: World) -> None:
    keys = await load_one_of_each(world)
    world.ledger.run_kind = "delta"
    for entity, key in reversed(keys.items()):
        outcome = (await world.undo(entity, [key]))[key]
        assert outcome is not None
        assert result_of(outcome) == "DELETED", (entity, outcome.message, outcome.asked_json)


@pytest.mark.requirement("L-11", "L-16")
@pytest.mark.parametrize("values", [{"name": "Edited"}, {"website": "filled.example"}], ids=["what-we-loaded", "what-was-empty"])
async def test_what_a_person_changed_is_asked_about_and_goes_when_decided(world: World, values: dict[str, Any]) -> None:
    await load_one_of_each(world)
    await edit(world, ORG, **values)
    world.ledger.run_kind = "delta"
    outcome = (await world.undo("organization", [ORG]))[ORG]
    assert outcome is not None
    assert (result_of(outcome), outcome.reason, orjson.loads(outcome.asked_json)) == ("WAITING", "SOURCE_DELETED", values)
    assert result_of((await world.undo("organization", [ORG]))[ORG]) == "DELETED"  # what was shown is decided on


@pytest.mark.requirement("L-11")
async def test_what_somebody_deleted_already_is_deleted_without_a_call(world: World) -> None:
    await load_one_of_each(world)
    await world.client.call("organizations.delete", world.context, ids={"id": world.ledger.entry(ORG).target_id})
    world.ledger.run_kind = "delta"
    world.app.journal.clear()
    assert result_of((await world.undo("organization", [ORG]))[ORG]) == "DELETED"
    assert [entry.method for entry in world.app.journal.entries] == ["GET"]
