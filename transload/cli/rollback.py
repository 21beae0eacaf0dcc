"""`transload rollback`: take everything back (L-15)."""

from __future__ import annotations

from typing import Annotated

import typer

from transload.cli import output, views
from transload.cli.session import ActorOption, AddressOption, JsonOption, MigrationOption, WaitOption, connect_migration, run
from transload.cli.steps import follow


def rollback(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done and what it would cost.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    migration: MigrationOption = "",
    wait: WaitOption = True,
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Return Pipedrive to the state before: delete what was created, restore what was changed, remove the created schema."""

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            plan = await client.plan_rollback(migration_id)
            if dry_run and json_output:
                output.print_json(output.as_data(plan))
                return
            if not json_output:
                output.stdout.print(views.plan_table(plan))
                if plan.in_doubt_count:
                    output.stdout.print(f"{plan.in_doubt_count:,} records have no known outcome yet; they are looked up first.")
            if dry_run:
                return
            if not yes:
                typer.confirm(f"Take back migration {migration_id}?", abort=True, err=True)
            await follow(client, migration_id, lambda c, m: c.rollback(m), is_waiting=wait, json_output=json_output)

    run(act())
