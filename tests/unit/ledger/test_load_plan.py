"""Days, head-room and truth of a load plan."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.ledger.domain import Run, RunCost, RunKind, RunState
from services.ledger.load_plan import Budget, days, head_room, planned_for_load, tokens_left, truth, truth_rows, what_if

STEPS = {"audit": 102, "schema": 700, "sample": 2_000, "load": 50_000, "reconcile": 300, "rollback": 25_000}
PLAN: dict[str, Any] = {
    "steps": {name: {"tokens": count, "call_count": count // 5, "records": 1} for name, count in STEPS.items()},
    "rows": [{"step": "load", "target_entity": "deal", "tokens": 500}, {"step": "load", "target_entity": "note", "tokens": 400}],
    "custom_fields": 40,
    "open_deals": 10,
}
START = datetime(2026, 1, 1, tzinfo=UTC)


def run(kind: RunKind, tokens: int, state: RunState = RunState.SUCCEEDED, number: int = 1) -> Run:
    return Run(run_id=f"m-{kind}-{number}", migration_id="m", kind=kind, start_time=START, state=state, token_count=tokens)


@pytest.mark.parametrize(
    ("tokens", "today", "expected"), [(0, 0, 1), (24_000, 30_000, 1), (24_001, 30_000, 2), (24_000, 0, 2), (48_000, 30_000, 2), (48_001, 30_000, 3)]
)
def test_days_count_what_is_kept_back_on_each_of_them(tokens: int, today: int, expected: int) -> None:
    assert Budget(30_000, today, 1_500, 4_500, 4_500).days(tokens) == expected


def test_a_budget_others_use_up_gives_no_end() -> None:
    assert Budget(30_000, 30_000, 1_500, 28_500, 28_500).days(10) == 0


def test_the_band_goes_from_silent_other_apps_to_busy_ones() -> None:
    band = Budget(30_000, 30_000, 1_500, 6_000, 6_000).band(52_000)
    assert band["low"] == 2
    assert band["low"] < band["likely"] < band["high"]


def test_a_seat_more_and_a_top_up_are_told_with_the_days_they_leave() -> None:
    options = what_if(52_000, Budget(30_000, 30_000, 1_500, 1_500, 1_500), "Growth")
    assert [option["change"] for option in options] == ["one seat more", "a top-up that ends it today"]
    assert options[0]["daily_token_limit"] == 90_000
    assert options[0]["days"]["likely"] == 1
    assert (options[1]["tokens"], options[1]["days"]["likely"]) == (25_000, 1)
    assert what_if(10, Budget(30_000, 30_000, 1_500, 1_500, 1_500), "None") == []


def test_of_the_present_day_only_the_hours_to_come_are_left_to_others() -> None:
    quota = {
        "daily_token_limit": 30_000,
        "daily_token_remaining": 10_000,
        "rollback_reserve": 1_500,
        "others_reserve": 500,
        "others_tokens_per_day": 1_500,
    }
    told = days(8_000, PLAN, quota)
    assert (told["others_a_day"], told["days"]["likely"], told["hours_at_least"]) == (1_500, 1, None)
    assert days(8_001, PLAN, quota)["days"]["likely"] == 2
    assert days(40_000, PLAN, {}) == {}


def test_what_is_done_is_not_to_be_spent_again() -> None:
    assert tokens_left(PLAN, []) == 53_000
    assert tokens_left(PLAN, [run(RunKind.SCHEMA, 710), run(RunKind.SAMPLE, 1_500, RunState.RUNNING)]) == 50_800
    assert planned_for_load(PLAN) == 52_000


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
    assert rows["open_deals"]["fits"] is None
