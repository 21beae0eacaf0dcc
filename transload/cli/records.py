"""`transload record ...` and `transload export`: the journey of one record, the skip file, the reference exports."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO, Annotated

import typer

from transload.cli import output, views
from transload.cli.session import AddressOption, JsonOption, MigrationOption, connect_migration, run

app = typer.Typer(help="Look at records.", no_args_is_help=True)


@app.command("show")
def show(
    key: Annotated[str, typer.Argument(help="Key of a mapped record (`deal:ordinary_invoice/77`) or a source record (`client/1042`).")],
    *,
    migration: MigrationOption = "",
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """Show the whole journey of one record: source, pages, mapped values, calls, outcomes, events."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            record = await client.get_record(migration_id, key)
        if json_output:
            output.print_json(output.as_data(record))
        else:
            views.print_record(record)

    run(act())


@app.command("list")
def list_(
    *,
    state: Annotated[str, typer.Option("--state", help="loaded, matched, skipped, rejected, waiting, ... `rejected` is the skip file.")] = "",
    source_entity: Annotated[str, typer.Option("--source-entity", help="Only records of this source entity.")] = "",
    target_entity: Annotated[str, typer.Option("--target-entity", help="Only records of this target entity.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Only this reason.")] = "",
    migration: MigrationOption = "",
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """List records by state, entity or reason. With `--json`, one JSON object per line."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            records = client.iterate_records(migration_id, state=state, source_entity=source_entity, target_entity=target_entity, reason=reason)
            if json_output:
                async for record in records:
                    output.print_json_line(output.as_data(record))
                return
            rows = [(record.source_key, record.key, record.state, record.target_id, record.reason, record.message) async for record in records]
        output.stdout.print(output.table("", ("source", "record", "state", "id", "reason", "message"), rows))

    run(act())


def export(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path("reference-export"),
    migration: MigrationOption = "",
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """Write the reference exports: work orders, payments, and what does not move (L-12)."""

    async def act() -> None:
        out.mkdir(parents=True, exist_ok=True)
        sizes: dict[str, int] = {}
        with contextlib.ExitStack() as stack:
            files: dict[str, IO[bytes]] = {}
            async with connect_migration(migration, address) as (client, migration_id):
                async for name, content in client.export_reference_files(migration_id):
                    # The name comes from a service: only its last part counts, so that nothing is written outside the folder.
                    safe_name = Path(name).name
                    if safe_name not in files:
                        files[safe_name] = stack.enter_context((out / safe_name).open("wb"))
                    sizes[safe_name] = sizes.get(safe_name, 0) + files[safe_name].write(content)
        if json_output:
            output.print_json({"folder": str(out), "files": sizes})
        else:
            output.stdout.print(output.table(f"Written to {out}", ("file", "bytes"), sizes.items(), right_from=1))

    run(act())
