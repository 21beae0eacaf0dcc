"""The migration scope: what stands against going on, who decides, and a page that is safe with hostile values."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import Any

import pytest

from transload.cli.scope import print_scope, render_html, size
from transload.scope import MUST, SHOULD, build_scope, digest_of

HOSTILE = '<script>alert("x")</script> العربية {{ 7 * 7 }}'
MIGRATION: dict[str, Any] = {
    "migration_id": "acme",
    "name": HOSTILE,
    "source_connection": "s",
    "target_connection": "t",
    "state": "audited",
    "mapping_version": 1,
    "mapping_digest": "m" * 64,
    "is_confirmed": False,
}


def entity(name: str, use: str = "move", records: int = 3, **more: Any) -> dict[str, Any]:
    row = {
        "entity": name,
        "label": name.title(),
        "use": use,
        "records": records,
        "archived": 0,
        "deleted": 0,
        "moves": records if use == "move" else 0,
    }
    return row | {"becomes": "deal", "left_out": [{"field": "id", "reason": "part of every key"}], **more}


def workbook(*questions: tuple[str, str, str], **policies: str) -> dict[str, Any]:
    columns = [{"name": name} for name in ("Weight", "Where to decide", "What", "Place in the mapping", "Requirement")]
    rows = [{"key": str(number), "cells": [weight, sheet, what, "place", ""], "edits": {}} for number, (weight, sheet, what) in enumerate(questions)]
    owners = [{"name": name} for name in ("Name", "E-mail", "In Pipedrive")]
    return {
        "source": "toy",
        "title": "Toy to Pipedrive",
        "sheets": [
            {"name": "Questions", "columns": columns, "rows": rows},
            {"name": "Owners", "columns": owners, "rows": [{"key": "7", "cells": ["Ana", "", "unmatched"], "edits": {}}]},
        ],
        "scope": {
            "entities": [entity("job"), entity("note", "not_moved", 2), entity("state", "reference_data", 5), entity("lead", "not_moved", 0)],
            "policies": {"unmatched_owner": "wait", "oversize_files": "flag", **policies},
            "pipelines": [{"name": "Jobs", "stages": ["Open", "Done"]}],
            "activity_types": [],
            "custom_fields": [
                {"entity": "deal", "name": "Number", "type": "varchar", "options": 0, "is_there": False},
                {"entity": "deal", "name": "Old", "type": "varchar", "options": 0, "is_there": True},
            ],
            "exports": [{"file": "jobs.csv", "title": "Jobs", "about": ""}],
            "notes": ["devices send late"],
        },
    }


def audit(**more: Any) -> dict[str, Any]:
    return {
        "summary": {"files": 2, "file_bytes": 4000},
        "data_quality": [
            {"entity": "job", "check": "duplicate", "field": "number", "records": 2, "samples": ["job/1", "job/2"], "advice": f"merge them {HOSTILE}"}
        ],
        "owners": [{"owner": "employee/7", "state": "unmatched", "pipedrive_user": "", "is_active": True, "has_email": False, "records": 4}],
        "files": {"note": {"files": 2, "bytes": 4000, "largest": 3000, "too_large": 1, "unavailable": 0}},
        "oversize_files": [{"file": "note/9", "belongs_to": "job/1", "bytes": 30_000_000}],
        "remarks": ["a remark"],
        **more,
    }


def plan(*, fits: bool) -> dict[str, Any]:
    return {
        "head_room": {"custom_fields": {"used": 90, "needed": 20, "cap": 100 if not fits else 500, "fits": fits, "left_after": 0}},
        "rows": [
            {"step": "sample", "phase": "deals", "target_entity": "deal", "records": 1, "tokens": 5},
            {"step": "load", "phase": "deals", "target_entity": "deal", "records": 2, "tokens": 10},
            {"step": "reconcile", "phase": "deals", "target_entity": "deal", "records": 3, "tokens": 1},
        ],
        "held_records": {"deal": 1},
        "days": {"days": {"low": 1, "likely": 1, "high": 2}},
        "tokens_left": 15,
        "assumed": ["nobody edits"],
    }


@pytest.mark.requirement("L-01")
def test_what_stands_against_going_on_is_said_first() -> None:
    questions = ((MUST, "Value maps", "say what Closed means"), (SHOULD, "", "needs_review: look"), ("to know", "Fields", "nothing"))
    problems = [{"entity": "incident", "message": "broken JSON"}]
    scope = build_scope(MIGRATION, audit(extraction_problems=problems), plan(fits=False), workbook(*questions))
    assert scope["blockers"] == [
        "incident could not be read: broken JSON",
        "1 question must be decided before the mapping can be confirmed",
        "custom fields: 20 are needed, and the plan of the Pipedrive account has room for 10",
        "1 person has records but no Pipedrive user: their records wait until that is decided",
    ]
    assert [(one["weight"], one["who"], one["what"]) for one in scope["questions"]] == [
        (MUST, "you", "say what Closed means"),
        (SHOULD, "the migration team", "look"),
    ]


@pytest.mark.requirement("L-01")
def test_a_fallback_owner_keeps_nothing_from_going_on() -> None:
    assert build_scope(MIGRATION, audit(), plan(fits=True), workbook(unmatched_owner="fallback"))["blockers"] == []


@pytest.mark.requirement("L-01", "X-04")
def test_every_kind_of_record_stands_once_with_what_becomes_of_it() -> None:
    scope = build_scope(MIGRATION, audit(), plan(fits=True), workbook())
    assert [[row["entity"] for row in scope[name]] for name in ("moves", "stays", "looked_up")] == [["job"], ["note"], ["state"]]
    assert scope["left_out_fields"] == [{"kind": "Job", "reason": "part of every key", "fields": ["id"]}]
    assert scope["in_pipedrive"] == [{"target": "deal", "records": 3, "tokens": 15, "held": 1}]
    assert (scope["summary"]["records"], scope["summary"]["moving"], scope["summary"]["new_fields"]) == (5, 3, 1)
    assert scope["summary"]["looked_up"] == 5
    assert scope["assumptions"] == ["a remark", "devices send late", "The plan takes for granted: nobody edits"]


def test_steps_follow_the_state_of_the_migration() -> None:
    for state, done in (("created", 0), ("audited", 1), ("confirmed", 2), ("approved", 5), ("loaded", 6), ("completed", 7)):
        steps = build_scope({**MIGRATION, "state": state}, audit(), None, workbook())["steps"]
        assert sum(step["state"] == "done" for step in steps) == done, state
        assert sum(step["state"] == "next" for step in steps) == (state != "completed"), state


def test_a_scope_without_a_plan_says_so() -> None:
    scope = build_scope(MIGRATION, audit(load_by_target={"deal": {"records": 3, "tokens": 15}}), None, workbook())
    assert scope["in_pipedrive"] == [{"target": "deal", "held": 0, "records": 3, "tokens": 15}]
    assert "there is no plan" in render_html(scope, datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.requirement("L-01", "X-08")
def test_the_page_escapes_hostile_values() -> None:
    page = render_html(build_scope(MIGRATION, audit(), plan(fits=True), workbook()), datetime(2026, 3, 1, tzinfo=UTC))
    assert "<script>" not in page
    assert HOSTILE in html.unescape(page)
    assert "Person in the source" in page
    assert "note/9 of job/1, 30.0 MB" in page


def test_the_digest_is_of_everything_but_itself() -> None:
    scope = build_scope(MIGRATION, audit(), plan(fits=True), workbook())
    assert scope["digest"] == digest_of({name: value for name, value in scope.items() if name != "digest"})
    assert digest_of({**scope, "blockers": ["one more"]}) != scope["digest"]


def test_the_terminal_shows_the_sums(capsys: pytest.CaptureFixture[str]) -> None:
    print_scope(build_scope(MIGRATION, audit(), plan(fits=True), workbook((MUST, "Owners", "name an owner")), ["Takes 1 day"]))
    shown = capsys.readouterr().out
    assert "5 records of 2 kinds, 3 of them move" in shown
    assert "Takes 1 day" in shown


@pytest.mark.parametrize(("count", "words"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (27_262_993, "27.3 MB"), (5e12, "5,000 GB")])
def test_sizes_in_words(count: float, words: str) -> None:
    assert size(count) == words
