"""Outcomes of activities go to Pipedrive's own field where the account has it, else into the note."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.common.canonical import canonical_json
from services.transformer.manifest import read_manifest
from services.transformer.mapping.reading import load_mapping
from services.transformer.plan import MappingPlan
from tests.unit.transformer.support import Snapshot, bindings, map_all

MAPPING = """
version: 1
source: acme
schema: {activity_types: {call: {name: Call}}}
conditions: {has_native: {of: outcome, is: native_outcome}}
entities:
  activity:
    targets:
      - target: activity
        fields:
          subject: subject
          type: {value: call}
          outcome: {when: has_native, from: outcome}
          note: {html: [{facts: {Outcome: {when: {not: has_native}, from: outcome}, Subject: subject}}]}
"""


def mapped(outcomes: list[dict[str, Any]], outcome: str | None) -> dict[str, Any]:
    mapping = load_mapping(MAPPING)
    document = {"source_account": "acme", "mapping_yaml": MAPPING, "bindings": bindings(mapping), "target": {"activity_outcomes": outcomes}}
    manifest = read_manifest(canonical_json(document))
    snapshot = Snapshot({"activity": [{"id": 1, "subject": "Call back", "outcome": outcome}]})
    result = map_all(MappingPlan(mapping, manifest), snapshot, snapshot.one("activity", 1))
    (record,) = result.records.values()
    payload: dict[str, Any] = orjson.loads(record.payload_json)
    return payload


@pytest.mark.requirement("RS-05")
def test_an_outcome_the_account_has_is_native() -> None:
    payload = mapped([{"id": 7, "label": "Left voice mail"}], "left  Voice mail")
    assert payload["outcome"] == 7
    assert "Outcome" not in payload["note"]


@pytest.mark.requirement("RS-05")
@pytest.mark.parametrize("outcomes", [[], [{"id": 7, "label": "Connected"}]])
def test_an_outcome_the_account_does_not_have_stands_in_the_note(outcomes: list[dict[str, Any]]) -> None:
    payload = mapped(outcomes, "Left voice mail")
    assert "outcome" not in payload
    assert "Left voice mail" in payload["note"]


@pytest.mark.requirement("RS-05")
def test_an_activity_without_outcome_has_none() -> None:
    payload = mapped([{"id": 7, "label": "Connected"}], None)
    assert "outcome" not in payload
    assert "Outcome" not in payload["note"]
