"""Fields that the source describes, properties that stand in rows, and records that are parts of others."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from services.common.errors import MappingError
from services.transformer.lint import lint
from services.transformer.mapping.reading import load_mapping, read_document
from services.transformer.plan import MappingPlan
from services.transformer.propose import propose
from services.transformer.transforms.numbers import total
from tests.unit.transformer.support import TARGET, Snapshot, map_all, plan_of

MAPPING = """
version: 1
source: toy
links:
  job: {id: job_id, entity: job}
  answers: {many: answer, by: job_id}
  asked: {many: answer, by: job_id, where: {kind: [Number, choice, choices], hidden: null}}
policies: {default_currency: EUR}
propose:
  policies:
    default_currency: {entity: settings, id: "1", field: currency}
  states:
    - {entity: job, name: status, group: null, groups: {"": {pipeline: jobs, value_map: job_states}}}
  property_types:
    entity: definition
    object: of
    objects: {Job: job}
    label: label
    key_start: "{number}: "
    type: kind
    values: options
    types: {text: varchar, number: double, pick: enum, several: set, switch: enum, several as text: set}
    separators: {several as text: ";"}
    left_out: {picture: an image is a file}
schema:
  pipelines: {jobs: {name: Jobs, stages: {done: Done}}}
value_maps:
  job_states: {Done: {stage: jobs.done, status: won}}
entities:
  settings: {use: reference_data}
  definition: {use: reference_data}
  answer: {use: part, part_of: job}
  job:
    property_groups: [own]
    property_rows:
      - link: asked
        name: question
        value: value
        order_by: at
        type: kind
        types: {Number: double, choice: enum, choices: set}
    targets:
      - target: deal
        fields:
          title: name
          stage_id: {from: status, map: job_states.stage}
          currency: {cases: [currency, {policy: default_currency}]}
    not_moved: {id: key}
"""


def answer(number: int, job: int, kind: str, question: str, value: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "job_id": str(job), "kind": kind, "question": question, "value": value, **more}


def account() -> dict[str, list[dict[str, Any]]]:
    definitions = [
        (1, "Code", "text", None),
        (12, "Size", "number", None),
        (13, "Size", "number", None),
        (14, "Colour", "pick", ["Red", "Blue"]),
        (15, "Extras", "several", ["Roof"]),
        (16, "Photo", "picture", None),
        (17, "Wanted", "switch", None),
        (18, "Odd", "hologram", None),
        (19, "Tags", "several as text", ["North", "South"]),
        (20, "Codes", "several as text", None),
    ]
    own = {
        "1: Code": "=1+1",
        "12: Size": 4,
        "13: Size": "unknown",
        "14: Colour": "Green",
        "15: Extras": ["Wall", "Roof"],
        "16: Photo": "x.jpg",
        "17: Wanted": True,
        "18: Odd": "a",
        "19: Tags": "South; West;",
        "20: Codes": 7,
        "99: Undescribed": 7,
    }
    return {
        "settings": [{"id": 1, "currency": "AUD"}],
        "definition": [{"id": n, "number": str(n), "label": label, "kind": k, "of": "JOB", "options": o} for n, label, k, o in definitions],
        "job": [
            {"id": 1, "name": "First", "status": "done", "own": own},
            {"id": 2, "name": "Second", "status": "Waiting", "currency": "USD"},
        ],
        "answer": [
            answer(1, 1, "NUMBER", "Storeys", "2", at="2"),
            answer(2, 1, "Number", "Storeys", "1", at="1"),
            answer(3, 1, "choices", "Areas", "Front, Back; Side | Yard"),
            answer(4, 1, "free text", "Remarks", "long"),
            answer(5, 1, "choice", "Roof", "Tiles"),
            answer(6, 1, "choice", "Secret", "x", hidden="yes"),
            answer(7, 99, "choice", "Roof", "Flat"),
        ],
    }


@pytest.fixture(scope="module")
def text() -> str:
    return propose(MAPPING, Snapshot(account()), TARGET, "")


@pytest.mark.requirement("X-03", "G-11", "L-02")
def test_described_fields_have_the_type_and_the_options_the_source_gives_them(text: str) -> None:
    mapping = load_mapping(text)
    fields = {one.name: (one.type, one.options) for one in mapping.schema_.fields["deal"].values()}
    assert fields["Code"] == ("varchar", [])
    assert fields["Size"] == ("double", [])
    assert fields["Colour"] == ("enum", ["Red", "Blue", "Green"])
    assert fields["Extras"] == ("set", ["Roof", "Wall"])
    assert fields["Tags"] == ("set", ["North", "South", "West"])
    assert fields["Codes"] == ("set", ["7"])
    assert fields["Wanted"] == ("enum", ["No", "Yes"])
    assert fields["99: Undescribed"] == ("double", [])
    assert "Photo" not in fields


@pytest.mark.requirement("X-03", "ST-10")
def test_several_values_in_one_text_are_taken_apart(text: str) -> None:
    tags = load_mapping(text).entities["job"].properties["property_19_tags"]
    assert tags.separator == ";"
    snapshot = Snapshot(account())
    custom = map_all(plan_of(text), snapshot, snapshot.one("job", 1)).payloads["deal:job/1"]["custom"]
    assert len(custom["Tags"]) == 2
    assert len(custom["Codes"]) == 1


@pytest.mark.requirement("X-03", "L-02")
def test_two_fields_of_one_label_stay_two_and_a_value_that_does_not_fit_widens_its_field(text: str) -> None:
    mapping = load_mapping(text)
    second = mapping.entities["job"].properties["property_13_size"]
    declared = mapping.schema_.fields["deal"]
    assert (declared["property_12_size"].name, declared["property_13_size"].name) == ("Size", "Size (2)")
    assert declared["property_13_size"].type == "varchar"
    assert "needs_review" in (second.reason or "")


@pytest.mark.requirement("X-03")
def test_what_becomes_no_field_is_said_with_the_reason(text: str) -> None:
    photo = load_mapping(text).entities["job"].properties["property_16_photo"]
    assert (photo.move, photo.reason) == (False, "an image is a file")
    said = [one.message for one in lint(load_mapping(text), Snapshot(account()), TARGET) if "Photo" in one.message]
    assert said == ["the property own > 16: Photo is not moved, by decision"]


@pytest.mark.requirement("L-02", "OP-10")
def test_rows_become_fields_and_the_last_answer_counts(text: str) -> None:
    snapshot = Snapshot(account())
    result = map_all(plan_of(text), snapshot, snapshot.one("job", 1), snapshot.one("job", 2))
    custom = result.payloads["deal:job/1"]["custom"]
    assert custom["Storeys"] == 2
    assert len(custom["Areas"]) == 4
    assert "Remarks" not in custom
    assert "Secret" not in custom
    assert "Storeys" not in result.payloads["deal:job/2"]["custom"]


@pytest.mark.requirement("X-04", "X-01")
def test_a_part_goes_with_its_record_and_waits_without_it(text: str) -> None:
    snapshot = Snapshot(account())
    result = map_all(plan_of(text), snapshot, snapshot.one("answer", 1), snapshot.one("answer", 7))
    assert set(result.reasons()) == {("SKIPPED", "SKIPPED_REFERENCE_DATA"), ("WAITING", "REFERENCE_MISSING")}
    assert {one.source_key for one in result.issues if one.reason == "REFERENCE_MISSING"} == {"answer/7"}


@pytest.mark.requirement("L-03")
def test_statuses_found_on_records_become_stages_unless_the_mapping_knows_them(text: str) -> None:
    mapping = load_mapping(text)
    assert mapping.schema_.pipelines["jobs"].stages == {"done": "Done", "waiting": "Waiting"}
    assert set(mapping.value_maps["job_states"]) == {"Done", "Waiting"}
    later = Snapshot(account() | {"job": [{"id": 3, "name": "Third", "status": "New word"}]})
    assert [one.requirement for one in lint(mapping, later, TARGET) if "New word" in one.message and one.path.startswith("value_maps")][:1] == [
        "L-03"
    ]


@pytest.mark.requirement("X-05")
def test_a_policy_can_be_the_accounts_own_and_a_default(text: str) -> None:
    mapping = load_mapping(text)
    assert mapping.policies.default_currency == "AUD"
    snapshot = Snapshot(account())
    result = map_all(plan_of(text), snapshot, snapshot.one("job", 1), snapshot.one("job", 2))
    assert [result.payloads[f"deal:job/{number}"]["currency"] for number in (1, 2)] == ["AUD", "USD"]


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (("entities", "answer"), {"use": "part"}, "part_of"),
        (("entities", "answer"), {"use": "part", "part_of": "answers"}, "part_of"),
        (("entities", "job", "property_rows"), [{"link": "job", "name": "a", "value": "b"}], "no link to many"),
    ],
)
def test_wrong_links_are_named(place: tuple[str, ...], value: Any, problem: str) -> None:
    document = read_document(MAPPING)
    node = document
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    with pytest.raises(MappingError, match=problem):
        MappingPlan(load_mapping(yaml.safe_dump(document)))


def test_sums_are_exact() -> None:
    assert total([0.1, 0.2, "1,234.50", None, ""]) == 1234.8
    assert (total(7), total([]), total([1e22, 1]), total([0.1, 0.2])) == (7, None, 10**22 + 1, 0.3)
