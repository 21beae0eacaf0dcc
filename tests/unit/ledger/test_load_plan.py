"""Days, head-room and truth of a load plan."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.ledger.domain import Run, RunCost, RunKind, RunState
from services.ledger.load_plan import PHASE_SECONDS, days, head_room, planned_for_load, tokens_left, truth, truth_rows, work_left
from services.ledger.plan_days import Stretch

STEPS = {"audit": 102, "schema": 700, "sample": 2_000, "load": 50_000, "reconcile": 300, "rollback": 25_000}
PLAN: dict[str, Any] = {
    "steps": {name: {"tokens": count, "call_count": count // 5, "records": 1} for name, count in STEPS.items()},
    "rows": [
        {"step": "load", "target_entity": "deal", "tokens": 500, "call_count": 100},
        {"step": "load", "target_entity": "note", "tokens": 400, "call_count": 40},
    ],
    "custom_fields": 40,
    "open_deals": 10,
}
START = datetime(2026, 1, 1, tzinfo=UTC)


def run(kind: RunKind, tokens: int, state: RunState = RunState.SUCCEEDED, number: int = 1) -> Run:
    return Run(run_id=f"m-{kind}-{number}", migration_id="m", kind=kind, start_time=START, state=state, token_count=tokens)


def test_what_is_done_is_not_to_be_spent_again() -> None:
    assert tokens_left(PLAN, []) == 53_000
    assert tokens_left(PLAN, [run(RunKind.SCHEMA, 710), run(RunKind.SAMPLE, 1_500, RunState.RUNNING)]) == 50_800
    assert planned_for_load(PLAN) == 52_000


def test_the_work_left_of_a_running_step_is_its_end() -> None:
    assert work_left(PLAN, []) == [Stretch(500, 100, PHASE_SECONDS), Stretch(400, 40, PHASE_SECONDS)]
    assert work_left(PLAN, [run(RunKind.LOAD, 600, RunState.RUNNING)]) == [Stretch(300, 30, PHASE_SECONDS)]
    assert work_left(PLAN, [run(RunKind.LOAD, 900)]) == []


def test_days_come_with_what_a_rollback_costs() -> None:
    quota = {"daily_token_limit": 30_000, "daily_token_remaining": 500, "plan": {"name": "Lite", "seats": 1}}
    told = days(PLAN, [], quota, START)
    assert told["days"] == {"low": 2, "likely": 2, "high": 2}
    assert told["rollback"] == {
        "tokens": 25_000,
        "part_of_load": 0.474,
        "days_from_a_full_day": 1,
        "hours_from_a_full_day": 0.0,
        "fits_reserve": False,
    }
    assert days(PLAN, [], {}, START) == {}


def test_truth_stands_beside_the_plan_by_step_and_target_entity() -> None:
    runs = [run(RunKind.LOAD, 0, RunState.FAILED), run(RunKind.LOAD, 50_500, number=2), run(RunKind.LOAD, 10, number=3)]
    assert truth(PLAN, runs) == [{"step": "load", "state": "succeeded", "planned": 50_000, "spent": 50_500, "difference_percent": 1.0}]
    costs = [RunCost("m-load-2", "deal", 510), RunCost("m-load-2", "file", 20), RunCost("m-load-3", "deal", 9)]
    assert [
        (row["target_entity"], row["phase"], row["planned"], row["spent"], row["difference_percent"]) for row in truth_rows(PLAN, runs, costs)
    ] == [
        ("deal", "deals", 500, 510, 2.0),
        ("note", "notes", 400, 0, -100.0),
        ("file", "files", 0, 20, None),
    ]


def test_caps_are_compared_where_they_are_known() -> None:
    rows = head_room(PLAN, {"caps": {"custom_fields": 30, "open_deals": None}, "counts": {"custom_fields": 2, "open_deals": 5}})
    assert (rows["custom_fields"]["left_after"], rows["custom_fields"]["fits"]) == (-12, False)
    assert rows["custom_fields"]["fits_from_plan"] == "Growth"
    assert rows["open_deals"]["fits"] is None
    quota = {"plan": {"name": "Lite", "seats": 2}}
    rows = head_room(PLAN, {"caps": {"custom_fields": 100, "open_deals": 100}, "counts": {"custom_fields": 2, "open_deals": 120}, "quota": quota})
    assert (rows["open_deals"]["fits"], rows["open_deals"]["fits_from_seats"]) == (False, 3)
