"""`transload audit ...`: the audit of the source (L-01) and the audit trail (L-14)."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from transload.audit.heads import key_id
from transload.audit.verifier import verify_file
from transload.cli import output, views
from transload.cli.erasure import erase
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
from transload.v1.migration_service_pb2 import Event
from transload.workbook.cells import FORMULA_STARTS

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
PUBLIC_KEY_HEX: Final = 64


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
    """Export the audit trail (L-14): as JSON lines with signed heads, which `audit verify FILE` checks without the ledger, or as a CSV sheet."""
    if format_ not in {"csv", "jsonl"}:
        output.stderr.print("--format is csv or jsonl.")
        raise typer.Exit(EXIT_USAGE)

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            stream = out.open("wb") if out else sys.stdout.buffer
            count = 0
            try:
                lines = client.export_audit_lines(migration_id, after) if format_ == "jsonl" else csv_lines(client.export_audit(migration_id, after))
                async for line in lines:
                    stream.write(line)
                    count += b'"sequence"' in line or format_ == "csv"
            finally:
                if out:
                    stream.close()
        output.stderr.print(f"{count - (format_ == 'csv'):,} events" + (f" written to {out}" if out else ""), markup=False)

    run(act())


@app.command("prove")
def prove(
    *,
    key: Annotated[str, typer.Argument(help="Key of a mapped record, or {entity}/{id} of a source record.")],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: standard output.")] = None,
    migration: MigrationOption = "",
    address: AddressOption = "",
) -> None:
    """Prove the journey of one record: its events with their place in the signed trail, to be verified without the ledger (L-14)."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            proof = await client.prove_record(migration_id, key)
        if out:
            out.write_bytes(proof)
            output.stderr.print(f"proof written to {out}; check it with: transload audit verify {out}", markup=False)
        else:
            sys.stdout.buffer.write(proof)

    run(act())


app.command("erase")(erase)


@app.command("key")
def key(*, migration: MigrationOption = "", address: AddressOption = "", json_output: JsonOption = False) -> None:
    """Show the public key that signs the audit trail. Keep it where the ledger's keepers cannot change it, and verify files with it."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            head = await client.get_audit_head(migration_id)
        if json_output:
            output.print_json(head.as_data() | {"key_id": key_id(head.public_key)})
        else:
            output.stdout.print(head.public_key, markup=False)

    run(act())


@app.command("verify")
def verify(
    *,
    file: Annotated[Path | None, typer.Argument(help="Export, proof or statement to verify; default: the trail in the ledger.")] = None,
    public_key: Annotated[str, typer.Option("--key", help="The ledger's public key (hex, or a file with it), as `audit key` showed it.")] = "",
    migration: MigrationOption = "",
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """Find every change to the audit trail: in a file that was exported (no service is needed), or in the ledger. Exit status 1 when it is broken."""
    if file is not None:
        _verify_file(file, public_key, json_output=json_output)
        return

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


def _verify_file(file: Path, public_key: str, *, json_output: bool) -> None:
    try:
        pinned = _public_key(public_key)
        verdict = verify_file(file, pinned)
    except (OSError, ValueError) as error:
        output.stderr.print(f"cannot verify {file}: {error}", markup=False)
        raise typer.Exit(EXIT_USAGE) from error
    if json_output:
        data = asdict(verdict)
        output.print_json(data | {"key_id": key_id(verdict.head.public_key) if verdict.head and verdict.is_whole else ""})
    elif verdict.is_whole and verdict.head:
        erased = f", {verdict.erased_count:,} of them with erased payload" if verdict.erased_count else ""
        output.stdout.print(f"The {verdict.kind} is whole: {verdict.event_count:,} events of migration {verdict.migration_id}{erased}", markup=False)
        whose = "the key you gave" if verdict.is_pinned else "a key that only the file names: compare it, or give --key"
        output.stdout.print(f"Signed at {verdict.head.sign_time} with key {key_id(verdict.head.public_key)}, {whose}", markup=False)
    else:
        output.stderr.print(f"The {verdict.kind} is broken: {verdict.message}", markup=False)
    if not verdict.is_whole:
        raise typer.Exit(EXIT_REFUSED)


def _public_key(given: str) -> str:
    """The public key as hex, from the option itself or from the file it names.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no public key.
    """
    if not given:
        return ""
    text = given.strip().lower()
    if len(text) != PUBLIC_KEY_HEX or Path(given).exists():
        text = Path(given).read_text(encoding="utf-8").strip().lower()
    if len(text) != PUBLIC_KEY_HEX or len(bytes.fromhex(text)) * 2 != PUBLIC_KEY_HEX:
        raise ValueError("--key takes 64 hex digits, or a file with them")
    return text


async def csv_lines(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """The lines of a sheet for people; it is not made to be verified. What would be a formula gets an apostrophe in front."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS)
    writer.writeheader()
    yield buffer.getvalue().encode()
    async for event in events:
        buffer.seek(0)
        buffer.truncate()
        row = output.as_data(event)
        writer.writerow({column: _csv_cell(row[column]) for column in CSV_COLUMNS})
        yield buffer.getvalue().encode()


def _csv_cell(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) else text
