"""The sample shows everything there is to show, is closed, and is the same every time."""

from __future__ import annotations

from typing import Any

import pytest

from services.transformer.context import Context, LeaveOut, RecordProblem
from services.transformer.plan import MappingPlan
from services.transformer.sample import Selection, select_sample
from services.transformer.transforms.problem import ValueProblem
from tests.unit.transformer.profile_account import account, mapping_for
from tests.unit.transformer.support import Snapshot


@pytest.fixture(scope="module")
def chosen() -> tuple[Snapshot, Any, Selection]:
    snapshot, _ = account()
    mapping = mapping_for(snapshot)
    return snapshot, mapping, select_sample(snapshot, mapping, 100)


@pytest.mark.requirement("L-08")
def test_every_entity_and_state_is_in_the_sample(chosen: tuple[Snapshot, Any, Selection]) -> None:
    snapshot, mapping, selection = chosen
    moved = {name for name, rule in mapping.entities.items() if rule.use == "move" and snapshot.count(name)}
    assert {key.partition("/")[0] for key in selection.source_keys} == moved
    for entity in ("sales_estimate", "sales_order", "work_order", "ordinary_invoice"):
        states = {one.data["document-state-id"] for one in snapshot.iterate(entity)}
        keys = [key.partition("/")[2] for key in selection.source_keys if key.startswith(f"{entity}/")]
        assert {snapshot.one(entity, key).data["document-state-id"] for key in keys} == states


@pytest.mark.requirement("L-08")
def test_picklist_values_and_problems_are_in_the_sample(chosen: tuple[Snapshot, Any, Selection]) -> None:
    snapshot, _, selection = chosen
    clients = [snapshot.one("client", key.partition("/")[2]) for key in selection.source_keys if key.startswith("client/")]
    assert {one.data["currency-code"] for one in clients} == {one.data["currency-code"] for one in snapshot.iterate("client")}
    assert {"entity_attachment/2", "entity_attachment/4"} <= set(selection.source_keys)
    assert any(snapshot.one("product", key.partition("/")[2]).is_archived for key in selection.source_keys if key.startswith("product/"))


@pytest.mark.requirement("L-08", "X-01")
def test_sample_is_closed_under_references(chosen: tuple[Snapshot, Any, Selection]) -> None:
    snapshot, mapping, selection = chosen
    plan = MappingPlan(mapping)
    keys = set(selection.source_keys)
    for source_key in selection.source_keys:
        entity, _, source_id = source_key.partition("/")
        envelope = snapshot.one(entity, source_id)
        if envelope.is_archived:
            continue
        for target in plan.entities[entity].targets:
            if target.for_each is not None or (target.when is not None and not target.when(Context(envelope, snapshot))):
                continue
            context = Context(envelope, snapshot)
            for one in target.fields:
                try:
                    one.rule.value(context)
                except (RecordProblem, ValueProblem, LeaveOut):
                    continue
            needed = {key.partition(":")[2] for key in context.references if ":schema/" not in key}
            present = {"/".join(key.split("/")[:2]) for key in needed}
            assert all(key in keys for key in present if snapshot.get(*key.split("/")) is not None), source_key


@pytest.mark.requirement("L-08")
def test_same_snapshot_same_sample() -> None:
    one, other = account()[0], account()[0]
    assert select_sample(one, mapping_for(one), 120) == select_sample(other, mapping_for(other), 120)


def test_size_is_kept_unless_cover_needs_more() -> None:
    snapshot = Snapshot({"client": [{"id": number, "legal-name": f"A {number}"} for number in range(1, 1000)]})
    mapping = mapping_for(snapshot)
    assert len(select_sample(snapshot, mapping, 100).source_keys) == 100
    assert len(select_sample(snapshot, mapping, 0).source_keys) == 150
    assert len(select_sample(snapshot, mapping, 9999).source_keys) == 500


def test_small_account_is_its_own_sample() -> None:
    snapshot = Snapshot({"client": [{"id": 2, "legal-name": "B"}, {"id": 10, "legal-name": "A"}]})
    selection = select_sample(snapshot, mapping_for(snapshot), 100)
    assert selection.source_keys == ["client/2", "client/10"]
    assert selection.coverage[0] == "2 of 2 records, with everything they refer to"


def test_empty_snapshot_gives_an_empty_sample() -> None:
    assert select_sample(Snapshot(), mapping_for(Snapshot()), 100).source_keys == []


def test_coverage_says_what_is_shown(chosen: tuple[Snapshot, Any, Selection]) -> None:
    words = "\n".join(chosen[2].coverage)
    assert "states: " in words
    assert "picklist values: " in words
    assert "not shown" not in words
