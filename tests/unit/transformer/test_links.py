"""Links by names that are written otherwise, and by what people decide."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.common.errors import MappingError
from services.transformer.mapping.reading import load_mapping
from services.transformer.plan import MappingPlan
from services.transformer.propose import propose
from services.transformer.transforms.numbers import rounded
from tests.unit.transformer.support import Result, Snapshot, map_all, plan_of

MAPPING = """
version: 1
source: acme
links:
  product: {id: item, entity: product, by: ["@id", sku, name], loosely: true, decided: items}
  company: {id: company_id, entity: company}
  decided_company: {decided: companies, entity: company}
  books: {id: books_id, entity: books}
conditions:
  newer_there: {of: books -> changed, later_than: changed}
policies: {default_currency: USD}
value_maps:
  items: %(items)s
  companies: %(companies)s
schema:
  fields:
    deal: {product: {name: Product, type: varchar}, company: {name: Company, type: varchar}, newest: {name: Newest, type: varchar}}
entities:
  product: {use: reference_data}
  company: {use: reference_data}
  books: {use: reference_data}
  deal:
    targets:
      - target: deal
        fields: {title: title, currency: {policy: default_currency}}
        custom:
          product: product -> name
          company: [decided_company -> name, company -> name]
          newest: {cases: [{when: newer_there, from: books -> name}, title]}
"""
PRODUCTS = [
    {"id": 101, "sku": "HVAC-100", "name": "GTX Pro Thermostat"},
    {"id": 102, "sku": "HVAC-200", "name": "Rooftop Unit"},
    {"id": 103, "sku": "HVAC-201", "name": "Rooftop-Unit"},
]


def mapped(deal: dict[str, Any], *, items: str = "{}", companies: str = "{}", **more: list[dict[str, Any]]) -> dict[str, Any]:
    records = {"deal": [{"id": 7, "title": "Refit", **deal}], "product": PRODUCTS, "company": [{"id": 1, "name": "Baker"}, {"id": 2, "name": "Noir"}]}
    snapshot = Snapshot({**records, **more})
    result: Result = map_all(plan_of(MAPPING % {"items": items, "companies": companies}), snapshot, snapshot.one("deal", 7))
    (record,) = [one for key, one in result.records.items() if key.startswith("deal:")]
    return {**orjson.loads(record.payload_json), "custom": result.payloads[record.key]["custom"]}


@pytest.mark.requirement("RS-10", "X-01")
@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("101", "GTX Pro Thermostat"),
        ("hvac-100", "GTX Pro Thermostat"),
        ("GTX pro  thermostat", "GTX Pro Thermostat"),
        ("GTXPro-Thermostat", "GTX Pro Thermostat"),
        ("Rooftop Unit", "Rooftop Unit"),
        ("rooftop_unit", None),  # two are alike then, and none is meant
        ("Thermostat GTX", None),
        ("--", None),
        (None, None),
    ],
)
def test_a_name_is_found_as_written_then_by_letters_and_digits(written: str | None, name: str | None) -> None:
    assert mapped({"item": written})["custom"].get("Product") == name


@pytest.mark.requirement("RS-10", "L-16")
def test_a_person_says_what_is_meant() -> None:
    assert mapped({"item": "Thermostat GTX "}, items='{"thermostat gtx": 101}')["custom"]["Product"] == "GTX Pro Thermostat"
    assert mapped({"item": "102"}, items='{deal/7: "101"}')["custom"]["Product"] == "GTX Pro Thermostat"
    assert mapped({"item": "102"}, items='{"*": "101"}')["custom"]["Product"] == "Rooftop Unit"
    assert mapped({"item": "nothing"}, items='{"*": "101"}')["custom"]["Product"] == "GTX Pro Thermostat"


@pytest.mark.requirement("RS-09", "L-16")
def test_a_decision_for_one_record_goes_before_what_it_says() -> None:
    assert mapped({"company_id": 1})["custom"]["Company"] == "Baker"
    assert mapped({"company_id": 1}, companies='{deal/7: "2"}')["custom"]["Company"] == "Noir"
    assert mapped({"company_id": 1}, companies='{deal/8: "2"}')["custom"]["Company"] == "Baker"
    assert mapped({}, companies='{"*": 2}')["custom"]["Company"] == "Noir"
    assert "Company" not in mapped({}, companies="{deal/7: null}")["custom"]


def test_a_decision_needs_its_value_map() -> None:
    with pytest.raises(MappingError, match=r"links\.product: `decided` needs"):
        MappingPlan(load_mapping((MAPPING % {"items": "{}", "companies": "{}"}).replace("  items: {}\n", "")))


@pytest.mark.requirement("G-10")
@pytest.mark.parametrize(
    ("here", "there", "name"),
    [
        ("2026-01-01T10:00:00Z", "2026-01-02T09:00:00Z", "Books"),
        ("2026-01-03T10:00:00Z", "2026-01-02T09:00:00Z", "Refit"),
        ("2026-01-02T05:00:00-05:00", "2026-01-02T09:00:00Z", "Refit"),
        (None, "2026-01-02T09:00:00Z", "Refit"),
        ("soon", "2026-01-02T09:00:00Z", "Refit"),
    ],
)
def test_the_system_that_was_changed_last_counts(here: str | None, there: str, name: str) -> None:
    payload = mapped({"changed": here, "books_id": 5}, books=[{"id": 5, "name": "Books", "changed": there}])
    assert payload["custom"]["Newest"] == name


@pytest.mark.requirement("X-05")
def test_a_value_may_be_what_a_policy_says() -> None:
    assert mapped({})["currency"] == "USD"


@pytest.mark.requirement("X-05")
def test_policies_are_taken_from_what_the_export_says_of_itself() -> None:
    text = MAPPING % {"items": "{}", "companies": "{}"} + "propose: {policies: {time_zone: {entity: books, id: '5', field: zone}}}\n"
    zone = load_mapping(propose(text, Snapshot({"books": [{"id": 5, "zone": "America/Denver"}]}), {}, "")).policies.time_zone
    assert zone == "America/Denver"
    assert load_mapping(propose(text, Snapshot({}), {}, "")).policies.time_zone == "UTC"


def test_numbers_are_rounded_to_digits() -> None:
    assert [rounded(62.5), rounded("37.4"), rounded(1.256, digits=2)] == [62, 37, 1.26]
