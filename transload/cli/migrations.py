"""`transload migration ...`: create, list, show, watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from transload.cli import output, views
from transload.cli.progress import RunProgress, describe
from transload.cli.session import ActorOption, AddressOption, JsonOption, MigrationOption, connect, connect_migration, run
from transload.v1 import migration_service_pb2 as pb

app = typer.Typer(help="Create, list and look at migrations.", no_args_is_help=True)


@app.command("create")
def create(
    *,
    connector: Annotated[
        str,
        typer.Option(
            "--from", help="Connector of the source: servicetracker, stel_order, novo_work_order, octopuspro, results, or one that is installed."
        ),
    ] = "stel_order",
    source: Annotated[str, typer.Option("--source", help="Name of the source connection.")] = "source",
    target: Annotated[str, typer.Option("--target", help="Name of the Pipedrive connection.")] = "target",
    migration_id: Annotated[str, typer.Option("--id", help="Id, 1-63 characters of a-z, 0-9, '-'. Default: given by the ledger.")] = "",
    name: Annotated[str, typer.Option("--name", help="Name for people.")] = "",
    with_archived: Annotated[bool, typer.Option("--with-archived", help="Also move archived records.")] = False,
    with_deleted: Annotated[bool, typer.Option("--with-deleted", help="Also move deleted records where the source shows them.")] = False,
    file_megabytes_max: Annotated[int, typer.Option("--file-megabytes-max", help="Largest file moved.")] = 25,
    large_file_megabytes_max: Annotated[
        int, typer.Option("--large-file-megabytes-max", help="Fetch larger files up to this size, so that the policy split can move them in parts.")
    ] = 0,
    connector_options: Annotated[str, typer.Option("--connector-options", help='Options of the connector as JSON, e.g. {"plan": "pro"}.')] = "",
    overrides: Annotated[Path | None, typer.Option("--overrides", help="YAML merged over the connector's mapping file.")] = None,
    conflict_policy: Annotated[str, typer.Option("--conflicts", help="When both sides changed a field: ask, source or target.")] = "ask",
    rehearsal: Annotated[
        bool, typer.Option("--rehearsal", help="Lock the full load until the approved sample was taken back and left nothing behind.")
    ] = False,
    four_eyes: Annotated[bool, typer.Option("--four-eyes", help="Who confirmed the mapping may not approve the diff.")] = False,
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Create a migration. Nothing is read or written yet."""

    async def act() -> None:
        options = pb.MigrationOptions(
            includes_archived=with_archived,
            includes_deleted=with_deleted,
            file_bytes_max=file_megabytes_max * 1024 * 1024,
            large_file_bytes_max=large_file_megabytes_max * 1024 * 1024,
            connector_json=connector_options,
            mapping_overrides_yaml=overrides.read_text(encoding="utf-8") if overrides else "",
            conflict_policy=conflict_policy,
            requires_rehearsal=rehearsal,
            requires_four_eyes=four_eyes,
        )
        async with connect(address, actor) as client:
            migration = await client.create_migration(
                connector=connector,
                source_connection=source,
                target_connection=target,
                migration_id=migration_id,
                display_name=name,
                options=options,
            )
        if json_output:
            output.print_json(output.as_data(migration))
        else:
            output.stdout.print(f"Created migration {migration.migration_id}. Next: transload audit run -m {migration.migration_id}", markup=False)

    run(act())


@app.command("list")
def list_(*, address: AddressOption = "", json_output: JsonOption = False) -> None:
    """List migrations, newest first."""

    async def act() -> None:
        async with connect(address) as client:
            migrations = await client.list_migrations()
        if json_output:
            output.print_json([output.as_data(migration) for migration in migrations])
        else:
            output.stdout.print(views.migrations_table(migrations))

    run(act())


@app.command("show")
def show(*, migration: MigrationOption = "", address: AddressOption = "", json_output: JsonOption = False) -> None:
    """Show where a migration stands: state, sums per entity, tokens."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            found = await client.get_migration(migration_id)
            summary = await client.get_summary(migration_id)
        if json_output:
            output.print_json({"migration": output.as_data(found), "summary": output.as_data(summary)})
            return
        output.stdout.print(views.migrations_table([found]))
        output.stdout.print(views.summary_table(summary))
        output.stdout.print(views.targets_table(summary))
        mismatches = "not reconciled yet" if summary.mismatch_count < 0 else f"{summary.mismatch_count:,} mismatches"
        output.stdout.print(
            f"{views.tokens_line(summary)}; {summary.source_call_count:,} source calls, {mismatches}",
            markup=False,
        )

    run(act())


@app.command("watch")
def watch(
    *,
    migration: MigrationOption = "",
    events: Annotated[bool, typer.Option("--events", help="Also print the audit trail as it grows.")] = False,
    until_idle: Annotated[bool, typer.Option("--until-idle/--forever", help="End when no run is active.")] = True,
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """Follow a migration's progress."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            after = (await client.get_summary(migration_id)).event_sequence if events else -1
            with RunProgress() as progress:
                async for response in client.watch(migration_id, until_idle=until_idle, after_event_sequence=after):
                    if json_output:
                        output.print_json_line(output.as_data(response))
                        continue
                    progress.update(response)
                    for event in response.events:
                        output.stdout.print(
                            f"{event.event_time.ToJsonString()} {event.kind} {event.key or event.source_key} {event.result}", markup=False
                        )
            found = await client.get_migration(migration_id)
        if not json_output:
            output.stdout.print(f"{migration_id}: {output.enum_word(found, 'state')} · {describe(found)}", markup=False)

    run(act())
