"""What a rehearsal tells the simulator and the stack, and how it tells its result."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from transload.cli.pacing import Pace
from transload.cli.rehearsal import TargetOptions, _environment
from transload.cli.rehearsal_result import RehearsalResult, StepResult
from transload.v1 import migration_service_pb2 as pb


def target(clock_speed: float = 1.0) -> TargetOptions:
    return TargetOptions(plan="lite", seats=1, token_kind="oauth", spent=None, other_apps=5, clock_speed=clock_speed)


def test_the_account_is_started_as_it_was_asked_for() -> None:
    arguments = target().arguments(datetime(2026, 5, 6, 13, 0, tzinfo=UTC))
    assert dict(zip(arguments[::2], arguments[1::2], strict=True)) == {
        "--plan": "lite",
        "--seats": "1",
        "--token-kind": "oauth",
        "--other-apps": "5",
    }


@pytest.mark.parametrize(("hour", "day"), [(7, 6), (8, 6), (13, 7)])
def test_a_fast_clock_begins_at_the_next_morning_and_never_in_the_past(hour: int, day: int) -> None:
    now = datetime(2026, 5, 6, hour, 0, tzinfo=UTC)
    arguments = target(600.0).arguments(now)
    assert arguments[arguments.index("--clock-speed") + 1] == "600.0"
    start = datetime.fromisoformat(arguments[arguments.index("--clock-start") + 1])
    assert start == datetime(2026, 5, day, 8, 0, tzinfo=UTC)
    assert start >= now


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, None), (60.0, "15"), (600.0, "5"), (100_000.0, "5")])
def test_a_budget_is_looked_at_sooner_where_days_are_shorter(speed: float, seconds: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSLOAD_QUOTA_PROBE_SECONDS", raising=False)
    settings = _environment(speed)
    assert settings.get("TRANSLOAD_QUOTA_PROBE_SECONDS") == seconds
    assert float(settings["TRANSLOAD_QUOTA_ROLLBACK_SHARE"]) + float(settings["TRANSLOAD_QUOTA_OTHERS_SHARE"]) == 0.1


def result(pace: Pace) -> RehearsalResult:
    return RehearsalResult(
        migration=pb.Migration(),
        summary=pb.Summary(token_count=18_523, planned_token_count=16_155),
        steps=[StepResult("sample", 11.5, 0.0, 2_882), StepResult("load", 92.9, 42.0, 13_958)],
        field_count=26_940,
        mismatch_count=0,
        open_review_count=31,
        journal={},
        pace=pace,
        window_limit=80,
        diff_page=Path("diff.html"),
        target_url="http://127.0.0.1:1",
    )


def test_the_result_tells_how_long_it_was_held_back_and_paused() -> None:
    text = "\n".join(result(Pace(80, 60.4, 0, 5)).lines())
    assert "At most 80 of 80 allowed calls in any 2 seconds; 0 refused for going too fast and 5 that found no tokens left" in text
    assert "Held back by that window for 60 s, paused for quota for 42 s" in text
    assert "found no tokens" not in "\n".join(result(Pace(80, 60.4, 0, 0)).lines())


def test_the_result_as_data_has_pace_and_pauses() -> None:
    data = result(Pace(80, 60.4, 0, 5)).as_data()
    assert data["pace"] == {"window_limit": 80, "fullest": 80, "full_seconds": 60.4, "refused_for_pace": 0, "refused_for_budget": 5}
    assert [step["paused_seconds"] for step in data["steps"]] == [0.0, 42.0]
