"""`transload rollback`: take a migration, or a part of it, back (L-15)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from transload.cli import output, views
from transload.cli.session import ActorOption, AddressOption, JsonOption, MigrationOption, WaitOption, connect_migration, run
from transload.cli.steps import follow
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from transload.client import Client


class Edited(StrEnum):
    """What becomes of records that people edited."""

    KEEP = "keep"
    DELETE = "delete"


def rollback(
    *,
    entity: Annotated[str, typer.Option("--entity", help="Only records of this target entity, e.g. note, with what hangs on them.")] = "",
    record: Annotated[str, typer.Option("--record", help="Only this record, e.g. deal:ordinary_invoice/42, with what hangs on it.")] = "",
    sample: Annotated[bool, typer.Option("--sample", help="Only what the sample loaded; schema and users stay.")] = False,
    edited: Annotated[
        Edited, typer.Option("--edited", help="What becomes of records that people edited since, or hung something on: keep lists them.")
    ] = Edited.KEEP,
    kept: Annotated[bool, typer.Option("--kept", help="Only list what rollbacks kept in Pipedrive, and why.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done and what it would cost.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    migration: MigrationOption = "",
    wait: WaitOption = True,
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Return Pipedrive to the state before: delete what was created, restore what was changed, remove the created schema."""
    scope = pb.TakeBackScope(target_entity=entity, key=record, is_sample=sample, deletes_edited=edited is Edited.DELETE)

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            if kept:
                await _list_kept(client, migration_id, json_output=json_output)
                return
            plan = await client.plan_rollback(migration_id, scope)
            if dry_run and json_output:
                output.print_json(output.as_data(plan))
                return
            if not json_output:
                output.stdout.print(views.plan_table(plan))
                for line in views.rollback_sentences(plan):
                    output.stdout.print(line, markup=False)
            if dry_run:
                return
            if not yes:
                what = record or (f"all {entity} records" if entity else "the sample" if sample else "everything")
                typer.confirm(f"Take back {what} of migration {migration_id}?", abort=True, err=True)
            await follow(client, migration_id, lambda c, m: c.rollback(m, scope), is_waiting=wait, json_output=json_output)
            if wait and not json_output:
                await _sum_up(client, migration_id, plan)

    run(act())


async def _list_kept(client: Client, migration_id: str, *, json_output: bool) -> None:
    records = [one async for one in client.iterate_kept(migration_id)]
    if json_output:
        output.print_json([output.as_data(one) for one in records])
        return
    output.stdout.print(views.kept_table(records))
    if any(one.fields for one in records):
        output.stdout.print("Who changed a field is unknown: Pipedrive's lists do not say.", markup=False)


async def _sum_up(client: Client, migration_id: str, plan: pb.PlanRollbackResponse) -> None:
    """Say what it cost beside the plan and the load, and that something was kept."""
    found = await client.get_migration(migration_id)
    for line in views.rollback_result(found, plan):
        output.stdout.print(line, markup=False)
