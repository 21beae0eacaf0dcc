"""The workbook of a mapping: it shows every field and decision, and an edited cell does what it says, or nothing with the reason."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.errors import MappingError
from services.transformer.mapping.reading import connector_mapping_text, load_mapping, mapping_of, merge, read_document
from services.transformer.propose import propose
from services.transformer.workbook.describe import describe, sheets_of
from services.transformer.workbook.layer import Layer, with_overrides
from services.transformer.workbook.revise import Change, Revision, revise
from services.transformer.workbook.rule_edits import read_chain, written_chain
from services.transformer.workbook.sheet import Refused, edits_of
from services.transformer.workbook.similar import likenesses, name_likeness
from services.transformer.workbook.survey import Survey
from services.transformer.yaml_text import dump
from tests.unit.transformer import examples
from tests.unit.transformer.support import TARGET, Snapshot

FIELDS: list[dict[str, Any]] = [
    {"field_name": "Document number", "field_type": "varchar", "is_custom_field": True, "options": []},
    {
        "field_name": "Payment state",
        "field_type": "enum",
        "is_custom_field": True,
        "options": [{"id": 1, "label": "Paid"}, {"id": 2, "label": "Unpaid"}],
    },
    {"field_name": "STEL Due Date", "field_type": "date", "is_custom_field": True, "options": []},
    {"field_name": "Title", "field_type": "varchar", "is_custom_field": False, "options": []},
]
ACCOUNT: dict[str, Any] = {**TARGET, "fields": {"deal": FIELDS}}


@pytest.fixture(scope="module")
def view() -> Snapshot:
    return Snapshot(examples.account())


@pytest.fixture(scope="module")
def text(base_text: str, view: Snapshot) -> str:
    return propose(base_text, view, ACCOUNT, "")


@pytest.fixture(scope="module")
def workbook(text: str, view: Snapshot) -> dict[str, Any]:
    return describe(text, view, ACCOUNT)


def rows(workbook: dict[str, Any], sheet: str) -> dict[str, dict[str, Any]]:
    found = next(one for one in workbook["sheets"] if one["name"] == sheet)
    names = [column["name"] for column in found["columns"]]
    return {row["key"]: dict(zip(names, row["cells"], strict=True)) | {"edits": row["edits"]} for row in found["rows"]}


def overrides(revision: Revision) -> dict[str, Any]:
    assert revision.text, (revision.problems, [one for one in revision.outcomes if one.problem])
    found: dict[str, Any] = yaml.safe_load(revision.text).get("overrides") or {}
    return found


@pytest.mark.requirement("L-02", "X-03")
def test_every_source_field_has_a_row_with_where_it_goes_or_why_it_does_not(workbook: dict[str, Any], view: Snapshot, text: str) -> None:
    shown = {
        (row["Entity"], part.split(" -> ")[0].split(".")[0].split(" > ")[0]) for row in rows(workbook, "Fields").values() for part in _parts(row)
    }
    mapping = load_mapping(text)
    read = {(entity, name) for entity, rule in mapping.entities.items() if rule.use == "move" for one in view.iterate(entity) for name in one.data}
    groups = {(entity, name) for entity, rule in mapping.entities.items() for name in rule.property_groups}
    # Fields a link goes by, and fields only notes show, are read without a row of their own.
    missing = {place for place in read - shown - groups if not _is_read_elsewhere(mapping, *place)}
    assert missing == set()


def _parts(row: dict[str, Any]) -> list[str]:
    return str(row["Source field"] or "").split(" | ")


def _is_read_elsewhere(mapping: Any, entity: str, name: str) -> bool:
    from services.transformer.plan import MappingPlan  # noqa: PLC0415 - only this check asks the compiled plan

    return name in MappingPlan(mapping).entities[entity].used.keys


@pytest.mark.requirement("L-02")
def test_rows_have_samples_fill_rates_targets_types_and_decisions(workbook: dict[str, Any]) -> None:
    name = rows(workbook, "Fields")["entities.client.targets[0].fields.name"]
    assert name["Samples"]
    assert name["Filled %"] > 0
    assert (name["Goes to"], name["Decision"]) == ("organization", "move")
    # What Pipedrive requires cannot be left out.
    assert "Decision" not in name["edits"]
    number = rows(workbook, "Fields")["entities.sales_estimate.targets[0].custom.document_date"]
    assert (number["Field in Pipedrive"], number["Type"], number["Transforms"]) == ("STEL Document Date", "date", "calendar_date")


@pytest.mark.requirement("L-02")
def test_proposed_properties_have_score_and_reason(workbook: dict[str, Any]) -> None:
    proposed = [row for row in rows(workbook, "Custom fields").values() if row["Score"] is not None]
    assert proposed
    assert all(0 <= row["Score"] <= 1 and row["Reason"] for row in proposed)


@pytest.mark.requirement("L-02")
def test_fields_of_the_account_that_are_alike_are_offered_with_the_reason(workbook: dict[str, Any]) -> None:
    fields = rows(workbook, "Custom fields")
    assert fields["deal.due_date"]["In Pipedrive"] == "is there, same name and type"
    like = fields["deal.document_number"]["Like it in the account"]
    assert like.startswith("Document number (varchar): 0.9")
    assert "name 0." in like
    assert "use: Document number" in fields["deal.document_number"]["edits"]["Decision"]
    status = fields["deal.payment_status"]["Like it in the account"]
    assert "2 of 3 options are there" in status


def test_every_sheet_has_rows_with_keys_of_their_own(workbook: dict[str, Any]) -> None:
    for sheet in workbook["sheets"]:
        keys = [row["key"] for row in sheet["rows"]]
        assert len(set(keys)) == len(keys) > 0, sheet["name"]
        editable = {column["name"] for column in sheet["columns"] if column["is_editable"]}
        assert {name for row in sheet["rows"] for name in row["edits"]} <= editable


def test_without_changes_nothing_changes(text: str, view: Snapshot) -> None:
    assert revise(text, view, ACCOUNT, []).text == text


@pytest.mark.requirement("L-02")
def test_writing_every_cell_as_it_stands_changes_nothing(workbook: dict[str, Any], text: str, view: Snapshot) -> None:
    changes = [
        Change(sheet["name"], row["key"], column["name"], "" if cell is None else str(cell))
        for sheet in workbook["sheets"]
        for row in sheet["rows"]
        for column, cell in zip(sheet["columns"], row["cells"], strict=True)
        if column["name"] in row["edits"]
    ]
    revision = revise(text, view, ACCOUNT, changes)
    assert [one for one in revision.outcomes if one.problem] == []
    assert revision.text == text


@pytest.mark.requirement("L-02", "L-03", "L-04")
def test_edits_become_overrides(text: str, view: Snapshot) -> None:
    changes = [
        Change("Policies", "deal_value", "Value", "Every "),
        Change("Policies", "recurrence_cap", "Value", "20"),
        Change("Pipelines", "pipeline/quotes", "Name", "Offers"),
        Change("Entities", "asset_image", "Use", "not_moved"),
        Change("Custom fields", "deal.document_number", "Decision", "use: Document number"),
        Change("Custom fields", "organization.fax", "Name", "Fax number"),
    ]
    found = overrides(revise(text, view, ACCOUNT, changes))
    assert found == {
        "policies": {"deal_value": "every", "recurrence_cap": 20},
        "schema": {
            "pipelines": {"quotes": {"name": "Offers"}},
            "fields": {"deal": {"document_number": {"name": "Document number"}}, "organization": {"fax": {"name": "Fax number"}}},
        },
        "entities": {"asset_image": {"use": "not_moved"}},
    }


@pytest.mark.requirement("L-02", "X-03")
def test_a_field_can_be_left_and_taken_back(text: str, view: Snapshot) -> None:
    cell = ("Fields", "entities.client.targets[0].fields.website", "Decision")
    left = revise(text, view, ACCOUNT, [Change(*cell, "leave")])
    rule = load_mapping(left.text).entities["client"].targets[0].fields["website"]
    assert (rule.from_, rule.value) == (None, None)
    assert rows(describe(left.text, view, ACCOUNT), "Fields")[cell[1]]["Decision"] == "leave"
    back = revise(left.text, view, ACCOUNT, [Change(*cell, "move")])
    assert load_mapping(back.text).digest == load_mapping(text).digest


@pytest.mark.requirement("L-02")
def test_paths_transforms_and_defaults_of_simple_rules_can_be_edited(text: str, view: Snapshot) -> None:
    key = "entities.client.targets[0].fields.website"
    changes = [
        Change("Fields", key, "Take from", "website; url"),
        Change("Fields", key, "Transforms", "strip, {truncate: {length: 80}}"),
        Change("Fields", key, "If empty", "none"),
    ]
    rule = load_mapping(revise(text, view, ACCOUNT, changes).text).entities["client"].targets[0].fields["website"]
    assert (rule.from_, rule.transforms, rule.default) == (["website", "url"], ["strip", {"truncate": {"length": 80}}], "none")


@pytest.mark.requirement("X-03")
def test_a_field_that_goes_nowhere_can_become_a_custom_field(text: str, view: Snapshot, workbook: dict[str, Any]) -> None:
    key = next(key for key, row in rows(workbook, "Fields").items() if row["Entity"] == "client" and "new field" in row["edits"].get("Decision", []))
    changes = [
        Change("Fields", key, "New field: name", "Kept after all"),
        Change("Fields", key, "New field: type", "text"),
        Change("Fields", key, "Decision", "new field"),
    ]
    after = load_mapping(revise(text, view, ACCOUNT, changes).text)
    name = key.rpartition(".other.")[2]
    (added,) = [field_id for field_id, one in after.entities["client"].properties.items() if one.keys == name.split(" > ")]
    assert (after.schema_.fields["organization"][added].name, after.schema_.fields["organization"][added].type) == ("Kept after all", "text")
    assert name not in after.entities["client"].not_moved


@pytest.mark.requirement("X-03")
def test_a_custom_field_that_is_left_is_filled_by_nothing(text: str, view: Snapshot) -> None:
    after = load_mapping(revise(text, view, ACCOUNT, [Change("Custom fields", "deal.discount", "Decision", "leave")]).text)
    assert "discount" not in after.schema_.fields["deal"]
    assert "discount" not in after.fragments["document"].custom
    assert "discount" in after.schema_.fields["organization"]


@pytest.mark.requirement("L-02")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change("Policies", "deal_value", "Value", "sometimes"), "not allowed"),
        (Change("Policies", "recurrence_cap", "Value", "many"), "whole number"),
        (Change("Policies", "recurrence_cap", "Value", "0"), "greater than or equal"),
        (Change("Pipelines", "pipeline/quotes", "Name", " "), "empty name"),
        (Change("Owners", "3", "E-mail", "nobody@example.com"), "no active Pipedrive user"),
        (Change("Custom fields", "deal.status", "Type", "colour"), "not allowed"),
        (Change("Custom fields", "deal.status", "Type", "enum"), "without options"),
        (Change("Custom fields", "deal.status", "Options", "a\nb"), "has no options"),
        (Change("Custom fields", "deal.payment_status", "Options", "Paid\npaid"), "stands twice"),
        (Change("Custom fields", "deal.status", "Name", "x" * 300), "255"),
        (Change("Fields", "entities.client.targets[0].fields.website", "Take from", "owner -> name"), "not a link"),
        (Change("Fields", "entities.client.targets[0].fields.website", "Transforms", "shout"), "no transform 'shout'"),
        (Change("Fields", "entities.client.targets[0].fields.website", "Transforms", "{"), "cannot be read"),
        (Change("Fields", "entities.client.targets[0].fields.website", "Samples", "x"), "reading only"),
        (Change("Fields", "entities.client.targets[9].fields.website", "Decision", "leave"), "no such row"),
        (Change("Fees", "x", "y", "z"), "no sheet"),
    ],
)
def test_an_edit_that_cannot_be_made_says_why_and_nothing_is_made(text: str, view: Snapshot, change: Change, words: str) -> None:
    fine = Change("Policies", "deal_value", "Value", "every") if change.row != "deal_value" else Change("Policies", "archived", "Value", "load")
    revision = revise(text, view, ACCOUNT, [fine, change])
    assert revision.text == ""
    assert words in (revision.outcomes[1].problem + "".join(revision.problems)), revision.problems
    assert revision.outcomes[0].problem == ""


def test_an_answered_question_is_asked_no_more(text: str, view: Snapshot) -> None:
    asked = [one for one in rows(describe(text, view, ACCOUNT), "Questions").values() if str(one["Place in the mapping"]).startswith("value_maps.")]
    map_name, _, value = str(asked[0]["Place in the mapping"]).removeprefix("value_maps.").partition(".")
    answered = revise(text, view, ACCOUNT, [Change("Value maps", f"{map_name}/{value}", "Status", "lost")])
    places = [one["Place in the mapping"] for one in rows(describe(answered.text, view, ACCOUNT), "Questions").values()]
    assert asked[0]["Place in the mapping"] not in places


# ------------------------------------------------------------------ overrides in a text

NAMES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=st.dictionaries(NAMES, VALUES, max_size=3), after=st.dictionaries(NAMES, VALUES, max_size=3), is_last=st.booleans())
def test_overrides_are_replaced_and_nothing_else(before: dict[str, Any], after: dict[str, Any], is_last: bool) -> None:
    own = yaml.dump({"overrides": before}, allow_unicode=True) if before else ""
    rest = "# kept\nsource: toy   # kept too\nentities: {}\n"
    text = rest + own if is_last else own + rest
    written = with_overrides(text, after)
    document = yaml.safe_load(written)
    assert (document.get("overrides") or {}) == after
    assert document["source"] == "toy"
    assert written.count("# kept") == 2
    assert with_overrides(written, after) == written


@given(path=st.lists(st.sampled_from("abc"), min_size=1, max_size=3), value=VALUES)
def test_a_value_that_was_set_is_read_and_set_back_leaves_no_trace(path: list[str], value: Any) -> None:
    layer = Layer("a: {b: {c: 1}, c: text}\nb: 2\n")
    before = layer.get(*path)
    layer.set(path, value)
    got = layer.get(*path)
    if not isinstance(value, dict):
        assert got == value
    layer.set(path, before)
    assert layer.get(*path) == before


@given(st.lists(st.sampled_from(["strip", "upper", {"truncate": {"length": 5}}]), max_size=4))
def test_chains_of_transforms_come_back_as_they_were(steps: list[Any]) -> None:
    assert read_chain(written_chain(steps)) == steps


def test_a_chain_that_is_no_list_is_refused() -> None:
    with pytest.raises(Refused):
        read_chain("]")


# ------------------------------------------------------------------ likeness


def test_likeness_knows_names_types_and_values() -> None:
    assert name_likeness("Número de serie", "numero-de_serie") == 1
    assert name_likeness("Fax", "Phone") < 0.5
    assert name_likeness("", "x") == 0
    (best,) = likenesses("STEL Payment Status", "enum", ["Paid", "Unpaid", "Partly paid"], FIELDS)
    assert (best.name, best.fits) == ("Payment state", True)
    assert [one.fits for one in likenesses("Document number", "date", [], FIELDS)] == [True]
    assert likenesses("Due date", "varchar", [], FIELDS)[0].fits is False


@given(st.text(max_size=30), st.text(max_size=30))
def test_likeness_is_a_share_and_never_fails(left: str, right: str) -> None:
    assert 0 <= name_likeness(left, right) <= 1


@pytest.mark.requirement("X-08")
@given(
    st.recursive(
        st.text(max_size=30) | st.sampled_from(["\x85", "a\u2028b", "\ufeff", "x: y", "- ", "null", "'", "a\r\nb", " "]), st.lists, max_leaves=5
    )
)
def test_yaml_keeps_every_text_as_it_is(value: Any) -> None:
    assert read_document(dump({"text": value}))["text"] == value
    assert yaml.safe_load(dump({"text": value}))["text"] == value


@pytest.mark.requirement("L-02")
def test_records_that_move_with_others_and_those_that_are_looked_up_have_their_fields_shown(workbook: dict[str, Any]) -> None:
    shown = rows(workbook, "Fields")["entities.document_state.read.name"]
    assert (shown["Reason"], shown["edits"]) == ("looked up, not moved", {})
    assert shown["Samples"]


@pytest.mark.requirement("L-02")
def test_matching_is_decided_on_the_policies_sheet(text: str, view: Snapshot) -> None:
    found = overrides(revise(text, view, ACCOUNT, [Change("Policies", "matching/organization.policy", "Value", "match_and_fill")]))
    assert found == {"matching": {"organization": {"policy": "match_and_fill"}}}


@pytest.mark.requirement("L-02")
@pytest.mark.parametrize("source", ["stel_order", "octopuspro", "novo_work_order", "results", "servicetracker"])
def test_an_edit_of_any_mapping_is_taken_or_refused_with_a_reason(source: str) -> None:
    text, view = connector_mapping_text(source), Snapshot({})
    mapping = load_mapping(text)
    edits = list(edits_of(sheets_of(mapping, Survey(mapping, view), view, {})).values())
    document, reasons, taken = Layer(text), [], 0
    for edit in random.Random(source).sample(edits, 25):
        for value in (*edit.allowed[:2], "x", ""):
            document.overrides = {}
            try:
                edit.apply(document, value)
                mapping_of(merge(document.base, document.overrides))
                taken += 1
            except (Refused, MappingError) as refused:
                reasons.append(refused.message)
    assert taken
    assert reasons
    assert all(reasons)
