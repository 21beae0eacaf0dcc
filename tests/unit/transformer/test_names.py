"""Fields under the mapping's own names, and how they are proposed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.loader.codec import resolve
from services.transformer.compile import dispositions
from services.transformer.mapping.name_rules import Meaning, NameProposal
from services.transformer.mapping.reading import load_mapping
from services.transformer.names import NamedView, Names, propose_names
from services.transformer.plan import MappingPlan
from services.transformer.snapshot.link_fields import link_values
from tests.unit.transformer.support import Snapshot
from transload.v1.records_pb2 import Phase

MAPPING = """
source: toy
names:
  order: {number: Order_No__c, client_id: {field: acme__Client__c, score: 0.9, reason: its label is 'Client'}}
links:
  client: {id: client_id, entity: client}
  orders: {many: order, by: client_id}
entities:
  client: {targets: [{target: organization, fields: {name: name}}]}
  order: {targets: [{target: deal, fields: {title: {join: [number, client -> name]}, org_id: {ref: {to: organization, of: client}}}}]}
"""
RECORDS: dict[str, list[dict[str, Any]]] = {
    "client": [{"id": 1, "name": "Acme"}],
    "order": [{"id": 7, "Order_No__c": "O-7", "acme__Client__c": "1", "Other__c": "kept"}],
}


def view_of(text: str = MAPPING) -> NamedView:
    return NamedView(Snapshot(RECORDS), Names(load_mapping(text)))  # type: ignore[arg-type]


@pytest.mark.requirement("D-07")
def test_records_stand_under_the_mappings_names_and_nothing_is_hidden() -> None:
    one = view_of().get("order", "7")
    assert one is not None
    assert dict(one.data) == {"id": 7, "number": "O-7", "client_id": "1", "Other__c": "kept"}
    assert [child.id for child in view_of().children(["order"], "client_id", "1")] == ["7"]
    assert [found.id for found in view_of().find("order", "number", "o-7")] == ["7"]
    client = view_of().get("client", "1")
    assert client is not None
    assert dict(client.data) == {"id": 1, "name": "Acme"}


def test_a_mapping_without_names_leaves_records_alone() -> None:
    assert not Names(load_mapping("source: toy\nentities: {}"))
    names = Names(load_mapping(MAPPING))
    assert names
    assert names.field("order", "client_id.part") == "acme__Client__c.part"
    assert names.field("client", "client_id") == "client_id"


def test_names_are_part_of_what_is_confirmed() -> None:
    assert load_mapping(MAPPING).digest != load_mapping(MAPPING.replace("Order_No__c", "Other__c")).digest


def test_references_are_named_by_the_page_where_their_names_do_not_tell() -> None:
    data = {"acme__Client__c": "1", "OwnerId": "5", "Note__c": "2"}
    assert list(link_values(data)) == [("OwnerId", "5")]
    assert list(link_values(data, ["acme__Client__c"])) == [("OwnerId", "5"), ("acme__Client__c", "1")]


def describe(name: str, label: str, kind: str = "string", leads_to: tuple[str, ...] = (), meaning: str = "") -> dict[str, Any]:
    return {"id": name, "of": "order", "name": name, "label": label, "type": kind, "leads_to": list(leads_to), "meaning": meaning}


def proposed(*fields: dict[str, Any], **meanings: Meaning) -> dict[str, tuple[str, float]]:
    rule = NameProposal(
        entity="field", of="of", name="name", label="label", type="type", leads_to="leads_to", meaning="meaning", meanings={"order": meanings}
    )
    found = propose_names(rule, Snapshot({"field": fields})).get("order", {})
    return {name: (one["field"], one["score"]) for name, one in found.items()}


@pytest.mark.requirement("D-07", "G-07")
def test_a_field_is_known_by_its_name_its_label_or_what_it_leads_to() -> None:
    assert proposed(describe("AccountNumber", "Konto"), number=Meaning(fields=["AccountNumber"])) == {"number": ("AccountNumber", 0.95)}
    assert proposed(describe("x__a__c", "Start  Date"), start=Meaning(labels=["start date"])) == {"start": ("x__a__c", 0.9)}
    assert proposed(describe("x__Start_Date__c", "Beginn"), start=Meaning(labels=["start date"])) == {"start": ("x__Start_Date__c", 0.85)}
    assert proposed(describe("x__a__c", "Planned start date (UTC)"), start=Meaning(labels=["start date"])) == {"start": ("x__a__c", 0.6)}
    assert proposed(describe("x__a__c", "Kunde", "reference", ("client",)), client=Meaning(leads_to=["client"])) == {"client": ("x__a__c", 0.7)}


def test_two_candidates_for_a_link_alone_say_nothing() -> None:
    fields = (describe("a__c", "Kunde", "reference", ("client",)), describe("b__c", "Zahler", "reference", ("client",)))
    assert proposed(*fields, client=Meaning(leads_to=["client"])) == {}


def test_types_and_links_rule_fields_out() -> None:
    assert proposed(describe("a__c", "Start date", "boolean"), start=Meaning(labels=["start date"], types=["date"])) == {}
    assert proposed(describe("a__c", "Client", "string"), client=Meaning(labels=["client"], leads_to=["client"])) == {}


def test_a_field_has_one_meaning_and_a_person_is_believed() -> None:
    found = proposed(
        describe("a__c", "Date"), describe("b__c", "Other", meaning="start"), start=Meaning(labels=["date"]), end=Meaning(labels=["date"])
    )
    assert found == {"start": ("b__c", 1.0), "end": ("a__c", 0.9)}


@pytest.mark.requirement("L-11")
def test_a_delta_looks_at_an_entity_in_every_phase_that_looks_it_up() -> None:
    found = {one.entity: (list(one.phases), list(one.lookup_phases)) for one in dispositions(load_mapping(MAPPING))}
    assert Phase.PHASE_DEALS in found["client"][1]
    assert Phase.PHASE_DEALS not in found["client"][0]
    assert found["order"][1] == []


def test_a_text_with_references_becomes_a_text() -> None:
    missing: list[str] = []
    content = {"$text": ['<img src="https://x/files/', {"$ref": "file:a/1"}, '/download">', {"$ref": "file:a/2"}, "."]}
    found = resolve({"content": content}, {"file:a/1": "17"}, {"file:a/2"}, missing)
    assert found == {"content": '<img src="https://x/files/17/download">.'}
    assert missing == []
    resolve({"content": content}, {}, set(), missing)
    assert missing == ["file:a/1", "file:a/2"]


def test_a_note_after_its_files_is_made_in_the_last_phase() -> None:
    text = MAPPING.replace(
        "  client: {targets: [",
        "  client: {targets: [{target: note, after_files: true, fields: {content: name, org_id: {ref: {to: organization}}}}, ",
    )
    assert MappingPlan(load_mapping(text)).entities["client"].phases[-1] == Phase.PHASE_LATE_LINKS
    assert orjson.dumps(load_mapping(text).entities["client"].targets[0].after_files) == b"true"
