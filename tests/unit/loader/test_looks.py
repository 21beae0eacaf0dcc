"""What a person made of a record since we loaded it is never deleted unasked (L-15)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.loader.readback import ReadBack
from tests.unit.loader import payloads
from tests.unit.loader.test_worker import DEAL, ORG, PERSON, PRODUCT, base, result_of
from tests.unit.loader.world import World

LINES = {f"line_item:sales_estimate/3/{number}": number for number in range(2)}


@pytest.fixture
def world() -> World:
    return World()


async def everything(world: World) -> None:
    await base(world)
    content = b"%PDF" + bytes(range(256))
    digest = world.files.add(content)
    await world.load("line_item", {key: payloads.line(DEAL, PRODUCT, quantity=number + 1) for key, number in LINES.items()})
    participants = [{"person_id": {"$ref": PERSON}, "primary": True}]
    await world.load("activity", {"activity:work_order/5": payloads.activity(DEAL, participants=participants)})
    await world.load("note", {"note:contact/2": payloads.note(DEAL)})
    await world.load("file", {"file:entity_attachment/9": payloads.file(DEAL, digest, len(content))})
    other = {"organization:client/9": payloads.organization("Other")}
    await world.load("organization", other)
    relation = {"type": "related", "rel_owner_org_id": {"$ref": ORG}, "rel_linked_org_id": {"$ref": "organization:client/9"}}
    await world.load("organization_relation", {"organization_relation:client/1": relation})


def of(world: World, key: str) -> str:
    return world.ledger.entry(key).target_id


def edit(world: World, key: str, values: dict[str, Any]) -> None:
    """Change a record as a person does in the web application."""
    kind = key.partition(":")[0]
    done = world.app.engine.people.do({"edit": {"kind": kind, "id": int(of(world, key)), "values": values}})
    assert done["status"] < 300, done


def with_lines(world: World, key: str) -> None:
    """Let the ledger tell the deal's lines, as the real one does."""
    lines = {of(world, line): orjson.loads(world.ledger.entry(line).image) for line in LINES if of(world, line)}
    world.ledger.lines[key] = orjson.dumps(lines)
    entry = world.ledger.entry(key)
    image = orjson.loads(entry.image)
    # Lines make the value, and nothing else was said of it.
    entry.image = orjson.dumps({name: value for name, value in image.items() if name not in {"value", "currency"}})


EDITS: dict[str, tuple[dict[str, Any], list[str]]] = {
    PRODUCT: ({"description": "a person's words"}, ["description"]),
    ORG: ({"name": "Renamed"}, ["name"]),
    PERSON: ({"phones": [{"value": "+34 1", "label": "work", "primary": True}]}, ["phones"]),
    "activity:work_order/5": ({"subject": "Second visit"}, ["subject"]),
    "note:contact/2": ({"content": "<p>Called back</p>"}, ["content"]),
    "file:entity_attachment/9": ({"name": "signed.pdf"}, ["name"]),
    "organization_relation:client/1": ({"type": "parent"}, ["type"]),
}


@pytest.mark.requirement("L-15")
@pytest.mark.parametrize("key", list(EDITS))
async def test_what_a_person_edited_is_kept_and_named(world: World, key: str) -> None:
    await everything(world)
    values, fields = EDITS[key]
    if key.startswith("organization_relation"):
        values = values | {"rel_owner_org_id": int(of(world, ORG)), "rel_linked_org_id": int(of(world, "organization:client/9"))}
    edit(world, key, values)
    entity = key.partition(":")[0]
    count = len(world.live(entity))
    outcome = (await world.undo(entity, [key]))[key]
    assert outcome is not None
    assert (result_of(outcome), list(outcome.edited_fields), outcome.reason) == ("KEPT", fields, "KEPT_USER_EDIT")
    assert orjson.loads(outcome.image_json)
    assert len(world.live(entity)) == count
    world.ledger.entry(key).state = "loaded"
    world.ledger.deletes_edited = True
    assert result_of((await world.undo(entity, [key]))[key]) == "DELETED"
    assert len(world.live(entity)) == count - 1


@pytest.mark.requirement("L-15")
async def test_nothing_counts_as_edited_that_nobody_edited(world: World) -> None:
    await everything(world)
    with_lines(world, DEAL)
    for key in ("file:entity_attachment/9", "note:contact/2", "activity:work_order/5", "organization_relation:client/1", DEAL, PERSON, ORG, PRODUCT):
        outcome = (await world.undo(key.partition(":")[0], [key]))[key]
        assert (key, result_of(outcome)) == (key, "DELETED")


@pytest.mark.requirement("L-15")
@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("PATCH /api/v2/deals/{deal}/products/{line}", {"quantity": 7}, ["line_item {line}: quantity"]),
        ("DELETE /api/v2/deals/{deal}/products/{line}", None, ["line_item {line}: taken off"]),
        ("POST /api/v2/deals/{deal}/products", {"product_id": "{product}", "item_price": 1, "quantity": 1}, ["line_item {new}: added"]),
        ("PATCH /api/v2/deals/{deal}", {"expected_close_date": "2030-01-01"}, ["expected_close_date"]),
        ("PATCH /api/v2/deals/{deal}", {"is_archived": True}, ["is_archived"]),
    ],
)
async def test_a_deal_is_kept_when_it_or_its_lines_were_edited(world: World, path: str, body: dict[str, Any] | None, fields: list[str]) -> None:
    await everything(world)
    with_lines(world, DEAL)
    ids = {"deal": of(world, DEAL), "line": of(world, next(iter(LINES))), "product": of(world, PRODUCT)}
    method, _, target = path.format(**ids).partition(" ")
    sent = {name: int(ids["product"]) if value == "{product}" else value for name, value in (body or {}).items()}
    done = world.app.engine.people.do({"call": {"method": method, "path": target, "body": sent}})
    assert done["status"] < 300, done
    ids["new"] = str(max(record["id"] for record in world.account.store["deal_product"]))
    outcome = (await world.undo("deal", [DEAL]))[DEAL]
    assert outcome is not None
    assert (result_of(outcome), list(outcome.edited_fields)) == ("KEPT", [field.format(**ids) for field in fields])
    assert any(str(deal["id"]) == ids["deal"] for deal in world.live("deal"))


@pytest.mark.requirement("L-15")
async def test_lines_in_doubt_are_nobodys_edit(world: World) -> None:
    await everything(world)
    world.ledger.lines[DEAL] = b""
    assert result_of((await world.undo("deal", [DEAL]))[DEAL]) == "DELETED"


@pytest.mark.requirement("L-15")
async def test_erased_records_cannot_be_compared_and_are_kept(world: World) -> None:
    await everything(world)
    world.ledger.entry(ORG).image = b""
    assert result_of((await world.undo("organization", [ORG]))[ORG]) == "KEPT"


@pytest.mark.requirement("L-15")
async def test_an_edit_between_list_and_deletion_of_another_batch_is_seen(world: World) -> None:
    """The look belongs to the delivery: a batch that comes again looks again."""
    await everything(world)
    edit(world, ORG, {"name": "Renamed"})
    assert result_of((await world.undo("organization", [ORG]))[ORG]) == "KEPT"
    edit(world, ORG, {"name": payloads.organization()["name"]})
    world.ledger.entry(ORG).state = "loaded"
    assert result_of((await world.undo("organization", [ORG]))[ORG]) == "DELETED"


@pytest.mark.requirement("L-15")
async def test_notes_the_ledger_has_just_compared_are_not_read_one_by_one(world: World) -> None:
    await everything(world)
    world.ledger.look_age = 5.0
    await world.undo("note", ["note:contact/2"])
    assert [call.method for call in world.ledger.entry("note:contact/2").calls][-1] == "DELETE"
    assert not [call for call in world.ledger.shared_calls if "/notes/" in call.path]


@pytest.mark.requirement("L-15")
async def test_notes_compared_too_long_ago_are_read_again(world: World) -> None:
    await everything(world)
    world.ledger.look_age = 61.0
    edit(world, "note:contact/2", {"content": "<p>Mine</p>"})
    assert result_of((await world.undo("note", ["note:contact/2"]))["note:contact/2"]) == "KEPT"


@pytest.mark.requirement("L-15")
async def test_schema_a_person_built_on_is_kept(world: World) -> None:
    field = {"entity": "deal", "field_name": "Origin", "field_type": "enum", "options": ["Web", "Fair"]}
    await world.load("custom_field", {"custom_field:schema/deal.origin": field})
    await world.load("pipeline", {"pipeline:schema/p": {"name": "Quotes"}, "pipeline:schema/q": {"name": "Orders"}})
    code = of(world, "custom_field:schema/deal.origin")
    call = {"method": "POST", "path": f"/api/v2/dealFields/{code}/options", "body": [{"label": "Phone"}]}
    assert world.app.engine.people.do({"call": call})["status"] < 300
    stage = {"method": "POST", "path": "/api/v2/stages", "body": {"name": "Mine", "pipeline_id": int(of(world, "pipeline:schema/p"))}}
    assert world.app.engine.people.do({"call": stage})["status"] < 300
    kept = (await world.undo("custom_field", ["custom_field:schema/deal.origin"]))["custom_field:schema/deal.origin"]
    assert kept is not None
    assert (result_of(kept), list(kept.edited_fields)) == ("KEPT", ["options"])
    outcomes = await world.undo("pipeline", ["pipeline:schema/p", "pipeline:schema/q"])
    assert [result_of(outcome) for outcome in outcomes.values()] == ["KEPT", "DELETED"]


@pytest.mark.requirement("L-15")
async def test_options_of_a_field_go_with_one_call(world: World) -> None:
    keys = {f"field_option:schema/deal.label_ids/{label}": {"entity": "deal", "field_code": "label_ids", "label": label} for label in "ABC"}
    await world.load("field_option", keys)
    await world.undo("field_option", list(keys))
    assert {world.ledger.entry(key).state for key in keys} == {"undone"}
    deletions = [call for key in keys for call in world.ledger.entry(key).calls if call.method == "DELETE"]
    assert len(deletions) == 1


@pytest.mark.requirement("L-15")
async def test_what_was_changed_since_is_listed_archived_deals_too(world: World) -> None:
    await everything(world)
    await world.clock.sleep(10)
    begin = world.clock.now()
    await world.clock.sleep(10)
    edit(world, "note:contact/2", {"content": "<p>Mine</p>"})
    edit(world, DEAL, {"is_archived": True})
    reader = ReadBack(client=world.client, context=world.context)
    for entity, key in (("note", "note:contact/2"), ("deal", DEAL)):
        found = [target_id async for page in reader.changed(entity, begin) for target_id, _ in page]
        assert found == [of(world, key)]
    newest = [target_id async for page in reader.newest("note", [of(world, "note:contact/2")]) for target_id, _ in page]
    assert newest == [of(world, "note:contact/2")]
