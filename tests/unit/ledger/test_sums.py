"""The sums of a migration as points of gauges."""

from datetime import UTC, datetime, timedelta

import pytest

from services.common import instruments
from services.ledger.domain import EntityCount, Migration, MigrationState, PauseKind, PhaseCount, RecordState, Run, RunKind, RunState
from services.ledger.gauges import GAUGES
from services.ledger.sums import Sums, points_of, remaining_seconds
from transload.v1.records_pb2 import Phase

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PERSONS = int(Phase.PHASE_PERSONS)
PLAN = {
    "steps": {"sample": {"tokens": 100}, "load": {"tokens": 900}, "reconcile": {"tokens": 50}},
    "rows": [{"step": "load", "tokens": 900, "call_count": 180}, {"step": "reconcile", "tokens": 50, "call_count": 10}],
}
QUOTA = {"daily_token_limit": 10_000, "daily_token_remaining": 5_000, "window_limit": 20, "call_seconds": 0.5}


def sums(**changes: object) -> Sums:
    migration = Migration("m1", "Name", "stel_order", "src", "crm", NOW, state=MigrationState.APPROVED, pause_kind=PauseKind.ERROR)
    run = Run("r1", "m1", RunKind.LOAD, NOW, phase=PERSONS, token_count=300)
    values = {
        "migration": migration,
        "sources": [EntityCount("clients", 10, loaded_count=6, matched_count=1, skipped_count=1, rejected_count=1, waiting_count=1)],
        "phases": [
            PhaseCount(PERSONS, RecordState.IN_DOUBT, 2, NOW - timedelta(seconds=90)),
            PhaseCount(PERSONS, RecordState.CLAIMED, 3, NOW - timedelta(seconds=5)),
            PhaseCount(PERSONS, RecordState.LOADED, 4),
        ],
        "review_items": {"REFERENCE_MISSING": 2},
        "runs": [Run("r0", "m1", RunKind.SAMPLE, NOW, state=RunState.SUCCEEDED, token_count=90), run],
        "plan": PLAN,
        "event_sequence": 120,
        "head_size": 100,
        "head_time": NOW - timedelta(hours=1),
    }
    return Sums(**{**values, **changes})  # type: ignore[arg-type]


def shown(found: Sums, instrument: instruments.Instrument, quota: dict[str, int | float] | None = None) -> dict[tuple[str, ...], float]:
    return {tuple(labels.values())[1:]: value for labels, value in points_of(found, NOW, quota)[instrument.name]}


def test_the_states_of_source_records_sum_up_to_all() -> None:
    points = shown(sums(), instruments.SOURCE_RECORDS)
    assert points[("clients", "loaded")] == 6
    assert sum(points.values()) == 10


def test_what_is_not_settled_shows_its_age_and_its_count() -> None:
    assert shown(sums(), instruments.UNSETTLED_AGE) == {(): 90}
    assert shown(sums(), instruments.IN_DOUBT) == {(): 2}
    assert shown(sums(phases=[]), instruments.UNSETTLED_AGE) == {(): 0}


def test_phases_runs_pauses_and_heads_are_told() -> None:
    found = sums()
    assert shown(found, instruments.MAPPED_RECORDS)[("persons", "loaded")] == 4
    assert shown(found, instruments.OPEN_PHASE) == {("persons",): PERSONS}
    assert {kind for kind, value in shown(found, instruments.RUNNING).items() if value} == {("load",)}
    assert {kind for kind, value in shown(found, instruments.PAUSED).items() if value} == {("error",)}
    assert {kind for kind, value in shown(found, instruments.MIGRATION_STATE).items() if value} == {("approved",)}
    assert shown(found, instruments.REVIEW_ITEMS) == {("REFERENCE_MISSING",): 2}
    assert shown(found, instruments.HEAD_AGE) == {(): 3600}
    assert shown(found, instruments.UNSIGNED_EVENTS) == {(): 20}


def test_tokens_planned_spent_and_left() -> None:
    found = sums()
    assert shown(found, instruments.TOKENS_PLANNED) == {("crm",): 1_000}
    assert shown(found, instruments.TOKENS_SPENT) == {("crm",): 390}
    assert shown(found, instruments.TOKENS_TO_SPEND) == {("crm",): 650}


def test_the_time_left_is_the_course_of_the_plan_and_only_while_a_run_goes() -> None:
    seconds = remaining_seconds(sums(), QUOTA, NOW)
    # 120 of 180 calls of the load and 10 of the reconciliation, 20 in 2.5 s, and 0.9 s for each of the two stretches.
    assert seconds == pytest.approx(130 / 20 * 2.5 + 2 * 0.9)
    assert shown(sums(), instruments.REMAINING, QUOTA) == {(): seconds}
    assert shown(sums(), instruments.REMAINING) == {}
    assert remaining_seconds(sums(runs=[]), QUOTA, NOW) is None
    assert remaining_seconds(sums(), {}, NOW) is None


def test_every_gauge_of_the_ledger_is_shown_by_somebody() -> None:
    of_a_migration = set(points_of(sums(), NOW, QUOTA))
    of_the_ledger = {one.name for one in (instruments.OUTBOX, instruments.LAG, instruments.UNANSWERED, instruments.LOOK_SECONDS)}
    assert {one.name for one in GAUGES} == of_a_migration | of_the_ledger
