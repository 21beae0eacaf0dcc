"""The sections of a mapping that say what is reported: read, checked, no part of the digest, and doing what they say."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest
import yaml

from services.transformer.exports import write_exports
from services.transformer.lint import lint
from services.transformer.mapping.document import Mapping
from services.transformer.mapping.reading import connector_mapping_text, load_mapping, mapping_of
from services.transformer.mapping.sections import SECTIONS
from services.transformer.profile.report import profile_source
from services.transformer.quality import QualityCheck
from tests.unit.transformer.support import Snapshot
from transload.v1 import transformer_service_pb2 as pb

Records: TypeAlias = dict[str, list[dict[str, Any]]]

LINKS: dict[str, Any] = {
    "customer": {"id": "customer_id", "entity": "customer"},
    "assets": {"id": "asset_ids", "entity": "asset"},
    "jobs": {"many": "job", "by": "customer_id"},
}
ENTITIES: dict[str, Any] = {name: {"use": "not_moved"} for name in ("customer", "job", "asset", "automation", "form")}


def mapping(**sections: Any) -> Mapping:
    return mapping_of({"source": "toy", "links": LINKS, "entities": ENTITIES, **sections})


def problems(**sections: Any) -> dict[str, str]:
    return {one.path: one.message for one in lint(mapping(**sections)) if one.severity == pb.FINDING_SEVERITY_ERROR}


def checks(records: Records, **quality: Any) -> dict[tuple[str, str], list[str]]:
    snapshot = Snapshot(records)
    with QualityCheck(mapping(quality=quality), snapshot) as check:
        for entity in snapshot.entities():
            for envelope in snapshot.iterate(entity):
                check.take(envelope)
        return {(row["check"], row["field"]): row["samples"] for row in check.findings()}


def table(records: Records, **sheet: Any) -> list[str]:
    written = b"".join(part for name, part in write_exports(Snapshot(records), mapping(exports={"sheets": {"list": sheet}})) if name == "list.csv")
    return written.decode("utf-8-sig").splitlines()


def test_sections_change_no_digest() -> None:
    document = yaml.safe_load(connector_mapping_text("stel_order"))
    bare = {name: value for name, value in document.items() if name not in SECTIONS}
    assert len(bare) == len(document) - len(SECTIONS)
    assert mapping_of(bare).digest == load_mapping(connector_mapping_text("stel_order")).digest


def test_sections_that_are_right_have_no_problem() -> None:
    assert (
        problems(
            quality={"created": "added", "entities": {"job": {"unique": ["number"], "relations": {"customer": "job without customer"}}}},
            exports={"sheets": {"jobs": {"entities": ["job"], "columns": {"Number": "number", "Customer": "customer -> name"}}}},
            call_plan={"page_size": 100, "default": "small", "plans": {"small": {"calls_per_day": 500}}},
        )
        == {}
    )


@pytest.mark.parametrize(
    ("sections", "path", "words"),
    [
        ({"quality": {"entities": {"jobs": {}}}}, "quality.entities", "no entity `jobs`"),
        ({"quality": {"entities": {"job": {"unique": ["client -> name"]}}}}, "quality.entities.job.unique", "not a link"),
        ({"quality": {"entities": {"job": {"relations": {"client": "x"}}}}}, "quality.entities.job.relations.client", "no link `client`"),
        ({"quality": {"entities": {"job": {"relations": {"jobs": "x"}}}}}, "quality.entities.job.relations.jobs", "point back here"),
        ({"quality": {"currency": {"field": "currency", "same_as": "before"}}}, "quality.currency.same_as", "no link `before`"),
        ({"exports": {"sheets": {"x": {"entities": ["work"], "columns": {}}}}}, "exports.sheets.x.entities", "no entity `work`"),
        ({"exports": {"sheets": {"../x": {"entities": ["job"], "columns": {}}}}}, "exports.sheets.../x", "choose another name"),
        ({"exports": {"sheets": {"fields": {"entities": ["job"], "columns": {}}}}}, "exports.sheets.fields", "choose another name"),
        ({"exports": {"sheets": {"x": {"entities": ["job"], "columns": {"A": "b -> c"}}}}}, "exports.sheets.x.columns.A", "not a link"),
        (
            {"exports": {"sheets": {"x": {"entities": ["job"], "columns": {"A": {"owner": "customer"}}}}}},
            "exports.sheets.x.columns.A",
            "a column holds",
        ),
        ({"exports": {"sheets": {"x": {"entities": ["job"], "columns": {}, "when": "is_open"}}}}, "exports.sheets.x.when", "no condition"),
        (
            {"exports": {"sheets": {"x": {"entities": ["job"], "columns": {"A": "a"}, "advice": [{"where": {"B": "b"}, "say": "c"}]}}}},
            "exports.sheets.x.advice[0].where.B",
            "no column 'B'",
        ),
        ({"exports": {"rebuild": [{"title": "T", "entity": "x", "columns": {}, "advice": ""}]}}, "exports.rebuild[0].entity", "no entity `x`"),
        ({"exports": {"series": {"entity": "job", "same": {}, "date": "a -> b"}}}, "exports.series.date", "not a link"),
        ({"call_plan": {"page_size": 1, "default": "big", "plans": {"small": {}}}}, "call_plan.default", "no plan `big`"),
    ],
)
def test_names_that_are_not_there_are_refused(sections: dict[str, Any], path: str, words: str) -> None:
    found = problems(**sections)
    assert words in found.get(path, ""), found


@pytest.mark.requirement("L-01")
def test_a_list_of_ids_must_lead_to_records() -> None:
    records: Records = {
        "asset": [{"id": "1"}],
        "job": [{"id": "7", "asset_ids": ["1"]}, {"id": "8", "asset_ids": ["1", "2"]}, {"id": "9", "asset_ids": []}],
    }
    rules = {"job": {"relations": {"assets": {"words": "job of an unknown asset", "may_be_empty": True}}}}
    assert checks(records, entities=rules) == {("job of an unknown asset", "asset_ids"): ["job/8"]}


@pytest.mark.requirement("L-01")
def test_two_systems_that_disagree_are_named() -> None:
    rules = {"job": {"agree": [{"fields": ["value", "quickbooks_value"], "words": "differs from QuickBooks", "advice": "ask the accountant"}]}}
    records: Records = {
        "job": [{"id": "1", "value": 12, "quickbooks_value": 12.0}, {"id": "2", "value": 12, "quickbooks_value": 13}, {"id": "3", "value": 5}]
    }
    assert checks(records, entities=rules) == {("differs from QuickBooks", "value, quickbooks_value"): ["job/2"]}


@pytest.mark.requirement("L-01")
def test_totals_numbers_and_dates_are_checked_where_the_section_says_so() -> None:
    rules = {
        "job": {"totals": [{"total": "cost", "of": ["labor", "parts.price"], "less": ["discount"]}], "numbers": ["cost"], "dates": ["added_time"]}
    }
    records: Records = {
        "job": [
            {"id": "1", "cost": 30, "labor": 10, "parts": [{"price": 15}, {"price": 10}], "discount": 5, "added_time": "2026-01-02"},
            {"id": "2", "cost": 30, "labor": 10, "added_time": "2026-01-03"},
            {"id": "3", "cost": "about 30", "labor": 10, "added_time": "soon"},
            {"id": "4", "cost": 30},
        ]
    }
    assert checks(records, entities=rules) == {
        ("not the sum of labor + parts.price", "cost"): ["job/2"],
        ("not a number", "cost"): ["job/3"],
        ("broken date", "added_time"): ["job/3"],
    }


@pytest.mark.requirement("L-12")
def test_a_sheet_has_rows_for_elements_conditions_and_advice() -> None:
    records: Records = {
        "automation": [
            {"id": "1", "trigger": "Booking Created", "steps": [{"do": "e-mail"}, {"do": "wait"}]},
            {"id": "2", "trigger": "nothing known", "steps": {"do": "call"}},
            {"id": "3", "trigger": "switched off", "is_off": True, "steps": [{"do": "x"}]},
        ]
    }
    rows = table(
        records,
        entities=["automation"],
        for_each="steps",
        **{"as": "step"},
        when={"of": "is_off", "is": "empty"},
        columns={"Trigger": {"from": "trigger", "transforms": ["upper"]}, "Does": "step.do"},
        advice=[{"where": {"Trigger": ["booking created", "new booking"]}, "say": "Trigger: deal added"}, {"say": "Decide with the team"}],
    )
    assert rows == [
        "Record,Trigger,Does,In Pipedrive,Deleted",
        "automation/1,BOOKING CREATED,e-mail,Trigger: deal added,No",
        "automation/1,BOOKING CREATED,wait,Trigger: deal added,No",
        "automation/2,NOTHING KNOWN,call,Decide with the team,No",
    ]


def test_a_value_that_cannot_be_read_is_shown_as_it_is() -> None:
    rows = table({"form": [{"id": "1", "added": "soon"}]}, entities=["form"], columns={"Added": {"from": "added", "transforms": ["calendar_date"]}})
    assert rows[1] == "form/1,soon,No"


@pytest.mark.requirement("L-01")
def test_the_call_plan_says_how_long_reading_takes() -> None:
    snapshot = Snapshot({"job": [{"id": str(number)} for number in range(25)]})
    plan = {"page_size": 10, "default": "small", "plans": {"small": {"calls_per_day": 2}, "big": {"calls_per_minute": 60}}}
    small = profile_source(snapshot, mapping(call_plan=plan))["source_budget"]
    assert (small["plan"], small["calls_to_read_lists"], small["days_to_read_all"], small["calls_per_minute"]) == ("small", 3, 2, None)
    assert profile_source(snapshot, mapping(call_plan=plan), options={"plan": "big"})["source_budget"]["days_to_read_all"] == 1
    assert profile_source(snapshot, mapping())["source_budget"] == {}
