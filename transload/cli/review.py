"""`transload review ...`: what waits for a person (L-16)."""

from __future__ import annotations

from typing import Annotated

import typer

from transload.cli import output, views
from transload.cli.session import EXIT_USAGE, ActorOption, AddressOption, JsonOption, MigrationOption, connect_migration, run

app = typer.Typer(help="List and resolve what waits for a person.", no_args_is_help=True)


@app.command("list")
def list_(
    *,
    reason: Annotated[str, typer.Option("--reason", help="Only this reason, e.g. OWNER_UNMATCHED.")] = "",
    resolved: Annotated[bool, typer.Option("--resolved", help="Also list resolved items.")] = False,
    migration: MigrationOption = "",
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """List review items, oldest first."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            items = [item async for item in client.iterate_review_items(migration_id, reason=reason, includes_resolved=resolved)]
        if json_output:
            output.print_json([output.as_data(item) for item in items])
        elif items:
            output.stdout.print(views.review_table(items))
        else:
            output.stdout.print("Nothing waits.")

    run(act())


@app.command("resolve")
def resolve(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of review items.")] = None,
    *,
    with_: Annotated[str, typer.Option("--with", help="retry, skip, without_reference, keep_target, use_source, delete, match, create or accept.")],
    reason: Annotated[str, typer.Option("--reason", help="Instead of ids: all open items of this reason.")] = "",
    candidate: Annotated[
        str,
        typer.Option(
            "--candidate",
            help="With `match`: which one it is, a candidate or another one, by its id in Pipedrive or its key; else the first one named.",
        ),
    ] = "",
    migration: MigrationOption = "",
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Resolve items one by one, or all of a reason. Records to be loaded again are taken up by the next `transload delta`."""
    if bool(ids) == bool(reason):
        output.stderr.print("Give either ids or --reason.")
        raise typer.Exit(EXIT_USAGE)
    if candidate and (with_ != "match" or not ids):
        output.stderr.print("--candidate goes with ids and --with match.")
        raise typer.Exit(EXIT_USAGE)

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            count = await client.resolve_review_items(migration_id, resolution=with_, review_item_ids=ids or (), reason=reason, candidate=candidate)
        if json_output:
            output.print_json({"resolved_count": count})
        else:
            output.stdout.print(f"Resolved {count:,}.")

    run(act())
