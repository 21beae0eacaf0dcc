"""The plan of a load: held against the loader's own prices and rules, and against what the load of a generated account would call."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from services.common.canonical import canonical_json
from services.common.phases import PHASES
from services.ledger.runs import reconcile, rollback
from services.ledger.runs import schema as schema_runs
from services.loader.entities import RECORD_ENTITIES
from services.loader.entities.base import LIST_FROM
from services.loader.entities.line_item import BULK_FROM, BULK_MAX
from services.loader.pipedrive import costs as loader_costs
from services.loader.pipedrive import lists
from services.transformer import plan_costs as costs
from services.transformer.load_plan import plan_load
from services.transformer.plan_values import DealValues, line_sum
from tests.unit.transformer import test_novo_work_order as novo
from tests.unit.transformer.profile_account import account, mapping_for
from tests.unit.transformer.support import Snapshot
from transload.v1 import records_pb2

TARGET: dict[str, Any] = {"users": [{"id": 1, "email": "admin@example.com", "active_flag": True}], "fields": {}}


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return account()[0]


@pytest.fixture(scope="module")
def plan(snapshot: Snapshot) -> dict[str, Any]:
    return plan_load(snapshot, mapping_for(snapshot), TARGET)


def test_prices_are_those_the_loader_pays() -> None:
    assert {name: loader_costs.operation(name).token_count for name in costs.TOKENS} == dict(costs.TOKENS)


def test_rules_are_those_the_loader_and_the_ledger_follow() -> None:
    assert (costs.BULK_FROM, costs.BULK_MAX, costs.LIST_FROM) == (BULK_FROM, BULK_MAX, LIST_FROM)
    assert (costs.LIST_PAGE, costs.FILES_PAGE, costs.IDS_MAX) == (lists.PAGE_MAX, lists.FILES_PAGE_MAX, lists.IDS_MAX)
    assert costs.CHUNK == reconcile.RECORDS_PER_CHUNK == rollback.RECORDS_PER_CHUNK
    assert costs.SCHEMA_BATCH == schema_runs.RECORDS_PER_BATCH
    assert {name: entity.operations for name, entity in RECORD_ENTITIES.items() if name in costs.OPERATIONS} == {
        name: operation for name, operation in costs.OPERATIONS.items() if name in RECORD_ENTITIES
    }


@pytest.mark.parametrize(
    ("lines", "singles", "bulks"), [([4], 4, 0), ([5], 0, 1), ([100], 0, 1), ([104], 4, 1), ([105], 0, 2), ([1, 2, 300], 3, 3), ([], 0, 0)]
)
def test_lines_go_in_bulk_where_that_is_not_dearer(lines: list[int], singles: int, bulks: int) -> None:
    calls = costs.lines_created(lines)
    assert (calls["line_items.create"], calls["line_items.create_bulk"]) == (singles, bulks)


@pytest.mark.parametrize(
    ("entity", "count", "highest", "tokens"),
    [
        ("deal", 9, 9_000, 9),
        ("deal", 9, 400, 9),
        ("deal", 105, 105, 10),
        ("note", 71, 71, 20),
        ("note", 5, 71, 10),
        ("file", 5, 5, 10),
        ("person", 400, 4_000, 40),
    ],
)
def test_reading_back_takes_the_cheaper_way(entity: str, count: int, highest: int, tokens: int) -> None:
    assert costs.tokens_of(costs.read_back(entity, count, highest)) == tokens


def test_every_step_has_tokens_and_rows_add_up(plan: dict[str, Any]) -> None:
    for name, step in plan["steps"].items():
        rows = [row for row in plan["rows"] if row["step"] == name]
        assert step["tokens"] == sum(row["tokens"] for row in rows) > 0
        for row in rows:
            assert row["tokens"] == sum(loader_costs.operation(call).token_count * count for call, count in row["calls"].items())


def test_each_record_is_created_once_in_sample_or_load(plan: dict[str, Any]) -> None:
    created: Counter[str] = Counter()
    for row in plan["rows"]:
        if row["step"] in {"sample", "load"} and row["target_entity"] not in {"diff", "line_item", "deal_value"}:
            assert row["records"] == row["calls"].get(f"{costs.OPERATIONS[row['target_entity']]}.create")
            created[row["target_entity"]] += row["records"]
    undone = {row["target_entity"]: row["records"] for row in plan["rows"] if row["step"] == "rollback"}
    assert {name: undone[name] for name in created} == dict(created)


def test_a_record_whose_reference_is_held_back_is_held_back_too(snapshot: Snapshot) -> None:
    mapping = mapping_for(snapshot)
    whole = plan_load(snapshot, mapping, TARGET)
    broken = Snapshot({entity: [dict(one.data) for one in snapshot.iterate(entity)] for entity in snapshot.entities()})
    client = next(
        one for one in broken.iterate("client") if any(str(deal.data.get("account-id")) == one.id for deal in broken.iterate("sales_estimate"))
    )
    client.data.pop("legal-name", None)  # type: ignore[attr-defined]
    client.data.pop("name", None)  # type: ignore[attr-defined]
    fewer = plan_load(broken, mapping, TARGET)
    assert fewer["held_records"].get("organization", 0) == whole["held_records"].get("organization", 0) + 1
    assert fewer["held_records"].get("deal", 0) > whole["held_records"].get("deal", 0)
    assert (
        fewer["steps"]["load"]["tokens"] + fewer["steps"]["sample"]["tokens"] < whole["steps"]["load"]["tokens"] + whole["steps"]["sample"]["tokens"]
    )


def test_what_the_account_has_is_not_created_again(snapshot: Snapshot, plan: dict[str, Any]) -> None:
    mapping = mapping_for(snapshot)
    name, one = next(iter(mapping.schema_.fields["deal"].items()))
    pipeline = next(iter(mapping.schema_.pipelines.values()))
    there = {
        **TARGET,
        "fields": {"deal": [{"field_code": name, "field_name": one.name, "field_type": one.type, "is_custom_field": True, "options": []}]},
        "pipelines": [{"id": 7, "name": pipeline.name}],
        "stages": [{"pipeline_id": 7, "name": next(iter(pipeline.stages.values()))}],
    }
    calls: Counter[str] = Counter()
    for sign, found in ((1, plan), (-1, plan_load(snapshot, mapping, there))):
        for row in found["rows"]:
            if row["step"] == "schema":
                calls.update({call: sign * count for call, count in row["calls"].items()})
    assert {call: count for call, count in calls.items() if count and call.endswith(".create")} == {
        "deal_fields.create": 1,
        "pipelines.create": 1,
        "stages.create": 1,
    }


def novo_plan(overrides: dict[str, Any], sample_size: int = 0) -> dict[str, Any]:
    return plan_load(Snapshot(novo.RECORDS), novo.plan_of(overrides).mapping, TARGET, sample_size=sample_size)


def records_of(plan: dict[str, Any], step: str) -> dict[str, int]:
    return {row["target_entity"]: row["records"] for row in plan["rows"] if row["step"] == step and row["records"]}


@pytest.mark.requirement("L-01")
def test_placeholders_are_made_by_the_step_that_refers_to_them_first() -> None:
    whole = novo_plan({})
    made = records_of(whole, "sample")["organization"] + records_of(whole, "load").get("organization", 0)
    refers = {entity: rows for entity, rows in novo.RECORDS.items() if entity in {"work_order", "labor"}}
    mapping = novo.plan_of({}, refers).mapping
    sampled, none = (plan_load(Snapshot(refers), mapping, TARGET, sample_size=size) for size in (100, 1))
    assert records_of(sampled, "sample")["organization"] == 1
    assert "organization" not in records_of(sampled, "load")
    assert sum(records_of(none, step).get("organization", 0) for step in ("sample", "load")) == 1
    assert made == 6


@pytest.mark.requirement("L-01", "L-04")
def test_what_people_without_a_user_own_is_held_back_where_it_waits_for_them() -> None:
    people = {"owners": {"people": {"ghost": {"email": "ghost@town.example", "is_listed": False}}}}
    records = {**novo.RECORDS, "work_order": [{**one, "assigned_to": ["ghost"]} for one in novo.RECORDS["work_order"]]}
    plans = {}
    for word in ("wait", "fallback"):
        mapping = novo.plan_of({"policies": {"unmatched_owner": word}, **people}, records).mapping
        plans[word] = plan_load(Snapshot(records), mapping, TARGET)
    assert sum(records_of(plans["fallback"], step).get("deal", 0) for step in ("sample", "load")) == 2
    assert sum(records_of(plans["wait"], step).get("deal", 0) for step in ("sample", "load")) == 0
    assert plans["wait"]["held_records"]["deal"] == 2


def line(deal: str, price: float) -> records_pb2.MappedRecord:
    content = canonical_json({"item_price": price, "quantity": 1, "deal_id": {"$ref": deal}})
    return records_pb2.MappedRecord(target_entity="line_item", group=deal, payload_json=content)


def value(deal: str, amount: float) -> records_pb2.MappedRecord:
    return records_pb2.MappedRecord(target_entity="deal_value", payload_json=canonical_json({"deal_id": {"$ref": deal}, "value": amount}))


@pytest.mark.requirement("L-01")
def test_values_are_set_where_the_lines_of_all_pages_make_another_sum() -> None:
    values = DealValues(is_whole_at_once=False)
    values.take("sample", [line("deal:x/1", 10)])
    values.take("load", [line("deal:x/1", 10), line("deal:x/2", 7)])
    values.take("load", [line("deal:x/1", 5)])
    assert values.count_set("sample", [value("deal:x/1", 15)]) == 1
    assert values.count_set("load", [value("deal:x/1", 15), value("deal:x/2", 8), value("deal:x/2", 8)]) == 1
    assert values.count_set("load", [value("deal:x/2", 8)]) == 0
    assert values.count_set("load", [value("deal:x/3", 9)]) == 0  # no line: it keeps what it was created with
    assert DealValues().count_set("load", [value("deal:x/3", 9)]) == 1


def test_the_same_snapshot_gives_the_same_plan(snapshot: Snapshot, plan: dict[str, Any]) -> None:
    told: list[int] = []
    assert plan_load(snapshot, mapping_for(snapshot), TARGET, progress=told.append) == plan
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("line", "total"),
    [
        ({"item_price": 3, "quantity": 1.005}, 3.01),
        ({"item_price": 10, "quantity": 3, "discount": 12.5, "tax": 21}, 31.76),
        ({"item_price": 10, "quantity": 3, "discount": 2, "discount_type": "amount", "tax": 21, "tax_method": "inclusive"}, 28.0),
    ],
)
def test_a_line_is_rounded_after_discount_and_tax(line: dict[str, Any], total: float) -> None:
    assert line_sum(line) == total


def test_deal_values_that_differ_from_the_sum_of_their_lines_are_planned(plan: dict[str, Any]) -> None:
    updates = sum(row["calls"].get("deals.update", 0) for row in plan["rows"] if row["target_entity"] == "deal_value")
    assert updates == plan["deal_values_set"]
    assert len(PHASES) > len({row["phase"] for row in plan["rows"]} - {""}) > 6
