"""The sums of a migration as points of gauges. Pure, but for reading them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import orjson

from services.common import instruments
from services.common.phases import PHASES, phase_name
from services.ledger import plan_days
from services.ledger.domain import EntityCount, Migration, MigrationState, PauseKind, PhaseCount, RecordState, ReportKind, Run, RunKind, RunState
from services.ledger.load_plan import planned_for_load, tokens_left, work_left

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from services.common.gauges import Point
    from services.ledger.repository import Reader

SOURCE_STATES: Final = ("loaded", "matched", "skipped", "rejected", "waiting", "pending")
"""What becomes of a source record; together all that were extracted."""
_PAUSES: Final = tuple(kind for kind in PauseKind if kind is not PauseKind.NONE)


@dataclass(frozen=True, slots=True)
class Sums:
    """How a migration stood when it was looked at."""

    migration: Migration
    sources: Sequence[EntityCount]
    phases: Sequence[PhaseCount]
    review_items: Mapping[str, int]
    runs: Sequence[Run]
    plan: Mapping[str, Any]
    """The load plan; empty before the audit."""
    event_sequence: int
    head_size: int
    """Events the newest signed head covers; 0: none is signed."""
    head_time: datetime

    @property
    def running(self) -> Run | None:
        """The run that is going."""
        return next((run for run in self.runs if run.state is RunState.RUNNING), None)


@dataclass(frozen=True, slots=True)
class Signature:
    """While it stays the same, the sums do."""

    migration: Migration
    event_sequence: int
    run: Run | None


async def signature_of(reader: Reader, migration: Migration) -> Signature:
    """Read what tells whether anything changed."""
    return Signature(migration, await reader.event_sequence(migration.migration_id), await reader.latest_run(migration.migration_id))


async def sums_of(reader: Reader, migration: Migration) -> Sums:
    """Read all sums; this goes over the migration's records once."""
    migration_id = migration.migration_id
    head = await reader.latest_audit_head(migration_id)
    plan = await reader.get_report(migration_id, ReportKind.LOAD_PLAN)
    return Sums(
        migration=migration,
        sources=await reader.summarize_sources(migration_id),
        phases=await reader.summarize_phases(migration_id),
        review_items=await reader.count_open_review_items_by_reason(migration_id),
        runs=await reader.list_runs(migration_id),
        plan=orjson.loads(plan.content) if plan else {},
        event_sequence=await reader.event_sequence(migration_id),
        head_size=head.tree_size if head else 0,
        head_time=datetime.fromisoformat(head.sign_time) if head else migration.create_time,
    )


def remaining_seconds(sums: Sums, quota: Mapping[str, Any], now: datetime) -> float | None:
    """Answer how long the plan still takes; None where there is none, nothing is going on, or the budget is not known."""
    budget = plan_days.budget_of(quota, now.timestamp())
    if sums.running is None or not sums.plan or budget is None:
        return None
    course = budget.course(work_left(sums.plan, sums.runs), plan_days.pace_of(quota))
    return course.seconds if course.days else None


def points_of(sums: Sums, now: datetime, quota: Mapping[str, Any] | None = None) -> dict[str, list[Point]]:
    """Answer the points of one migration, by the gauge's name.

    Args:
        sums: How it stands.
        now: For ages.
        quota: The budget of its target as `plan_days` reads it; None: it was not asked for.
    """
    points: dict[str, list[Point]] = defaultdict(list)
    migration = sums.migration
    name = {instruments.MIGRATION: migration.migration_id}

    def add(instrument: instruments.Instrument, value: float, **more: str) -> None:
        points[instrument.name].append(({**name, **{_LABELS[label]: text for label, text in more.items()}}, value))

    for entity in sums.sources:
        for state in SOURCE_STATES:
            add(instruments.SOURCE_RECORDS, getattr(entity, f"{state}_count"), entity=entity.source_entity, state=state)
    for row in sums.phases:
        add(instruments.MAPPED_RECORDS, row.count, phase=_phase(row.phase), state=row.state.value)
    add(instruments.IN_DOUBT, sum(row.count for row in sums.phases if row.state is RecordState.IN_DOUBT))
    intents = [row.oldest_intent for row in sums.phases if row.oldest_intent is not None]
    add(instruments.UNSETTLED_AGE, _age(min(intents), now) if intents else 0.0)
    for reason, count in sums.review_items.items():
        add(instruments.REVIEW_ITEMS, count, reason=reason)
    run = sums.running
    add(instruments.OPEN_PHASE, run.phase if run else 0, phase=_phase(run.phase) if run else "none")
    for kind in RunKind:
        add(instruments.RUNNING, float(run is not None and run.kind is kind), run_kind=kind.value)
    for stage in MigrationState:
        add(instruments.MIGRATION_STATE, float(migration.state is stage), state=stage.value)
    for pause in _PAUSES:
        add(instruments.PAUSED, float(migration.pause_kind is pause), pause=pause.value)
    add(instruments.HEAD_AGE, _age(sums.head_time, now))
    add(instruments.UNSIGNED_EVENTS, sums.event_sequence - sums.head_size)
    connection = migration.target_connection
    add(instruments.TOKENS_SPENT, sum(run.token_count for run in sums.runs), connection=connection)
    add(instruments.TOKENS_PLANNED, planned_for_load(sums.plan), connection=connection)
    add(instruments.TOKENS_TO_SPEND, tokens_left(sums.plan, sums.runs), connection=connection)
    seconds = remaining_seconds(sums, quota, now) if quota else None
    if seconds is not None:
        add(instruments.REMAINING, seconds)
    return points


_LABELS: Final = {
    "entity": instruments.ENTITY,
    "state": instruments.STATE,
    "phase": instruments.PHASE,
    "reason": instruments.REASON,
    "run_kind": instruments.RUN_KIND,
    "pause": instruments.PAUSE,
    "connection": instruments.CONNECTION,
}


def _phase(number: int) -> str:
    return next((phase_name(phase) for phase in PHASES if int(phase) == number), "none")


def _age(moment: datetime, now: datetime) -> float:
    return max(0.0, (now.astimezone(UTC) - moment.astimezone(UTC)).total_seconds())
