"""Schema and users: made once, matched by name, in order, and taken back (L-04, L-05, L-15)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.common.errors import TransientError
from tests.unit.loader.test_worker import result_of
from tests.unit.loader.world import SettleLostError, World
from transload.v1 import ledger_service_pb2 as pb

NUMBER = "custom_field:schema/deal.document_number"
KIND = "custom_field:schema/deal.kind"


@pytest.fixture
def world() -> World:
    return World()


def image(outcome: pb.RecordOutcome | None) -> dict[str, Any]:
    assert outcome is not None
    value = orjson.loads(outcome.image_json)
    assert isinstance(value, dict)
    return value


def fields(world: World, entity: str) -> list[dict[str, Any]]:
    return [record for record in world.live("field") if record["entity"] == entity]


@pytest.mark.requirement("L-05", "X-03", "G-01")
async def test_custom_fields_get_their_code_from_the_account_and_options_keep_their_order(world: World) -> None:
    outcomes = await world.load(
        "custom_field",
        {
            NUMBER: {"entity": "deal", "field_name": "Document number", "field_type": "varchar"},
            KIND: {"entity": "deal", "field_name": "Kind", "field_type": "enum", "options": ["Quote", "Order", "Invoice"]},
        },
    )
    number = outcomes[NUMBER]
    assert number is not None
    assert result_of(number) == "CREATED"
    assert len(number.target_id) == 40
    assert image(number) == {"entity": "deal", "field_code": number.target_id, "field_name": "Document number", "field_type": "varchar"}
    options = image(outcomes[KIND])["options"]
    assert sorted(options, key=lambda label: options[label]) == ["Quote", "Order", "Invoice"]


@pytest.mark.requirement("L-05", "L-15")
async def test_a_field_that_was_there_is_matched_and_only_added_options_are_taken_back(world: World) -> None:
    body = {"field_name": "Kind", "field_type": "enum", "options": [{"label": "Quote"}, {"label": "Mine"}]}
    made = (await world.client.call("deal_fields.create", world.context, body=body)).data
    payload = {"entity": "deal", "field_name": "Kind", "field_type": "enum", "options": ["Quote", "Order"]}
    outcome = (await world.load("custom_field", {KIND: payload}))[KIND]
    assert outcome is not None
    assert (result_of(outcome), outcome.target_id) == ("MATCHED", made["field_code"])
    assert set(image(outcome)["options"]) == {"Quote", "Mine", "Order"}
    assert set(orjson.loads(outcome.pre_image_json)["options"]) == {"Quote", "Mine"}
    assert result_of((await world.undo("custom_field", [KIND]))[KIND]) == "RESTORED"
    definitions = (await world.client.call("deal_fields.list", world.context)).data
    left = next(definition for definition in definitions if definition["field_code"] == made["field_code"])
    assert [option["label"] for option in left["options"]] == ["Quote", "Mine"]


@pytest.mark.requirement("L-15")
async def test_fields_we_made_are_deleted(world: World) -> None:
    await world.load("custom_field", {NUMBER: {"entity": "deal", "field_name": "Document number", "field_type": "varchar"}})
    assert result_of((await world.undo("custom_field", [NUMBER]))[NUMBER]) == "DELETED"
    assert "Document number" not in [record["field_name"] for record in fields(world, "deal")]


@pytest.mark.requirement("L-05")
@pytest.mark.parametrize("kind", ["cut_after", "error_after", "error_before"])
async def test_a_lost_answer_makes_no_second_field(world: World, kind: str) -> None:
    world.fault(kind, method="POST", path="Fields", times=1)
    payload = {"entity": "deal", "field_name": "Document number", "field_type": "varchar"}
    outcome = (await world.load("custom_field", {NUMBER: payload}))[NUMBER]
    assert result_of(outcome) == "CREATED"
    assert [record["field_name"] for record in fields(world, "deal")].count("Document number") == 1


@pytest.mark.requirement("L-05", "L-15")
async def test_after_a_crash_a_field_of_ours_is_told_from_one_that_was_there(world: World) -> None:
    await world.client.call("deal_fields.create", world.context, body={"field_name": "Old", "field_type": "varchar"})
    definitions = (await world.client.call("deal_fields.list", world.context)).data
    world.ledger.manifest_json["target"] = {"fields": {"deal": definitions}}
    batch = {
        NUMBER: {"entity": "deal", "field_name": "Document number", "field_type": "varchar"},
        "custom_field:schema/deal.old": {"entity": "deal", "field_name": "Old", "field_type": "varchar"},
    }
    world.ledger.lose_settles = 1
    with pytest.raises(SettleLostError):
        await world.load("custom_field", batch)
    world.restart()
    outcomes = await world.load("custom_field", batch)
    assert [result_of(outcome) for outcome in outcomes.values()] == ["CREATED", "MATCHED"]


@pytest.mark.requirement("G-05")
async def test_the_cap_on_fields_waits_for_a_person() -> None:
    world = World(custom_fields_max=0, seed=None)
    outcome = (await world.load("custom_field", {NUMBER: {"entity": "deal", "field_name": "N", "field_type": "varchar"}}))[NUMBER]
    assert outcome is not None
    assert (result_of(outcome), outcome.reason) == ("WAITING", "TARGET_CAPPED")


@pytest.mark.requirement("L-05", "SO-04")
@pytest.mark.parametrize("kind", ["", "cut_after", "error_before"])
async def test_labels_are_added_with_one_call_and_known_ones_are_matched(world: World, kind: str) -> None:
    if kind:
        world.fault(kind, method="POST", path="options", times=1)
    batch = {
        f"field_option:schema/person.label_ids/{label}": {"entity": "person", "field_code": "label_ids", "label": label}
        for label in ("Customer", "Supplier", "Partner")
    }
    outcomes = await world.load("field_option", batch)
    assert [result_of(outcome) for outcome in outcomes.values()] == ["MATCHED", "CREATED", "CREATED"]
    assert len([entry for entry in world.app.journal.entries if entry.method == "POST"]) == (2 if kind == "error_before" else 1)
    assert image(outcomes["field_option:schema/person.label_ids/Partner"])["label"] == "Partner"
    undone = await world.undo("field_option", list(batch))
    assert result_of(undone["field_option:schema/person.label_ids/Partner"]) == "DELETED"
    definitions = (await world.client.call("person_fields.list", world.context)).data
    labels = next(definition for definition in definitions if definition["field_code"] == "label_ids")
    assert {"Supplier", "Partner"} & {option["label"] for option in labels["options"]} == set()
    assert "Customer" in {option["label"] for option in labels["options"]}


@pytest.mark.requirement("L-05", "L-15", "D-01")
async def test_pipelines_stages_and_activity_types_are_made_in_order_and_taken_back(world: World) -> None:
    before = {kind: world.live(kind) for kind in ("pipeline", "stage", "activity_type")}
    pipeline = "pipeline:schema/quotes"
    await world.load("pipeline", {pipeline: {"name": "Quotes"}})
    stages = {
        f"stage:schema/quotes.{name}": {"name": name, "pipeline_id": {"$ref": pipeline}, "deal_probability": 10 * number}
        for number, name in enumerate(("pending", "sent", "accepted"), 1)
    }
    outcomes = await world.load("stage", stages)
    assert [image(outcome)["name"] for outcome in outcomes.values()] == ["pending", "sent", "accepted"]
    made = [record for record in world.live("stage") if record["pipeline_id"] == int(world.ledger.entry(pipeline).target_id)]
    assert [record["name"] for record in made] == ["pending", "sent", "accepted"]
    payment = "activity_type:schema/payment"
    outcome = (await world.load("activity_type", {payment: {"name": "Payment", "icon_key": "finish"}}))[payment]
    assert image(outcome)["key_string"] == "payment"
    await world.undo("stage", list(stages))
    await world.undo("pipeline", [pipeline])
    await world.undo("activity_type", [payment])
    assert {kind: world.live(kind) for kind in before} == before


async def test_a_pipeline_of_the_same_name_is_matched(world: World) -> None:
    existing = world.live("pipeline")[0]
    outcome = (await world.load("pipeline", {"pipeline:schema/x": {"name": existing["name"]}}))["pipeline:schema/x"]
    assert outcome is not None
    assert (result_of(outcome), outcome.target_id) == ("MATCHED", str(existing["id"]))


@pytest.mark.requirement("L-04", "SO-10")
async def test_users_are_matched_by_mail_and_unmatched_ones_fall_back_and_are_flagged(world: World) -> None:
    users = (await world.client.call("users.list", world.context)).data
    mine = next(user for user in users if user["is_you"])
    other = next(user for user in users if user["active_flag"] and not user["is_you"])
    gone = next(user for user in users if not user["active_flag"])
    batch = {
        "user:schema/fallback": {"email": None, "fallback": True},
        "user:employee/1": {"email": str(other["email"]).upper(), "name": "x", "is_active": True, "use_fallback": True},
        "user:employee/2": {"email": gone["email"], "name": "y", "is_active": False, "use_fallback": True},
        "user:employee/3": {"email": "nobody@example.com", "name": "z", "is_active": True},
    }
    outcomes = await world.load("user", batch)
    found = {key: (result_of(outcome), outcome.target_id, outcome.flag_reason, outcome.reason) for key, outcome in outcomes.items() if outcome}
    assert found == {
        "user:schema/fallback": ("MATCHED", str(mine["id"]), "", ""),
        "user:employee/1": ("MATCHED", str(other["id"]), "", ""),
        "user:employee/2": ("MATCHED", str(mine["id"]), "OWNER_UNMATCHED", ""),
        "user:employee/3": ("WAITING", "", "", "OWNER_UNMATCHED"),
    }


async def test_an_option_whose_deletion_was_not_answered_counts_as_deleted(world: World) -> None:
    key = "field_option:schema/person.label_ids/Partner"
    await world.load("field_option", {key: {"entity": "person", "field_code": "label_ids", "label": "Partner"}})
    world.fault("cut_after", method="DELETE", path="options", times=1)
    assert result_of((await world.undo("field_option", [key]))[key]) == "DELETED"


SCHEMA: dict[str, tuple[str, str, dict[str, Any]]] = {
    "custom_field": ("/dealFields", "Fields", {"entity": "deal", "field_name": "Document number", "field_type": "varchar"}),
    "pipeline": ("/pipelines", "pipelines", {"name": "Quotes"}),
    "activity_type": ("/activityTypes", "activityTypes", {"name": "Payment", "icon_key": "task"}),
}


@pytest.mark.requirement("L-05", "L-10", "L-15")
@pytest.mark.parametrize("target_entity", sorted(SCHEMA))
async def test_what_was_made_stays_in_doubt_when_finding_out_fails_too_and_is_known_as_ours_later(world: World, target_entity: str) -> None:
    created, listed, payload = SCHEMA[target_entity]
    key = f"{target_entity}:schema/one"
    world.fault("cut_after", method="POST", path=created, times=1)
    world.fault("error_before", method="GET", path=listed, nth=list(range(2, 20)))
    with pytest.raises(TransientError):
        await world.load(target_entity, {key: payload})
    outcome = world.ledger.entry(key).outcome
    assert outcome is not None
    assert result_of(outcome) == "UNKNOWN"
    world.clear_faults()
    assert result_of((await world.load(target_entity, {key: payload}))[key]) == "CREATED"
    assert result_of((await world.undo(target_entity, [key]))[key]) == "DELETED"


@pytest.mark.requirement("L-05", "L-10", "L-15")
async def test_options_that_were_added_stay_in_doubt_when_finding_out_fails_too(world: World) -> None:
    await world.load("custom_field", {KIND: {"entity": "deal", "field_name": "Kind", "field_type": "enum", "options": ["Quote"]}})
    code = world.ledger.entry(KIND).target_id
    keys = [f"field_option:schema/deal.kind/{label}" for label in ("Order", "Invoice")]
    batch = {key: {"entity": "deal", "field_code": code, "label": key.rpartition("/")[2]} for key in keys}
    world.fault("cut_after", method="POST", path="/options", times=1)
    world.fault("error_before", method="GET", path="Fields", nth=list(range(2, 20)))
    with pytest.raises(TransientError):
        await world.load("field_option", batch)
    assert {result_of(world.ledger.entry(key).outcome) for key in keys} == {"UNKNOWN"}
    world.clear_faults()
    assert {result_of(outcome) for outcome in (await world.load("field_option", batch)).values()} == {"CREATED"}
