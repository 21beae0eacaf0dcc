"""What a migration spends: the transformer's plan, the days it takes, what would change them, and, once there are runs, the truth beside it.

All of it is computed from documents the ledger holds. Nothing here touches source or target.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common import telemetry
from services.common.errors import TransloadError
from services.common.phases import TARGET_PHASES, phase_name
from services.common.pipedrive_plans import OPEN_DEALS_MAX, PLANS
from services.ledger import plan_days
from services.ledger.domain import Report, ReportKind, RunKind, RunState
from services.ledger.plan_days import Stretch
from services.ledger.runs.driver import mapping_yaml_of, snapshot_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.ledger.domain import Migration, Run, RunCost
    from services.ledger.runs.driver import Tools

_LOG = telemetry.get_logger(__name__)
PHASE_SECONDS: Final = 0.9
"""A phase takes about so long beside its calls: it is opened and closed within some seconds, less what the window has room for after them
(measured by `python -m bench plan_against_truth`)."""
SPENDING: Final = (RunKind.SCHEMA, RunKind.SAMPLE, RunKind.LOAD, RunKind.RECONCILE)
"""Steps between the audit and the end of a load, in order."""
LOADING: Final = (RunKind.SAMPLE, RunKind.LOAD)


async def load_plan_of(tools: Tools, migration: Migration) -> dict[str, Any] | None:
    """Answer the plan for the latest mapping, made anew when it is for another one; None before the audit."""
    async with tools.ledger.read() as reader:
        report = await reader.get_report(migration.migration_id, ReportKind.LOAD_PLAN)
        target = await reader.get_report(migration.migration_id, ReportKind.TARGET)
        sequence = await reader.page_sequence(migration.migration_id)
    if not migration.mapping_digest:
        return None
    plan: dict[str, Any] = orjson.loads(report.content) if report else {}
    if plan.get("mapping_digest") == migration.mapping_digest:
        return plan
    mapping_yaml = await mapping_yaml_of(tools, migration)
    snapshot = snapshot_of(migration, sequence)
    content = await tools.transformer.plan_tokens(snapshot, mapping_yaml, target.content if target else b"", 0, _ignore)
    async with tools.ledger.transaction() as transaction:
        kept = Report(migration_id=migration.migration_id, kind=ReportKind.LOAD_PLAN, content=content, create_time=tools.clock.now())
        await transaction.save_report(kept)
    fresh: dict[str, Any] = orjson.loads(content)
    return fresh


async def describe(tools: Tools, migration: Migration, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the whole plan: the transformer's, with days, head-room, what would change them, and the truth so far."""
    async with tools.ledger.read() as reader:
        report = await reader.get_report(migration.migration_id, ReportKind.TARGET)
        runs = await reader.list_runs(migration.migration_id)
        costs = await reader.list_run_costs(migration.migration_id)
    target = orjson.loads(report.content) if report else {}
    quota = await quota_of(tools, migration, target)
    return {
        **plan,
        "cost_version": quota.get("cost_version", ""),
        "tokens_left": tokens_left(plan, runs),
        "days": days(plan, runs, quota, tools.clock.now()),
        "head_room": head_room(plan, target),
        "truth": truth(plan, runs),
        "truth_rows": truth_rows(plan, runs, costs),
    }


def planned_for_load(plan: Mapping[str, Any]) -> int:
    """Answer the tokens of sample and load together."""
    return sum(planned(plan, kind) for kind in LOADING)


def spent_for_load(runs: Sequence[Run]) -> int:
    """Answer the tokens sample and load have spent."""
    return sum(run.token_count for kind, run in _latest(runs).items() if kind in LOADING)


def spent_on_loading(runs: Sequence[Run]) -> int:
    """Answer the tokens spent on everything a rollback takes back: schema, samples, loads and deltas."""
    kinds = {RunKind.SCHEMA, RunKind.SAMPLE, RunKind.LOAD, RunKind.DELTA}
    return sum(run.token_count for run in runs if run.kind in kinds)


def planned(plan: Mapping[str, Any], kind: RunKind) -> int:
    """Answer the tokens planned for a step; 0 for one without a plan."""
    return int((plan.get("steps") or {}).get(kind.value, {}).get("tokens", 0))


def tokens_left(plan: Mapping[str, Any], runs: Sequence[Run]) -> int:
    """Answer what is still to be spent up to the end of the reconciliation."""
    done = {run.kind for run in runs if run.state is RunState.SUCCEEDED}
    spent = {run.kind: run.token_count for run in runs if run.state is RunState.RUNNING}
    return sum(max(0, planned(plan, kind) - spent.get(kind, 0)) for kind in SPENDING if kind not in done)


def work_left(plan: Mapping[str, Any], runs: Sequence[Run]) -> list[Stretch]:
    """Answer the work up to the end of the reconciliation, in order; of the step that runs, what it has spent is taken off its beginning."""
    done = {run.kind for run in runs if run.state is RunState.SUCCEEDED}
    spent = {run.kind: run.token_count for run in runs if run.state is RunState.RUNNING}
    work = []
    for kind in SPENDING:
        if kind in done:
            continue
        gone = spent.get(kind, 0)
        for row in [row for row in plan["rows"] if row["step"] == kind.value]:
            part = min(gone, row["tokens"])
            gone -= part
            if row["tokens"] > part:
                work.append(Stretch(row["tokens"] - part, row["call_count"] * (1 - part / row["tokens"]), PHASE_SECONDS))
    return work


def days(plan: Mapping[str, Any], runs: Sequence[Run], quota: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Answer how long the rest takes, what would change it, and what a rollback costs; empty where the budget is not known."""
    named = quota.get("plan") or {}
    told = plan_days.days(work_left(plan, runs), quota, plan_name=str(named.get("name")), seats=int(named.get("seats") or 0), now=now.timestamp())
    budget = plan_days.budget_of(quota, now.timestamp())
    if budget is None:
        return {}
    step = plan["steps"][RunKind.ROLLBACK.value]
    loaded = planned_for_load(plan) + planned(plan, RunKind.SCHEMA)
    undo = Stretch(int(step["tokens"]), int(step["call_count"]))
    return {**told, "rollback": plan_days.rollback(undo, loaded, budget, plan_days.pace_of(quota))}


async def quota_of(tools: Tools, migration: Migration, target: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the budget as it stands now, or, while the loader does not answer, as it was when the account was looked at.

    Args:
        tools: what the ledger works with.
        migration: whose target.
        target: the account as it was last looked at.
    """
    seen = dict(target.get("quota") or {})
    if seen.get("reset_time"):
        seen["reset_seconds"] = datetime.fromisoformat(seen["reset_time"]).timestamp()
    try:
        quota = await tools.loader.get_quota(migration.target_connection)
    except TransloadError as error:
        _LOG.debug("quota.not_shown", connection=migration.target_connection, reason=error.reason)
        return seen
    if not quota.daily_token_limit:
        return seen
    return {
        **seen,
        "daily_token_limit": quota.daily_token_limit,
        "daily_token_remaining": quota.daily_token_remaining,
        "window_limit": quota.window_limit,
        "rollback_reserve": quota.rollback_reserve,
        "others_reserve": quota.others_reserve,
        "others_tokens_per_day": quota.others_tokens_per_day,
        "call_seconds": quota.call_seconds or seen.get("call_seconds"),
        "reset_seconds": quota.reset_time.ToDatetime(UTC).timestamp() if quota.HasField("reset_time") else 0,
    }


def head_room(plan: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Compare what the mapping needs with the caps of the account's plan; None where one of them is not known."""
    caps, counts = target.get("caps") or {}, target.get("counts") or {}
    seats = int(((target.get("quota") or {}).get("plan") or {}).get("seats") or 0)
    rows = {}
    for name in ("custom_fields", "open_deals"):
        used, cap, needed = counts.get(name), caps.get(name), int(plan.get(name) or 0)
        row = {"used": used, "needed": needed, "cap": cap, "left_after": None, "fits": None}
        if isinstance(used, int) and isinstance(cap, int):
            row |= {"left_after": cap - used - needed, "fits": cap >= used + needed} | _remedy(name, used + needed, cap, seats)
        rows[name] = row
    return rows


def _remedy(name: str, wanted: int, cap: int, seats: int) -> dict[str, Any]:
    """Answer which plan would take the custom fields, or how many seats the open deals."""
    if wanted <= cap:
        return {}
    if name == "custom_fields":
        return {"fits_from_plan": next((plan.name for plan in PLANS if plan.custom_fields >= wanted), "")}
    is_possible = seats and wanted <= OPEN_DEALS_MAX
    return {"fits_from_seats": -(-wanted * seats // cap) if is_possible else 0}


def truth(plan: Mapping[str, Any], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Answer one line for each step that has run: planned, spent, and the difference in percent of what was planned."""
    latest = _latest(runs)
    return [_line({"step": kind.value, "state": run.state.value}, planned(plan, kind), run.token_count) for kind, run in latest.items()]


def truth_rows(plan: Mapping[str, Any], runs: Sequence[Run], costs: Sequence[RunCost]) -> list[dict[str, Any]]:
    """Answer the same by target entity, with its phase."""
    spent = {(cost.run_id, cost.target_entity): cost.token_count for cost in costs}
    expected = {(row["step"], row["target_entity"]): int(row["tokens"]) for row in plan.get("rows") or []}
    lines = []
    for kind, run in _latest(runs).items():
        entities = {entity for step, entity in expected if step == kind.value} | {entity for run_id, entity in spent if run_id == run.run_id}
        for entity in sorted(entities, key=_place):
            phase = phase_name(TARGET_PHASES[entity]) if entity in TARGET_PHASES else ""
            facts = {"step": kind.value, "phase": phase, "target_entity": entity}
            lines.append(_line(facts, expected.get((kind.value, entity), 0), spent.get((run.run_id, entity), 0)))
    return lines


def _latest(runs: Sequence[Run]) -> dict[RunKind, Run]:
    """Answer the first run of each step that came to its end, else its latest: what comes after the first finds most of the work done."""
    found: dict[RunKind, Run] = {}
    for run in runs:
        known = found.get(run.kind)
        if run.kind in {RunKind.AUDIT, *SPENDING, RunKind.ROLLBACK} and (known is None or known.state is not RunState.SUCCEEDED):
            found[run.kind] = run
    return found


def _line(facts: dict[str, Any], planned_tokens: int, spent: int) -> dict[str, Any]:
    difference = round((spent - planned_tokens) / planned_tokens * 100, 2) if planned_tokens else None
    return {**facts, "planned": planned_tokens, "spent": spent, "difference_percent": difference}


def _place(entity: str) -> tuple[int, str]:
    return (list(TARGET_PHASES).index(entity) if entity in TARGET_PHASES else -1, entity)


async def _ignore(record_count: int) -> None:
    """Nobody watches the making of a plan."""
    del record_count
