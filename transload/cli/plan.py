"""`transload plan`: what a migration spends in Pipedrive, how long it takes, and whether it fits; afterwards the truth beside it."""

from __future__ import annotations

import json
from typing import Any

from transload.cli import output
from transload.cli.session import AddressOption, JsonOption, MigrationOption, connect_migration, run

_STEP_WORDS = {
    "audit": "looking at the account",
    "schema": "users and schema",
    "sample": "sample, with its diff",
    "load": "load",
    "reconcile": "reading everything back",
    "rollback": "taking everything back",
}


def plan(*, migration: MigrationOption = "", address: AddressOption = "", json_output: JsonOption = False) -> None:
    """Say what the migration will spend: tokens by step, phase and target entity, days, caps, and what a rollback costs. Changes nothing."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            found = json.loads(await client.plan_load(migration_id))
        if json_output:
            output.print_json(found)
        else:
            print_plan(found)

    run(act())


def print_plan(found: dict[str, Any]) -> None:
    """The plan in tables and sentences."""
    rows = [(row["step"], row["phase"], row["target_entity"], row["records"], row["call_count"], row["tokens"]) for row in found["rows"]]
    output.stdout.print(output.table("Plan", ("step", "phase", "target", "records", "calls", "tokens"), rows, right_from=3))
    sums = [(_STEP_WORDS[name], step["records"], step["call_count"], step["tokens"]) for name in _STEP_WORDS for step in [found["steps"][name]]]
    output.stdout.print(output.table("Steps", ("step", "records", "calls", "tokens"), sums, right_from=1))
    for line in sentences(found):
        output.stdout.print(line, markup=False)
    if len(found["truth"]) > 1:
        columns = ("step", "state", "planned", "spent", "difference %")
        lines = [(line["step"], line["state"], line["planned"], line["spent"], _percent(line)) for line in found["truth"]]
        output.stdout.print(output.table("Plan and truth", columns, lines, right_from=2))
        names = ("step", "phase", "target_entity", "planned", "spent")
        by_target = [(*(line[name] for name in names), _percent(line)) for line in found["truth_rows"]]
        output.stdout.print(output.table("", (*names, "difference %"), by_target, right_from=3))


def sentences(found: dict[str, Any]) -> list[str]:
    """What the tables do not say."""
    lines = []
    days = found["days"]
    if days:
        lines.append(
            f"{found['tokens_left']:,} tokens to go; {days['left_today']:,} of {days['daily_token_limit']:,} were left of the day when the account"
            f" was looked at, {days['rollback_reserve']:,} stay back for a rollback and {days['others_a_day']:,} for other apps"
        )
        calling = f", of them at least {days['hours_at_least']:g} h calling" if days["hours_at_least"] else ""
        lines.append(f"Takes {_band(days['days'])}{calling}")
        if days["hours"]["likely"] is not None:
            why = "the day's tokens decide" if days["bound_by"] == "tokens" else "the window of requests decides"
            lines.append(f"From now to the end {_hours(days['hours'])} without waiting for a person: {why}")
        for option in days["what_if"]:
            what = f" ({option['tokens']:,} tokens)" if "tokens" in option else f" ({option['daily_token_limit']:,} tokens a day)"
            deals = f", and up to {option['open_deals_cap']:,} open deals" if option.get("open_deals_cap") else ""
            lines.append(f"With {option['change']}{what}: {_band(option['days'])}{deals}")
        rollback = days["rollback"]
        part = f", {rollback['part_of_load']:.0%} of the load" if rollback["part_of_load"] is not None else ""
        undo = f"Taking everything back costs {rollback['tokens']:,} tokens{part}: {_count(rollback['days_from_a_full_day'])} from a full day"
        reserve = "fits into" if rollback["fits_reserve"] else "is more than"
        lines.append(f"{undo}; it {reserve} the {days['rollback_reserve']:,} kept for it on each day")
    for name, room in found["head_room"].items():
        words = name.replace("_", " ")
        if room["fits"] is None:
            lines.append(f"{room['needed']:,} {words} are needed; what the account's plan takes is not known")
        else:
            verdict = "fits" if room["fits"] else f"does not fit, {-room['left_after']:,} too many{_remedy(room)}"
            lines.append(f"{words}: {room['used']:,} there, {room['needed']:,} needed, {room['cap']:,} allowed: {verdict}")
    held = found["held_records"]
    if held:
        lines.append("Held back or rejected: " + ", ".join(f"{count:,} {name}" for name, count in held.items()))
    lines += [f"Exact: {line}" for line in found["exact"]]
    lines += [f"Assumed: {line}" for line in found["assumed"]]
    return lines


def _band(days: dict[str, int]) -> str:
    if days["low"] == days["high"]:
        return _count(days["likely"])
    return f"{_count(days['likely'])} (between {_number(days['low'])} and {_number(days['high'])})"


def _remedy(room: dict[str, Any]) -> str:
    if room.get("fits_from_plan"):
        return f"; it would in the plan {room['fits_from_plan']}"
    return f"; it would with {room['fits_from_seats']} seats" if room.get("fits_from_seats") else ""


def _hours(hours: dict[str, float | None]) -> str:
    low, likely, high = (_duration(hours[name]) for name in ("low", "likely", "high"))
    return likely if low == high else f"{likely} (between {low} and {high})"


def _duration(hours: float | None) -> str:
    if hours is None:
        return "never"
    if hours < 1:
        return f"{max(1, round(hours * 60))} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"  # noqa: PLR2004 - two days


def _number(days: int) -> str:
    return str(days) if days else "never"


def _count(days: int) -> str:
    return f"{days:,} day{'s' * (days > 1)}" if days else "no end: nothing of a day is left for it"


def _percent(line: dict[str, Any]) -> str:
    return "" if line["difference_percent"] is None else f"{line['difference_percent']:+.2f}"
