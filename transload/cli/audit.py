"""`transload audit ...`: the audit of the source (L-01) and the audit trail (L-14)."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from transload.cli import output, views
from transload.cli.session import (
    EXIT_REFUSED,
    EXIT_USAGE,
    ActorOption,
    AddressOption,
    JsonOption,
    MigrationOption,
    WaitOption,
    connect_migration,
    run,
)
from transload.cli.steps import follow

app = typer.Typer(help="Audit the source, and look at the audit trail.", no_args_is_help=True)

CSV_COLUMNS = (
    "sequence",
    "event_time",
    "kind",
    "actor",
    "source_key",
    "key",
    "target_id",
    "result",
    "payload_json",
    "payload_salt",
    "payload_digest",
    "previous_hash",
    "hash",
)
# A cell that begins like this is a formula to a spreadsheet; a leading apostrophe makes it text again.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@app.command("run")
def run_audit(
    *, migration: MigrationOption = "", wait: WaitOption = True, address: AddressOption = "", actor: ActorOption = "", json_output: JsonOption = False
) -> None:
    """Read the source into staging, profile it, look at the target, propose a mapping (L-01)."""

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            await follow(client, migration_id, lambda c, m: c.start_audit(m), is_waiting=wait, json_output=json_output)
        if wait and not json_output:
            output.stdout.print("Next: transload audit show; transload mapping show")

    run(act())


@app.command("show")
def show(*, migration: MigrationOption = "", address: AddressOption = "", json_output: JsonOption = False) -> None:
    """Show the audit report: counts, fields, data quality, head-room, tokens and days."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            report = json.loads(await client.get_audit(migration_id))
        if json_output:
            output.print_json(report)
        else:
            views.print_report(report)

    run(act())


@app.command("export")
def export(
    *,
    format_: Annotated[str, typer.Option("--format", help="csv or jsonl.")] = "jsonl",
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: standard output.")] = None,
    after: Annotated[int, typer.Option("--after", help="Only events with a sequence above this one.")] = 0,
    migration: MigrationOption = "",
    address: AddressOption = "",
) -> None:
    """Export the audit trail as CSV or JSON lines (L-14)."""
    if format_ not in {"csv", "jsonl"}:
        output.stderr.print("--format is csv or jsonl.")
        raise typer.Exit(EXIT_USAGE)

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            count = 0
            stream = out.open("w", encoding="utf-8", newline="") if out else sys.stdout
            try:
                writer = csv.DictWriter(stream, CSV_COLUMNS)
                if format_ == "csv":
                    writer.writeheader()
                async for event in client.export_audit(migration_id, after):
                    row = output.as_data(event)
                    if format_ == "csv":
                        writer.writerow({column: _csv_cell(row[column]) for column in CSV_COLUMNS})
                    else:
                        stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                    count += 1
            finally:
                if out:
                    stream.close()
        output.stderr.print(f"{count:,} events" + (f" written to {out}" if out else ""), markup=False)

    run(act())


@app.command("verify")
def verify(*, migration: MigrationOption = "", address: AddressOption = "", json_output: JsonOption = False) -> None:
    """Walk the hash chain of the audit trail in the ledger. Exit status 1 when it is broken."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            result = await client.verify_audit(migration_id)
        if json_output:
            output.print_json(output.as_data(result))
        elif result.is_whole:
            output.stdout.print(f"The audit trail is whole: {result.event_count:,} events, head {result.head_hash}", markup=False)
        else:
            output.stderr.print(f"The audit trail is broken at event {result.broken_sequence}: {result.message}", markup=False)
        if not result.is_whole:
            raise typer.Exit(EXIT_REFUSED)

    run(act())


def _csv_cell(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
