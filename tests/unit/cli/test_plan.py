"""The plan in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from transload.cli import output
from transload.cli.plan import print_plan, sentences

STEP = {"tokens": 4_000, "call_count": 700, "records": 600}
FOUND: dict[str, Any] = {
    "steps": dict.fromkeys(("audit", "load", "reconcile", "rollback", "sample", "schema"), STEP),
    "rows": [{"step": "load", "phase": "deals", "target_entity": "deal", "records": 3, "call_count": 3, "tokens": 15}],
    "tokens_left": 52_000,
    "days": {
        "daily_token_limit": 30_000,
        "left_today": 20_000,
        "rollback_reserve": 1_500,
        "others_a_day": 1_500,
        "days": {"low": 2, "likely": 3, "high": 0},
        "hours": {"low": 20.0, "likely": 50.0, "high": None},
        "bound_by": "tokens",
        "hours_at_least": 0.5,
        "what_if": [
            {"change": "one seat more", "daily_token_limit": 60_000, "open_deals_cap": 5_000, "days": {"low": 1, "likely": 1, "high": 1}},
            {"change": "a top-up that ends it today", "tokens": 35_000, "days": {"low": 1, "likely": 1, "high": 2}},
        ],
        "rollback": {"tokens": 25_000, "part_of_load": 0.48, "days_from_a_full_day": 1, "fits_reserve": False},
    },
    "head_room": {
        "custom_fields": {"used": 2, "needed": 40, "cap": 30, "left_after": -12, "fits": False, "fits_from_plan": "Growth"},
        "open_deals": {"used": None, "needed": 10, "cap": None, "left_after": None, "fits": None},
    },
    "held_records": {"deal": 5},
    "exact": ["creates"],
    "assumed": ["no answer is lost"],
    "truth": [
        {"step": "audit", "state": "succeeded", "planned": 102, "spent": 102, "difference_percent": 0.0},
        {"step": "load", "state": "running", "planned": 4_000, "spent": 100, "difference_percent": -97.5},
    ],
    "truth_rows": [{"step": "load", "phase": "deals", "target_entity": "deal", "planned": 15, "spent": 5, "difference_percent": None}],
}


def test_sentences_say_days_choices_and_caps() -> None:
    lines = sentences(FOUND)
    assert "Takes 3 days (between 2 and never), of them at least 0.5 h calling" in lines
    assert "From now to the end 2.1 days (between 20.0 h and never) without waiting for a person: the day's tokens decide" in lines
    assert "With one seat more (60,000 tokens a day): 1 day, and up to 5,000 open deals" in lines
    assert "With a top-up that ends it today (35,000 tokens): 1 day (between 1 and 2)" in lines
    undo = "Taking everything back costs 25,000 tokens, 48% of the load: 1 day from a full day; it is more than the 1,500 kept for it on each day"
    assert undo in lines
    assert "custom fields: 2 there, 40 needed, 30 allowed: does not fit, 12 too many; it would in the plan Growth" in lines
    assert "10 open deals are needed; what the account's plan takes is not known" in lines
    assert lines[-2:] == ["Exact: creates", "Assumed: no answer is lost"]


def test_steps_stand_in_their_order_and_truth_beside_the_plan(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[Any] = []
    monkeypatch.setattr(output.stdout, "print", lambda what, **_: printed.append(what))
    print_plan(FOUND)
    titles = [table.title for table in printed if not isinstance(table, str)]
    assert titles[:3] == ["Plan", "Steps", "Plan and truth"]
    assert list(printed[1].columns[0].cells)[2:5] == ["sample, with its diff", "load", "reading everything back"]
    assert list(printed[-2].columns[4].cells) == ["+0.00", "-97.50"]
    assert capsys.readouterr().out == ""
