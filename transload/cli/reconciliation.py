"""`transload reconcile`: reads everything back, compares it, and writes the statement for whoever signs that the data arrived (L-13)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from transload.cli import output
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

if TYPE_CHECKING:
    from transload.client import Client
    from transload.v1 import migration_service_pb2 as pb

_SIZES: Final = {"": 0, "all": -1, "none": -2}
_SUMS: Final = ("expected", "found", "missing", "different", "unexpected")
_SAMPLES: Final = {"file_bytes": "bytes of files", "organization_relation": "organization relations"}
_OFFER: Final = (
    "Set them back with `transload repair KEY` or `--all` (first with --dry-run), keep what people made with `transload accept KEY`,"
    " or take the migration back: `transload rollback --dry-run`."
)

FileSampleOption = Annotated[str, typer.Option("--file-sample", help="Files whose bytes are compared: a number, all, none. Default: by confidence.")]
RelationSampleOption = Annotated[
    str, typer.Option("--relation-sample", help="Organization relations compared: a number, all, none. Default: by confidence.")
]
StatementOption = Annotated[
    Path | None, typer.Option("--statement", help="Write the signed statement here (JSON), and beside it as text; `audit verify FILE` checks it.")
]
KeysArgument = Annotated[list[str] | None, typer.Argument(help="Keys of records, as `transload mismatches` shows them.")]
AllOption = Annotated[bool, typer.Option("--all", help="All mismatches; copies nobody knows only with --kind unexpected.")]
KindOption = Annotated[str, typer.Option("--kind", help="With --all: missing, different, or unexpected.")]
LastOption = Annotated[bool, typer.Option("--last", help="Show the last reconciliation instead of starting one.")]


def reconcile(
    *,
    file_sample: FileSampleOption = "",
    relation_sample: RelationSampleOption = "",
    statement: StatementOption = None,
    last: LastOption = False,
    migration: MigrationOption = "",
    wait: WaitOption = True,
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Read every loaded record back from Pipedrive and compare every field (L-13). Exit status 1 when something differs."""
    sizes = (_size(file_sample), _size(relation_sample))

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            if not last:
                await follow(
                    client,
                    migration_id,
                    lambda c, m: c.reconcile(m, file_sample_size=sizes[0], relation_sample_size=sizes[1]),
                    is_waiting=wait,
                    json_output=json_output,
                    tells_success=False,
                )
                if not wait:
                    return
            found = json.loads((await client.get_reconciliation(migration_id)).report_json)
            pages = [page async for page in client.iterate_mismatches(migration_id)]
            document = await client.reconciliation_statement(migration_id) if statement else b""
        mismatches = [mismatch for page in pages for mismatch in page.mismatches]
        if json_output:
            output.print_json(
                {**output.as_data(pages[0]), **found, "mismatches": [output.as_data(mismatch) for mismatch in mismatches], "next_page_token": ""}
            )
        else:
            _show(found, mismatches)
        if statement:
            _write(statement, document)
        if mismatches:
            output.stderr.print(_OFFER)
            raise typer.Exit(EXIT_REFUSED)

    run(act())


def mismatches(*, migration: MigrationOption = "", address: AddressOption = "", json_output: JsonOption = False) -> None:
    """List what the last reconciliation found, field by field (L-13)."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            rows = [mismatch async for page in client.iterate_mismatches(migration_id) for mismatch in page.mismatches]
        if json_output:
            output.print_json([output.as_data(row) for row in rows])
        else:
            output.stdout.print(_table(rows) if rows else "No mismatches.")

    run(act())


def repair(
    keys: KeysArgument = None,
    *,
    all_: AllOption = False,
    kind: KindOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    migration: MigrationOption = "",
    wait: WaitOption = True,
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Bring mismatches back to what was loaded: set fields back, make missing records again, upload files again, delete named copies (L-13)."""
    _check_selection(keys, kind, is_all=all_)

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            answer = await client.repair(migration_id, keys or (), kind=kind, is_all=all_, validate_only=dry_run)
            if not json_output or dry_run:
                _show_steps(answer, json_output=json_output)
            if dry_run:
                return
            if not answer.HasField("run"):
                output.stderr.print("Nothing of it can be repaired; see why above.")
                raise typer.Exit(EXIT_REFUSED)

            async def started(client_: Client, migration_id_: str) -> pb.Run:
                del client_, migration_id_
                return answer.run

            await follow(client, migration_id, started, is_waiting=wait, json_output=json_output, tells_success=False)
            if not wait:
                return
            found = json.loads((await client.get_reconciliation(migration_id)).report_json)
        if json_output:
            output.print_json({**output.as_data(answer), **found})
        else:
            output.stdout.print(f"Repaired; {found['mismatch_count']:,} mismatches are left.")
        if found["mismatch_count"]:
            raise typer.Exit(EXIT_REFUSED)

    run(act())


def accept(
    keys: KeysArgument = None,
    *,
    all_: AllOption = False,
    kind: KindOption = "",
    migration: MigrationOption = "",
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Accept what stands in Pipedrive in place of what was loaded: recorded, and expected from now on (L-13)."""
    _check_selection(keys, kind, is_all=all_)

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            count = await client.accept_mismatches(migration_id, keys or (), kind=kind, is_all=all_)
        if json_output:
            output.print_json({"accepted_count": count})
        else:
            output.stdout.print(f"{count:,} records are accepted as they stand in Pipedrive.")

    run(act())


def _check_selection(keys: list[str] | None, kind: str, *, is_all: bool) -> None:
    if bool(keys) == is_all or (keys and kind):
        output.stderr.print("Give the keys of records, as `transload mismatches` shows them, or --all, with --kind for one kind.")
        raise typer.Exit(EXIT_USAGE)


def _show_steps(answer: pb.RepairMismatchesResponse, *, json_output: bool) -> None:
    if json_output:
        output.print_json(output.as_data(answer))
        return
    rows = [(step.key, step.target_id, step.action, ", ".join(step.fields), step.message) for step in answer.steps]
    output.stdout.print(output.table("What is done", ("record", "id", "action", "fields", "why not"), rows))
    hidden = sum(answer.action_counts.values()) - len(rows)
    if hidden:
        output.stdout.print(f"and {hidden:,} more")


def _show(found: dict[str, Any], rows: list[pb.Mismatch]) -> None:
    sums = [(entity.replace("_", " "), *(f"{counts[name]:,}" for name in _SUMS)) for entity, counts in found["entities"].items()]
    output.stdout.print(output.table("Records in Pipedrive", ("entity", *_SUMS), sums, right_from=1))
    if rows:
        output.stdout.print(_table(rows))
    for name, sample in found["samples"].items():
        output.stdout.print(f"On a sample, {_SAMPLES.get(name, name)}: {sample['words']}", markup=False)
    output.stdout.print(
        f"{found['record_count']:,} records, {found['field_count']:,} fields compared for {found['token_count']:,} tokens:"
        f" {found['mismatch_count']:,} mismatches"
    )


def _table(rows: list[pb.Mismatch]) -> Any:
    lines = [(m.key, m.target_id, m.kind, m.target_field, m.expected_json.decode(), m.actual_json.decode()) for m in rows]
    return output.table("Mismatches", ("record", "id", "kind", "field", "expected", "found"), lines)


def _write(path: Path, document: bytes) -> None:
    """Write the statement, and its words beside it with lines to sign on."""
    path.write_bytes(document)
    content = json.loads(document)
    head = content["proof"]["audit_head"]
    words = path.with_suffix(".txt") if path.suffix != ".txt" else path.with_name(f"{path.name}.txt")
    lines = [
        f"Migration {head['migration_id']}",
        "",
        *content["statement"],
        "",
        f"Signed by the ledger {head['sign_time']} with key {head['public_key']},",
        f"signature {head['signature']}.",
        f"Check it without the ledger: transload audit verify {path.name}",
        "",
        "Name:                                  Date:              Signature:",
    ]
    words.write_text("\n".join(lines) + "\n", encoding="utf-8")
    output.stderr.print(f"statement written to {path}, to read and sign: {words}", markup=False)


def _size(given: str) -> int:
    """Read the size of a sample.

    Raises:
        typer.Exit: with status 2 when it is none.
    """
    word = given.strip().lower()
    if word in _SIZES:
        return _SIZES[word]
    if word.isdecimal() and int(word):
        return int(word)
    output.stderr.print("--file-sample and --relation-sample take a number from 1, all, or none.")
    raise typer.Exit(EXIT_USAGE)
