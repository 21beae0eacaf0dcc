"""What a migration spends: the transformer's plan, the days it takes, what would change them, and, once there are runs, the truth beside it.

All of it is computed from documents the ledger holds. Nothing here touches source or target.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.phases import TARGET_PHASES, phase_name
from services.ledger.domain import Report, ReportKind, RunKind, RunState
from services.ledger.runs.driver import mapping_yaml_of, snapshot_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.ledger.domain import Migration, Run, RunCost
    from services.ledger.repository import Reader
    from services.ledger.runs.driver import Tools

SPENDING: Final = (RunKind.SCHEMA, RunKind.SAMPLE, RunKind.LOAD, RunKind.RECONCILE)
"""Steps between the audit and the end of a load, in order."""
LOADING: Final = (RunKind.SAMPLE, RunKind.LOAD)
_SEAT_TOKENS: Final = 30_000
_FACTORS: Final[Mapping[str, int]] = {"Lite": 1, "Growth": 2, "Premium": 5, "Ultimate": 7}
"""Tokens a day and seat are 30,000 times this."""
_MORE_CALLS: Final = 0.05
"""Calls above the plan in the upper end of the band: lost answers and repeated reads."""
ROUND_TRIP_SECONDS: Final = 0.3
WINDOW_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Budget:
    """The company's daily tokens, as the account was last looked at.

    Attributes:
        daily: tokens a day.
        today: left of the present day.
        rollback_reserve: of a day, kept for a rollback.
        others_today: of the present day, kept for or taken by the company's other apps.
        others_a_day: the same of a whole day.
    """

    daily: int
    today: int
    rollback_reserve: int
    others_today: int
    others_a_day: int

    def days(self, tokens: int, *, others_factor: float = 1.0, more: float = 0.0) -> int:
        """Answer on how many days tokens are spent; 0: never, because nothing of a day is left for it.

        Args:
            tokens: to spend.
            others_factor: how much more than `others_a_day` the other apps take.
            more: part of `tokens` spent on top.
        """
        wanted = tokens * (1 + more)
        a_day = self.daily - self.rollback_reserve - self.others_a_day * others_factor
        today = max(0.0, self.today - self.rollback_reserve - self.others_today * others_factor)
        if wanted <= today:
            return 1
        return 1 + _ceiling((wanted - today) / a_day) if a_day > 0 else 0

    def band(self, tokens: int) -> dict[str, int]:
        """Answer the days with the other apps silent, as expected, and twice as busy with some calls repeated."""
        return {
            "low": self.days(tokens, others_factor=0.0),
            "likely": self.days(tokens),
            "high": self.days(tokens, others_factor=2.0, more=_MORE_CALLS),
        }


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


async def describe(reader: Reader, migration: Migration, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the whole plan: the transformer's, with days, head-room, what would change them, and the truth so far."""
    report = await reader.get_report(migration.migration_id, ReportKind.TARGET)
    target = orjson.loads(report.content) if report else {}
    runs = await reader.list_runs(migration.migration_id)
    costs = await reader.list_run_costs(migration.migration_id)
    left = tokens_left(plan, runs)
    return {
        **plan,
        "tokens_left": left,
        "days": days(left, plan, target.get("quota") or {}),
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


def days(left: int, plan: Mapping[str, Any], quota: Mapping[str, Any]) -> dict[str, Any]:
    """Answer how many days the rest takes, how long the window alone makes it, and what a seat more or a top-up would change."""
    daily = int(quota.get("daily_token_limit") or 0)
    if not daily:
        return {}
    remaining = quota.get("daily_token_remaining")
    today = int(daily if remaining is None else remaining)
    others_today, others = int(quota.get("others_reserve") or 0), int(quota.get("others_tokens_per_day") or 0)
    budget = Budget(daily, today, int(quota.get("rollback_reserve") or 0), others_today, others)
    window = int(quota.get("window_limit") or 0)
    calls = sum(int(plan["steps"][kind.value]["call_count"]) for kind in SPENDING)
    tokens = max(1, sum(planned(plan, kind) for kind in SPENDING))
    return {
        "daily_token_limit": daily,
        "left_today": today,
        "rollback_reserve": budget.rollback_reserve,
        "others_a_day": others,
        "days": budget.band(left),
        "hours_at_least": round(calls * left / tokens / window * (WINDOW_SECONDS + ROUND_TRIP_SECONDS) / 3600, 2) if window else None,
        "what_if": what_if(left, budget, str((quota.get("plan") or {}).get("name"))),
        "rollback": _rollback(plan, budget),
    }


def what_if(left: int, budget: Budget, plan_name: str) -> list[dict[str, Any]]:
    """Answer what a seat more and a top-up would change."""
    options: list[dict[str, Any]] = []
    if plan_name in _FACTORS:
        more = _SEAT_TOKENS * _FACTORS[plan_name]
        daily = budget.daily + more
        seat = replace(budget, daily=daily, today=budget.today + more, rollback_reserve=budget.rollback_reserve * daily // budget.daily)
        options.append({"change": "one seat more", "daily_token_limit": daily, "days": seat.band(left)})
    # What is kept back is kept of a top-up too.
    tokens = left + budget.rollback_reserve + budget.others_today - budget.today
    if tokens > 0:
        options.append({"change": "a top-up that ends it today", "tokens": tokens, "days": replace(budget, today=budget.today + tokens).band(left)})
    return options


def _rollback(plan: Mapping[str, Any], budget: Budget) -> dict[str, Any]:
    tokens = int(plan["steps"][RunKind.ROLLBACK.value]["tokens"])
    loaded = planned_for_load(plan) + planned(plan, RunKind.SCHEMA)
    return {
        "tokens": tokens,
        "part_of_load": round(tokens / loaded, 3) if loaded else None,
        # A rollback may use every share that is kept.
        "days_from_a_full_day": replace(budget, today=budget.daily, rollback_reserve=0, others_today=0, others_a_day=0).days(tokens),
        "fits_reserve": tokens <= budget.rollback_reserve,
    }


def head_room(plan: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Compare what the mapping needs with the caps of the account's plan; None where one of them is not known."""
    caps, counts = target.get("caps") or {}, target.get("counts") or {}
    rows = {}
    for name in ("custom_fields", "open_deals"):
        used, cap, needed = counts.get(name), caps.get(name), int(plan.get(name) or 0)
        left = cap - used - needed if isinstance(used, int) and isinstance(cap, int) else None
        rows[name] = {"used": used, "needed": needed, "cap": cap, "left_after": left, "fits": None if left is None else left >= 0}
    return rows


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


def _ceiling(value: float) -> int:
    return int(-(-value // 1))


async def _ignore(record_count: int) -> None:
    """Nobody watches the making of a plan."""
    del record_count
