"""The linter refuses what Pipedrive cannot take and names the fact; it finds unmapped values before the load."""

from __future__ import annotations

from typing import Any

import pytest

from services.transformer.lint import lint
from services.transformer.mapping.reading import load_mapping
from tests.unit.transformer import examples
from tests.unit.transformer.support import TARGET, Snapshot, has_errors
from transload.v1 import transformer_service_pb2 as pb

HEAD = "source: x\n"


def messages(text: str, *, target: dict[str, Any] | None = None, snapshot: Snapshot | None = None, severity: str = "ERROR") -> list[str]:
    wanted = pb.FindingSeverity.Value(f"FINDING_SEVERITY_{severity}")
    return [f"{one.path}: {one.message}" for one in lint(load_mapping(text), snapshot, target) if one.severity == wanted]


@pytest.mark.requirement("L-02", "D-08")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schema: {fields: {activity: {a: {name: A, type: varchar}}}}\nentities: {}", "activity records have no custom fields"),
        ("schema: {fields: {note: {a: {name: A, type: varchar}}}}\nentities: {}", "note records have no custom fields"),
        ("schema: {fields: {deal: {a: {name: A, type: enum}}}}\nentities: {}", "without options"),
        ("schema: {fields: {deal: {a: {name: A, type: boolean}}}}\nentities: {}", "no custom field type `boolean`"),
        (f"schema: {{fields: {{deal: {{a: {{name: {'n' * 256}, type: varchar}}}}}}}}\nentities: {{}}", "at most 255 characters"),
        ("schema: {fields: {deal: {a: {name: ' ', type: varchar}}}}\nentities: {}", "empty name"),
        ("schema: {fields: {deal: {a: {name: A, type: varchar}, b: {name: A, type: text}}}}\nentities: {}", "found again by its name"),
        ("schema: {fields: {deal: {transload_id: {name: A, type: varchar}}}}\nentities: {}", "made by Transload itself"),
        ("schema: {labels: {product: [A]}}\nentities: {}", "products have no labels"),
        ("entities: {c: {targets: [{target: note, fields: {content: a, product_id: {ref: {to: product}}}}]}}", "notes cannot be linked to products"),
        ("entities: {c: {targets: [{target: deal, fields: {title: a, add_time: b}}]}}", "deals take no add_time"),
        ("entities: {c: {targets: [{target: activity, fields: {type: {value: call}, person_id: {ref: {to: person}}}}]}}", "through participants"),
        ("entities: {c: {targets: [{target: organization, fields: {website: a}}]}}", "refuses a organization without name"),
        ("entities: {c: {targets: [{target: lead, fields: {}}]}}", "has no `lead`"),
        ("entities: {c: {targets: [{target: organization, fields: {name: {from: a, transforms: [shout]}}}]}}", "no transform `shout`"),
        ("entities: {c: {targets: [{target: organization, include: [x], fields: {name: a}}]}}", "no fragment `x`"),
        ("value_maps: {m: {a: {stage: p.s}}}\nentities: {}", "there is no stage `p.s`"),
        (
            "entities: {c: {targets: [{target: person, fields: {name: a, phones: {together: [&p {from: b, transforms: [{phones: {primary: true}}]}, *p]}}}]}}",  # noqa: E501
            "more than one primary",
        ),
    ],
)
def test_what_pipedrive_cannot_take_is_refused(text: str, words: str) -> None:
    found = messages(HEAD + text)
    assert any(words in message for message in found), found


@pytest.mark.requirement("L-03")
def test_a_state_of_the_account_without_entry_is_an_error(mapping_yaml: str) -> None:
    records = examples.account()
    records["document_state"].append({"id": 40, "name": "Inventado", "type": "WORKORDER", "order": 9})
    assert any("Inventado" in message for message in messages(mapping_yaml, snapshot=Snapshot(records)))
    assert messages(mapping_yaml, snapshot=Snapshot(examples.account())) == []


@pytest.mark.requirement("L-03")
def test_a_record_with_a_state_nobody_knows_is_found_before_the_load(mapping_yaml: str) -> None:
    records = examples.account()
    records["work_order"][0].update(examples.state(999))
    found = messages(mapping_yaml, snapshot=Snapshot(records), severity="WARNING")
    assert any("999" in message and "1 records of work_order" in message for message in found)


@pytest.mark.requirement("X-03")
def test_a_property_that_goes_nowhere_is_reported(mapping_yaml: str) -> None:
    records = examples.account()
    records["client"][0]["new-property"] = "x"
    found = messages(mapping_yaml, snapshot=Snapshot(records), severity="WARNING")
    assert any("new-property" in message and "goes nowhere" in message for message in found)


@pytest.mark.requirement("D-03")
def test_a_field_that_no_record_fills_is_reported(mapping_yaml: str) -> None:
    records = examples.account()
    assert not [one for one in messages(mapping_yaml, snapshot=Snapshot(records), severity="INFO") if "STEL Asset Status" in one]
    for asset in records["asset"]:
        for holder in (asset, asset.get("custom-fields") or {}):
            holder.pop("status", None)
            holder.pop("Estado", None)
    assert [
        one
        for one in messages(mapping_yaml, snapshot=Snapshot(records), severity="INFO")
        if "no record of the account fills STEL Asset Status" in one
    ]


@pytest.mark.requirement("G-05", "L-01")
def test_more_custom_fields_than_the_plan_takes_are_refused(mapping_yaml: str) -> None:
    assert any("the account's plan takes 30" in message for message in messages(mapping_yaml, target=TARGET | {"caps": {"custom_fields": 30}}))
    assert messages(mapping_yaml, target=TARGET | {"caps": {"custom_fields": None}}) == []


@pytest.mark.requirement("G-05")
def test_fields_that_are_there_already_need_no_room(mapping_yaml: str) -> None:
    mapping = load_mapping(mapping_yaml)
    fields = {
        entity: [{"field_name": one.name, "field_type": one.type, "is_custom_field": True} for one in declared.values()]
        for entity, declared in mapping.schema_.fields.items()
    }
    count = sum(len(declared) for declared in fields.values())
    assert messages(mapping_yaml, target=TARGET | {"fields": fields, "caps": {"custom_fields": count + 4}}) == []


@pytest.mark.requirement("L-04")
def test_the_fallback_owner_must_be_an_active_user(mapping_yaml: str) -> None:
    named = mapping_yaml + "\noverrides: {policies: {fallback_owner: nobody@example.com}}\n"
    assert any("no active Pipedrive user" in message for message in messages(named, target=TARGET))
    assert messages(named.replace("nobody@", "ADMIN@"), target=TARGET) == []


@pytest.mark.requirement("L-02", "L-03", "L-04")
def test_guesses_are_warnings_until_a_person_decided(mapping_yaml: str) -> None:
    found = lint(load_mapping(mapping_yaml), Snapshot(examples.account()), TARGET)
    assert not has_errors(found)
    warned = [one.path for one in found if one.severity == pb.FINDING_SEVERITY_WARNING]
    assert "value_maps.quote_states.Cerrada" in warned
    assert "owners.people.11" in warned
