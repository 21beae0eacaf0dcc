"""Pipelines, activity types and types of fields are proposed from lists that only the account has."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml

from services.transformer.compile import compile_schema
from services.transformer.mapping.reading import load_mapping
from services.transformer.propose import propose
from tests.unit.transformer.support import Snapshot

BASE = """
version: 1
source: acme
propose:
  pipelines:
    - entities: [stage, deal]
      pipeline: type
      stage: stage
      probability: percent
      closes: closed
      closes_as: {Won: won, Lost: lost}
      value_map: stages
      default_pipeline: Sales
  activity_types: [{entity: activity, field: type, value_map: activity_types}]
  property_types:
    entity: definition
    object: object
    objects: {Opportunity: deal}
    label: label
    type: type
    values: values
    types: {Number: double, Drop-down: enum, Date: date}
schema:
  activity_types: {call: {name: Call}}
value_maps:
  stages: {}
  activity_types: {Call: call, Phone call: call}
entities:
  stage: {use: reference_data}
  definition: {use: reference_data}
  activity:
    targets: [{target: activity, fields: {type: {from: type, map: activity_types}}}]
  deal:
    property_groups: [properties]
    targets:
      - target: deal
        fields:
          title: name
          stage_id: {join: [type, stage], separator: " / ", map: stages.stage, default: sales.none}
    not_moved: {id: part of every key}
"""


def stage(number: int, kind: str, name: str, percent: float | None = None, closed: str | None = None) -> dict[str, Any]:
    return {"id": number, "type": kind, "stage": name, "order": number, "percent": percent, "closed": closed}


def deal(number: int, kind: str | None, name: str | None, **properties: str) -> dict[str, Any]:
    return {"id": number, "name": f"Deal {number}", "type": kind, "stage": name, "properties": properties}


STAGES = [
    stage(1, "New", "Proposal", 60),
    stage(2, "New", "Won it", 100, "won"),
    stage(3, "Service", "Proposal", 40.4),
    stage(4, "New", "No", 0, "Lost"),
]


def proposed(**records: list[dict[str, Any]]) -> str:
    return propose(BASE, Snapshot({"stage": STAGES, **records}), {}, "")


@pytest.mark.requirement("RS-04", "L-03")
def test_every_value_becomes_a_pipeline_with_its_own_stages_and_probabilities() -> None:
    mapping = load_mapping(proposed(deal=[deal(1, "new ", "PROPOSAL"), deal(2, "Service", "Verbal"), deal(3, None, None)]))
    pipelines = mapping.schema_.pipelines
    assert {name: (one.name, one.stages, one.probabilities) for name, one in pipelines.items()} == {
        "new": ("New", {"proposal": "Proposal", "won_it": "Won it", "no": "No"}, {"proposal": 60, "won_it": 100, "no": 0}),
        "service": ("Service", {"proposal": "Proposal", "verbal": "Verbal"}, {"proposal": 40}),
        "sales": ("Sales", {"none": "No stage"}, {}),
    }
    table = mapping.value_maps["stages"]
    assert table["New / Proposal"] == {"stage": "new.proposal", "status": "open"}
    assert table["New / Won it"] == {"stage": "new.won_it", "status": "won"}
    assert table["New / No"] == {"stage": "new.no", "status": "lost"}
    assert table["Service / Proposal"] == {"stage": "service.proposal", "status": "open"}
    found = table["Service / Verbal"]
    assert isinstance(found, dict)
    assert str(found["remark"]).startswith("needs_review")


@pytest.mark.requirement("RS-04", "L-05")
def test_probabilities_are_made_in_pipedrive() -> None:
    payloads = {one.key: orjson.loads(one.payload_json) for one in compile_schema(load_mapping(proposed()))}
    assert payloads["pipeline:schema/new"] == {"name": "New", "is_deal_probability_enabled": True}
    assert payloads["stage:schema/new.proposal"]["deal_probability"] == 60
    assert payloads["stage:schema/new.no"]["deal_probability"] == 0


@pytest.mark.requirement("RS-05", "L-03")
def test_activity_types_nobody_knows_become_types_of_their_own() -> None:
    activities = [{"id": number, "type": kind} for number, kind in enumerate(["phone call", "Letter", "letter ", "Site Visit", None], start=1)]
    mapping = load_mapping(proposed(activity=activities))
    assert mapping.value_maps["activity_types"] == {"Call": "call", "Phone call": "call", "Letter": "letter", "Site Visit": "site_visit"}
    assert {name: one.name for name, one in mapping.schema_.activity_types.items()} == {
        "call": "Call",
        "letter": "Letter",
        "site_visit": "Site Visit",
    }


def definition(number: int, label: str, kind: str, *values: str) -> dict[str, Any]:
    return {"id": number, "object": "OPPORTUNITY", "label": label, "type": kind, "values": list(values)}


@pytest.mark.requirement("RS-06", "X-03", "L-02")
def test_the_sources_own_types_win_where_the_values_bear_them_out() -> None:
    definitions = [
        definition(1, "Size", "Number"),
        definition(2, "Paid by", "Drop-down", "Cash", "Lease"),
        definition(3, "Decided", "Date"),
        definition(4, "Broken", "Number"),
    ]
    deals = [deal(1, "New", "Proposal", Size="1,200", **{"Paid by": "Barter"}, Decided="2026-03-01", Broken="many", Other="x")]
    document = yaml.safe_load(proposed(deal=deals, definition=definitions))["account"]
    fields = document["schema"]["fields"]["deal"]
    kinds = {one["name"]: (one["type"], one.get("options")) for one in fields.values()}
    assert kinds == {
        "Size": ("double", None),
        "Paid by": ("enum", ["Cash", "Lease", "Barter"]),
        "Decided": ("date", None),
        "Broken": ("varchar", None),
        "Other": ("varchar", None),
    }
    reasons = {fields[name]["name"]: one["reason"] for name, one in document["entities"]["deal"]["properties"].items()}
    assert reasons["Size"] == "the source says Number"
    assert "not on its list: Barter" in reasons["Paid by"]
    assert reasons["Broken"].startswith("needs_review: the source says Number, but 'many' is none")
