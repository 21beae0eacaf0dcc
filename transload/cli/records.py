"""`transload record ...` and `transload export`: the journey of one record, the skip file, the reference exports."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from jinja2 import Environment, PackageLoader, select_autoescape

from transload.cli import output, views
from transload.cli.session import AddressOption, JsonOption, MigrationOption, connect_migration, run
from transload.reference import INDEX_FILE, WORKBOOK_FILE, Table, read_contents, read_tables, write_tables

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
    xlsx: Annotated[bool, typer.Option("--xlsx/--no-xlsx", help="Also write one workbook with every table as a sheet.")] = True,
    migration: MigrationOption = "",
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """Write the reference exports: what does not move or is built again by hand, as tables, and index.html to read them (L-12)."""

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
        contents = read_contents(out)
        tables = [table for table in read_tables(out, contents) if table.file in sizes]
        if xlsx:
            made = write_tables(out, contents, tables)
            sizes[made.name] = made.stat().st_size
        page = render_index(contents, tables, WORKBOOK_FILE if xlsx else "", datetime.now(UTC)).encode("utf-8", "replace")
        sizes[INDEX_FILE] = (out / INDEX_FILE).write_bytes(page)
        if json_output:
            output.print_json({"folder": str(out), "files": sizes})
        else:
            output.stdout.print(output.table(f"Written to {out}", ("file", "bytes"), sizes.items(), right_from=1))
            output.stdout.print(f"Open {out / INDEX_FILE} to read them.", markup=False)

    run(act())


def render_index(contents: dict[str, Any], tables: Sequence[Table], workbook: str, made: datetime) -> str:
    """The page that lists the files and shows the first rows of each; every value escaped, nothing from elsewhere."""
    environment = Environment(
        loader=PackageLoader("transload.cli", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("reference.html.j2")
    return page.render(contents=contents, tables=tables, workbook=workbook, made=made.strftime("%Y-%m-%d %H:%M UTC"))
