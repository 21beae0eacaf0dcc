"""`transload scope`: the data-quality report and migration scope, for the terminal, as JSON, and as a page a customer reads before signing (L-01)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from jinja2 import Environment, PackageLoader, select_autoescape

from transload.cli import output
from transload.cli.plan import sentences
from transload.cli.session import AddressOption, JsonOption, MigrationOption, connect_migration, run
from transload.client import Client
from transload.errors import TransloadCallError
from transload.scope import MUST, build_scope

KILOBYTE = 1000


def scope(
    *,
    html: Annotated[Path | None, typer.Option("--html", help="Write a self-contained page for the customer.")] = None,
    migration: MigrationOption = "",
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """Say what moves where and what does not, in what state the data is, what it takes, and what has to be decided. Changes nothing (L-01)."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            found = await fetch(client, migration_id)
        if html:
            html.parent.mkdir(parents=True, exist_ok=True)
            html.write_text(render_html(found, datetime.now(UTC)), encoding="utf-8", errors="replace")
            output.stderr.print(f"Written to {html}", markup=False)
        if json_output:
            output.print_json(found)
        elif not html:
            print_scope(found)

    run(act())


async def fetch(client: Client, migration_id: str) -> dict[str, Any]:
    """Read everything the scope is made of."""
    migration = await client.get_migration(migration_id)
    audit = json.loads(await client.get_audit(migration_id))
    found = await client.get_mapping_workbook(migration_id)
    try:
        plan = json.loads(await client.plan_load(migration_id))
    except TransloadCallError:
        # Without an account that was looked at there is no plan; the rest of the scope stands.
        plan = None
    mapping = await client.get_mapping(migration_id)
    facts = {
        "migration_id": migration_id,
        "name": migration.display_name or migration_id,
        "source_connection": migration.source_connection,
        "target_connection": migration.target_connection,
        "state": output.enum_word(migration, "state"),
        "mapping_version": found.mapping_version,
        "mapping_digest": found.mapping_digest,
        "is_confirmed": mapping.is_confirmed,
    }
    return build_scope(facts, audit, plan, json.loads(found.workbook_json), [] if plan is None else sentences(plan))


def print_scope(found: dict[str, Any]) -> None:
    """The scope for a terminal: the sums, what moves, what stands against going on."""
    summary = found["summary"]
    output.stdout.print(
        f"{summary['records']:,} records of {summary['kinds']:,} kinds, {summary['moving']:,} of them move; {summary['files']:,} files "
        f"({size(summary['file_bytes'])}); {summary['new_fields']:,} new custom fields; {summary['findings']:,} findings in the data",
        markup=False,
    )
    rows = [(row["label"], row["becomes"], row["records"], row["moves"]) for row in found["moves"] if row["records"]]
    output.stdout.print(output.table("What moves", ("kind", "becomes", "records", "move"), rows, right_from=2))
    stays = [(row["label"], row["file"], row["records"]) for row in found["stays"]]
    output.stdout.print(output.table("What does not move, and the file it is in", ("kind", "file", "records"), stays, right_from=2))
    findings = [
        (row["label"], row["check"], row["field"], row["records"], ", ".join(row["samples"][:3]), row["advice"]) for row in found["data_quality"]
    ]
    output.stdout.print(output.table("Data quality", ("kind", "what", "field", "records", "e.g.", "what to do"), findings))
    for line in found["plan"]:
        output.stdout.print(line, markup=False)
    must = [one for one in found["questions"] if one["weight"] == MUST]
    if must:
        output.stdout.print(output.table("To decide", ("sheet", "what"), [(one["sheet"], one["what"]) for one in must]))
    for line in found["blockers"]:
        output.stdout.print(f"Before going on: {line}", markup=False)
    output.stdout.print("For the customer: transload scope --html scope.html", markup=False)


def render_html(found: dict[str, Any], made: datetime) -> str:
    """One page with everything in it: no scripts, styles or pictures from elsewhere; every value escaped."""
    environment = Environment(
        loader=PackageLoader("transload.cli", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": lambda value: f"{value:,}", "size": size, "words": lambda value: str(value).replace("_", " ")}
    return environment.get_template("scope.html.j2").render(scope=found, made=made.strftime("%Y-%m-%d %H:%M UTC"), must=MUST)


def size(byte_count: float) -> str:
    """A number of bytes as people say it."""
    amount = float(byte_count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < KILOBYTE or unit == "GB":
            return f"{amount:,.0f} {unit}" if unit == "bytes" or amount >= KILOBYTE / 10 else f"{amount:,.1f} {unit}"
        amount /= KILOBYTE
    return ""
