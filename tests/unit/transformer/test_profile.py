"""The audit report: what it counts, compares and computes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.transformer.load_estimate import schema_needs
from services.transformer.profile.report import profile_source
from services.transformer.snapshot.envelope import Envelope
from tests.unit.transformer.profile_account import account, mapping_for
from tests.unit.transformer.support import Snapshot

TARGET: dict[str, Any] = {
    "token_user": {"id": 1, "email": "admin@example.com", "is_admin": True},
    "users": [
        {"id": 1, "email": "ADMIN@example.com", "active_flag": True},
        {"id": 2, "email": "Mateo.Ruiz@example.com", "active_flag": True},
        {"id": 3, "email": "tomas.vega@example.com", "active_flag": False},
    ],
    "fields": {"organization": [{"field_name": "STEL Reference", "field_type": "varchar"}]},
    "quota": {"daily_token_limit": 30_000, "daily_token_remaining": 1_000},
    "caps": {"custom_fields": 100, "open_deals": 2_500},
    "counts": {"custom_fields": 30, "open_deals": 2_490},
}


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    snapshot, _ = account()
    return profile_source(snapshot, mapping_for(snapshot), TARGET, options={"plan": "business"})


@pytest.mark.requirement("L-01")
def test_report_is_json_and_has_every_section(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report)) == report
    assert list(report) == [
        "summary",
        "entities",
        "source_budget",
        "status_distribution",
        "hierarchy",
        "files",
        "oversize_files",
        "data_quality",
        "owners",
        "load",
        "load_by_target",
        "target",
        "remarks",
        "schema",
    ]


@pytest.mark.requirement("L-01")
def test_counts_tell_archived_ones_apart(report: dict[str, Any]) -> None:
    snapshot, _ = account()
    products = list(snapshot.iterate("product"))
    archived = sum(one.is_archived for one in products)
    assert archived
    row = report["entities"]["product"]
    assert (row["records"], row["archived"], row["to_move"]) == (len(products), archived, len(products) - archived)
    assert report["entities"]["incident"]["use"] == "not_moved"
    assert report["summary"]["records"] == sum(row["records"] for row in report["entities"].values())


@pytest.mark.requirement("L-01")
def test_archived_and_deleted_ones_are_counted_to_move_when_asked_for() -> None:
    snapshot = Snapshot({"product": [{"id": 1, "name": "a"}, {"id": 2, "name": "b", "inactive": True}, {"id": 3, "name": "c", "deleted": True}]})
    left_out = profile_source(snapshot, mapping_for(snapshot))["entities"]["product"]
    assert (left_out["archived"], left_out["deleted"], left_out["to_move"]) == (1, 1, 1)
    loaded = profile_source(snapshot, mapping_for(snapshot, policies={"archived": "load", "deleted": "load"}))["entities"]["product"]
    assert loaded["to_move"] == 3


@pytest.mark.requirement("L-01", "L-03")
def test_states_have_names_and_unknown_ones_are_shown(report: dict[str, Any]) -> None:
    rows = [row for row in report["status_distribution"] if row["entity"] == "work_order"]
    assert {"Pendiente", "En curso"} <= {row["state"] for row in rows}
    assert any(row["state"] == "999 (unknown)" for row in rows)
    assert sum(row["records"] for row in rows) == report["entities"]["work_order"]["records"]


@pytest.mark.requirement("L-01")
def test_chains_are_measured() -> None:
    orders = [{"id": number, "parent-document-id": number - 1, "parent-document-path": f"app/salesOrders/{number - 1}"} for number in range(1, 5)]
    snapshot = Snapshot({"sales_order": orders})
    rows = profile_source(snapshot, mapping_for(snapshot))["hierarchy"]
    assert [(row["depth"], row["records"]) for row in rows] == [(1, 1), (2, 1), (3, 1), (4, 1)]


def test_chain_that_bites_its_tail_ends() -> None:
    orders = [
        {"id": 1, "parent-document-id": 2, "parent-document-path": "app/salesOrders/2"},
        {"id": 2, "parent-document-id": 1, "parent-document-path": "app/salesOrders/1"},
    ]
    snapshot = Snapshot({"sales_order": orders})
    assert [(row["depth"], row["records"]) for row in profile_source(snapshot, mapping_for(snapshot))["hierarchy"]] == [(2, 2)]


@pytest.mark.requirement("L-01", "X-07")
def test_files_are_counted_by_size_and_large_ones_listed(report: dict[str, Any]) -> None:
    row = report["files"]["entity_attachment"]
    assert (row["files"], row["too_large"], row["unavailable"], row["bytes"], row["largest"]) == (4, 1, 1, 2005, 30_000_000)
    assert report["oversize_files"] == [{"file": "entity_attachment/2", "belongs_to": "client/1001", "bytes": 30_000_000}]


@pytest.mark.requirement("L-01", "L-02")
def test_schema_lists_every_field_with_types_and_picklist_values(report: dict[str, Any]) -> None:
    snapshot, _ = account()
    seen = {name for one in snapshot.iterate("client") for name in one.data}
    schema = report["schema"]["client"]
    assert seen <= set(schema)
    assert schema["custom-fields.Zona comercial"]["values"].keys() == {"Norte", "Centro"}
    assert schema["main-address.city-town"]["types"]["string"]
    assert "lines[].item-name" in report["schema"]["sales_order"]


def test_report_shows_no_bank_account_address_or_telephone(report: dict[str, Any]) -> None:
    values = [value for fields in report["schema"].values() for row in fields.values() for value in row.get("values", {})]
    assert values
    assert not any("@" in value or value.startswith("ES91") or "://" in value for value in values)


@pytest.mark.requirement("L-04", "SO-10")
def test_owners_are_matched_by_email_and_inactive_users_do_not_count(report: dict[str, Any]) -> None:
    rows = {row["owner"]: row for row in report["owners"]}
    assert (rows["employee/4"]["state"], rows["employee/4"]["pipedrive_user"]) == ("matched", "2")
    assert rows["employee/6"]["state"] == "unmatched"
    assert rows["employee/9"]["state"].startswith("not in the source's list")
    assert rows["employee/9"]["records"] == 2


@pytest.mark.requirement("L-01", "G-05")
def test_headroom_and_load_are_computed(report: dict[str, Any]) -> None:
    load = report["load"]
    assert load["token_count"] == sum(row["tokens"] for row in report["load_by_target"].values())
    assert load["day_count"] == 1 + -(-(load["token_count"] + load["schema_token_count"] - 1_000) // 30_000)
    deals = report["target"]["open_deals"]
    assert deals["fits"] is (2_490 + load["open_deal_count"] <= 2_500)
    fields = report["target"]["custom_fields"]
    assert fields["left_after"] == 100 - 30 - fields["needed"]


@pytest.mark.requirement("L-01", "G-03")
@pytest.mark.parametrize(("lines", "tokens"), [(1, 5), (4, 20), (5, 25), (100, 25), (101, 30), (130, 50)])
def test_line_items_are_reckoned_in_bulk_from_five_on(lines: int, tokens: int) -> None:
    order = {
        "id": 1,
        "full-reference": "PDV1",
        "currency-code": "EUR",
        "date": "2026-01-01T00:00:00+0000",
        "total-amount": 1,
        "account-id": 1,
        "account-path": "app/clients/1",
        "lines": [
            {"id": number, "line-type": "ITEM", "deleted": False, "item-id": 1, "item-path": "app/products/1", "units": 1, "item-base-price": 1}
            for number in range(lines)
        ],
    }
    snapshot = Snapshot({"client": [{"id": 1, "legal-name": "A"}], "product": [{"id": 1, "name": "P"}], "sales_order": [order]})
    rows = profile_source(snapshot, mapping_for(snapshot))["load_by_target"]
    assert rows["line_item"] == {"records": lines, "tokens": tokens}
    assert rows["deal"] == {"records": 1, "tokens": 5}


def test_schema_that_is_there_already_needs_nothing() -> None:
    snapshot, _ = account(clients=5)
    mapping = mapping_for(snapshot)
    fields = {
        entity: [{"field_name": one.name} for one in rows.values()] + [{"field_name": "Transload ID"}]
        for entity, rows in mapping.schema_.fields.items()
    }
    assert schema_needs(mapping, {"fields": fields})["custom_field"] == 0
    assert schema_needs(mapping, {})["custom_field"] == sum(len(rows) for rows in mapping.schema_.fields.values()) + 4


@pytest.mark.requirement("L-01")
def test_source_budget_names_the_plan_and_the_calls(report: dict[str, Any]) -> None:
    budget = report["source_budget"]
    assert (budget["plan"], budget["calls_per_day"]) == ("business", 1000)
    assert budget["calls_to_read_all"] == budget["calls_to_read_lists"] + 4
    assert budget["days_to_read_all"] == 1


@pytest.mark.requirement("G-02", "G-04", "G-06")
def test_remarks_name_what_the_interface_cannot_show() -> None:
    snapshot, _ = account(clients=5)
    target = {**TARGET, "token_user": {"is_admin": False}, "caps": {}}
    words = " ".join(profile_source(snapshot, mapping_for(snapshot), target)["remarks"])
    assert all(identifier in words for identifier in ("G-02", "G-04", "G-06"))
    assert "plan of the Pipedrive account" in words


def test_progress_is_told_to_the_end() -> None:
    snapshot, _ = account()
    told: list[int] = []
    report = profile_source(snapshot, mapping_for(snapshot), progress=told.append)
    assert told == sorted(told)
    assert told[-1] == report["summary"]["records"]


def test_same_snapshot_same_report() -> None:
    one, other = account(clients=10)[0], account(clients=10)[0]
    assert json.dumps(profile_source(one, mapping_for(one), TARGET)) == json.dumps(profile_source(other, mapping_for(other), TARGET))


def test_mapping_that_cannot_be_used_yet_still_gives_a_report() -> None:
    snapshot, _ = account(clients=5)
    broken = mapping_for(snapshot, entities={"client": {"targets": [{"target": "organization", "fields": {"name": "no_link -> x"}}]}})
    report = profile_source(snapshot, broken, TARGET)
    assert report["load"]["mapped_record_count"] == 0
    assert any("could not be estimated" in remark for remark in report["remarks"])
    assert report["summary"]["records"]


def test_envelopes_of_unknown_entities_are_counted() -> None:
    snapshot = Snapshot({"dragon": [{"id": 1, "name": "Fafnir"}]})
    assert isinstance(snapshot.one("dragon", 1), Envelope)
    assert profile_source(snapshot, mapping_for(snapshot))["entities"]["dragon"]["use"] == "not_moved"
