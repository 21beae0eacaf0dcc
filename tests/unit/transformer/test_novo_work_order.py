"""The mapping of Novo Work Order where a person chooses otherwise, and where the account is poor."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from services.extractor.connectors.novo_work_order import connector
from services.transformer.compile import compile_schema
from services.transformer.engine import Engine
from services.transformer.lint import lint
from services.transformer.load_plan import stand_ins
from services.transformer.manifest import Manifest
from services.transformer.mapping.reading import connector_mapping_text, load_mapping
from services.transformer.plan import MappingPlan
from services.transformer.propose import propose
from tests.unit.transformer import large_files
from tests.unit.transformer.support import Snapshot
from transload.v1 import ledger_service_pb2
from transload.v1 import transformer_service_pb2 as pb

DONE = "2026-01-02T10:00:00Z"
TOO_LARGE = {"problem": "FILE_TOO_LARGE", "byte_count": 99, "name": "big.mp4"}
RECORDS: dict[str, list[dict[str, Any]]] = {
    "account": [{"id": 1, "company_name": "Town Hall"}],
    "user": [{"id": 1, "user_name": "jdoe", "first_name": "Jane", "hourly_rate": 31.5, "email": "jdoe@town.example"}],
    "asset": [
        {"id": 1, "asset_id": "1", "asset_name": "Plant", "account_id": "1"},
        {"id": 2, "asset_id": "2", "asset_name": "Hall", "parent_asset_id": "1"},
        {"id": 3, "asset_id": "3", "asset_name": "Line", "parent_asset_id": "2"},
        {"id": 4, "asset_id": "4", "asset_name": "Pump", "parent_asset_id": "3"},
    ],
    "pm_schedule": [{"id": 5, "pm_schedule_id": "5", "pm_name": "Check", "asset_id": "4", "recurrence": "Monthly", "run_at": "2026-01-10"}],
    "work_order": [
        {"id": 7, "work_order_id": "7", "work_order_number": "WO-7", "title": "Fix", "status": "Open", "total_cost": 12.5, "assigned_to": ["JDOE"]},
        {
            "id": 8,
            "work_order_id": "8",
            "title": "Fix too",
            "status": "closed",
            "account_id": "1",
            "priority": "NORMAL",
            "completed_time": "2026-01-02T10:00:00Z",
        },
    ],
    "labor": [{"id": 9, "work_order_id": "8", "hours": 1.25, "hourly_rate": 20, "labor_cost": 25, "user_name": "jdoe", "work_date": "2026-01-02"}],
    "attachment": [
        {
            "id": 11,
            "name": "big.mp4",
            "owner_entity": "asset",
            "owner_id": "4",
            "file": TOO_LARGE,
        }
    ],
}


def plan_of(overrides: dict[str, Any] | None = None, records: dict[str, list[dict[str, Any]]] | None = None) -> MappingPlan:
    text = propose(
        connector_mapping_text("novo_work_order"), Snapshot(records or RECORDS), {}, yaml.safe_dump(overrides or {}), today=date(2026, 3, 1)
    )
    mapping = load_mapping(text)
    return MappingPlan(mapping, Manifest("town", mapping, stand_ins(compile_schema(mapping))))


def mapped(entity: str, source_id: str, overrides: dict[str, Any] | None = None) -> tuple[dict[str, dict[str, Any]], list[Any]]:
    plan, snapshot = plan_of(overrides), Snapshot(RECORDS)
    records: dict[str, dict[str, Any]] = {}
    issues: list[Any] = []
    for phase in plan.entities[entity].phases:
        made = Engine(plan).map_record(snapshot.one(entity, source_id), snapshot, phase)
        records.update((one.key, orjson.loads(one.payload_json)) for one in made.records)
        issues.extend(made.issues)
    return records, issues


def chosen(name: str, value: str) -> dict[str, Any]:
    return {"choices": {name: {"value": value}}}


def test_the_mapping_has_no_errors_even_for_an_account_without_departments() -> None:
    findings = lint(plan_of().mapping, Snapshot(RECORDS))
    assert [one for one in findings if one.severity == pb.FINDING_SEVERITY_ERROR] == []
    assert plan_of().mapping.schema_.fields["person"]["department"].type == "varchar"


@pytest.mark.requirement("NV-04")
@pytest.mark.parametrize(("choice", "parent"), [("two_levels", "2"), ("whole", "3")])
def test_the_whole_tree_may_be_kept(choice: str, parent: str) -> None:
    records, _ = mapped("asset", "4", chosen("asset_tree", choice))
    assert records["organization_relation:asset/4"]["rel_owner_org_id"] == {"$ref": f"organization:asset/{parent}"}


@pytest.mark.requirement("NV-01")
def test_a_work_order_without_a_home_goes_to_the_placeholder_or_waits() -> None:
    records, issues = mapped("work_order", "7")
    assert records["deal:work_order/7"]["org_id"] == {"$ref": "organization:placeholder/work_orders_without_account"}
    assert records["organization:placeholder/work_orders_without_account"]["name"] == "Novo work orders without account"
    assert not issues
    records, issues = mapped("work_order", "7", chosen("deal_without_organization", "wait"))
    assert "deal:work_order/7" not in records
    assert [(one.kind, one.reason) for one in issues] == [(ledger_service_pb2.ISSUE_KIND_WAITING, "REFERENCE_MISSING")]


@pytest.mark.requirement("NV-08")
def test_costs_become_the_value_only_when_wanted() -> None:
    assert mapped("work_order", "7")[0]["deal:work_order/7"]["value"] == 12.5
    assert "value" not in mapped("work_order", "7", chosen("cost_as_value", "nothing"))[0]["deal:work_order/7"]


@pytest.mark.requirement("NV-06")
def test_hourly_rates_stay_behind_unless_they_are_asked_for() -> None:
    for choice, is_there in (("leave_out", False), ("move", True)):
        labor = mapped("labor", "9", chosen("pay_data", choice))[0]["activity:labor/9"]
        assert ("Hourly rate" in labor["note"]) is is_there
        assert (labor["duration"], labor["owner_id"]) == ("01:15", {"$ref": "user:user/1"})
        person = mapped("user", "1", chosen("pay_data", choice))[0]["person:user/1"]
        assert ({"currency": "USD", "value": 31.5} in person["custom_fields"].values()) is is_there


@pytest.mark.requirement("NV-11")
def test_words_of_the_product_family_are_known_whatever_their_capitals() -> None:
    records, issues = mapped("work_order", "8")
    deal = records["deal:work_order/8"]
    assert (deal["status"], deal["won_time"]) == ("won", DONE)
    assert not issues


@pytest.mark.requirement("NV-05")
def test_the_window_and_the_cap_are_the_persons_to_choose() -> None:
    policies = {"policies": {"recurrence_from": "2026-06-01", "recurrence_window_months": 3, "recurrence_cap": 2, "recurrence_past_months": 1}}
    keys = set(mapped("pm_schedule", "5", policies)[0])
    assert {key for key in keys if "/due/" in key} == {"activity:pm_schedule/5/due/2026-06-10", "activity:pm_schedule/5/due/2026-07-10"}
    assert {key for key in keys if "/past/" in key} == {"note:pm_schedule/5/past/2026-05-10"}


@pytest.mark.requirement("NV-09", "X-07")
def test_a_file_that_is_too_large_waits_or_becomes_a_note() -> None:
    records, issues = mapped("attachment", "11")
    assert (records, [one.reason for one in issues]) == ({}, ["FILE_TOO_LARGE"])
    records, issues = mapped("attachment", "11", {"policies": {"oversize_files": "link"}})
    assert records["note:attachment/11/oversize"]["org_id"] == {"$ref": "organization:asset/4"}
    assert not issues


@pytest.mark.requirement("NV-09", "X-07", "D-04")
def test_a_file_that_is_too_large_is_split_when_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECORDS, "attachment", [{**RECORDS["attachment"][0], "file": large_files.fetched()}])
    records, issues = mapped("attachment", "11", {"policies": {"oversize_files": "split"}})
    large_files.expect_parts(records, "attachment/11", {"org_id": {"$ref": "organization:asset/4"}})
    assert not issues


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(),
    st.text(max_size=300),
    st.lists(st.one_of(st.text(max_size=5), st.integers(0, 9)), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)


@pytest.mark.requirement("L-07", "X-04", "X-08")
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_a_field_holds_the_record_is_mapped_or_has_a_reason_and_always_the_same(data: st.DataObject) -> None:
    plan = whole_plan()
    entity = data.draw(st.sampled_from(sorted(FIELDS)))
    records = {name: [dict(one) for one in rows] for name, rows in RECORDS.items()}
    record = records[entity][0]
    for name in data.draw(st.lists(st.sampled_from(FIELDS[entity]), max_size=5, unique=True)):
        record[name] = data.draw(VALUES)
    snapshot = Snapshot(records)

    def once() -> tuple[list[bytes], list[str]]:
        made: list[bytes] = []
        reasons: list[str] = []
        for phase in plan.entities[entity].phases:
            found = Engine(plan).map_record(snapshot.one(entity, record["id"]), snapshot, phase)
            made.extend(one.SerializeToString(deterministic=True) for one in found.records)
            reasons.extend(one.reason for one in found.issues if one.message)
        return made, reasons

    made, reasons = once()
    assert made or reasons
    assert (made, reasons) == once()


@cache
def whole_plan() -> MappingPlan:
    return plan_of()


LAYOUT = yaml.safe_load((Path(connector.__file__).parent / "layout.yaml").read_text(encoding="utf-8"))
FIELDS = {entity: [*LAYOUT["entities"][entity]["columns"], "properties", "other_columns"] for entity in RECORDS}
