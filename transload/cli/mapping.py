"""`transload mapping ...`: show, edit, confirm (L-02, L-03)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import click
import typer

from transload.cli import output, views, workbook
from transload.cli.session import EXIT_REFUSED, ActorOption, AddressOption, JsonOption, MigrationOption, connect_migration, run
from transload.v1 import transformer_service_pb2

app = typer.Typer(help="Show, edit and confirm the mapping. Nothing moves before it is confirmed.", no_args_is_help=True)


@app.command("show")
def show(
    *,
    version: Annotated[int, typer.Option("--version", help="Version; default: the latest.")] = 0,
    migration: MigrationOption = "",
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """Print the mapping as YAML, and what the linter says of it (on standard error)."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            mapping = await client.get_mapping(migration_id, version)
        if json_output:
            output.print_json(output.as_data(mapping))
            return
        sys.stdout.write(mapping.mapping_yaml)
        if mapping.findings:
            output.stderr.print(views.findings_table(mapping.findings))
        state = "confirmed" if mapping.is_confirmed else "not confirmed"
        output.stderr.print(f"version {mapping.version}, {state}, digest {mapping.digest}", markup=False)

    run(act())


@app.command("edit")
def edit(
    *,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="YAML file to store; default: open the mapping in $EDITOR.")] = None,
    migration: MigrationOption = "",
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Store a new version of the mapping. Takes confirmation and approval back."""

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            current = await client.get_mapping(migration_id)
            edited = file.read_text(encoding="utf-8") if file else click.edit(current.mapping_yaml, extension=".yaml")
            if edited is None or edited == current.mapping_yaml:
                output.stderr.print("Nothing changed.")
                return
            stored = await client.edit_mapping(migration_id, edited, base_digest="" if file else current.digest)
        if json_output:
            output.print_json(output.as_data(stored))
            return
        if stored.findings:
            output.stdout.print(views.findings_table(stored.findings))
        output.stdout.print(f"Stored as version {stored.version}. Next: transload mapping confirm --digest {stored.digest}", markup=False)

    run(act())


@app.command("confirm")
def confirm(
    *,
    digest: Annotated[
        str, typer.Option("--digest", help="Digest of the mapping that was looked at; default: the latest, after showing its findings.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    migration: MigrationOption = "",
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Confirm exactly this mapping (L-02)."""

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            mapping = await client.get_mapping(migration_id)
            if not digest and not yes:
                if mapping.findings:
                    output.stderr.print(views.findings_table(mapping.findings))
                errors = sum(finding.severity == transformer_service_pb2.FINDING_SEVERITY_ERROR for finding in mapping.findings)
                if errors:
                    output.stderr.print(f"{errors} errors: edit the mapping first.")
                    raise typer.Exit(EXIT_REFUSED)
                typer.confirm(f"Confirm version {mapping.version} of the mapping?", abort=True, err=True)
            confirmed = await client.confirm_mapping(migration_id, digest or mapping.digest)
        if json_output:
            output.print_json(output.as_data(confirmed))
        else:
            output.stdout.print("Confirmed. Next: transload schema apply")

    run(act())


app.command("export-workbook")(workbook.export_workbook)
app.command("import-workbook")(workbook.import_workbook)
