"""The steps that move a migration on: schema, sample, approve, start, pause, resume, delta, reconcile, complete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from transload.cli import output, views
from transload.cli.progress import RunProgress, describe
from transload.cli.session import EXIT_REFUSED, ActorOption, AddressOption, JsonOption, MigrationOption, WaitOption, connect_migration, run
from transload.client import Client
from transload.v1 import migration_service_pb2 as pb

schema_app = typer.Typer(help="Prepare the Pipedrive account: users, fields, options, pipelines, stages, activity types.", no_args_is_help=True)

Starter = Callable[[Client, str], Awaitable[pb.Run]]


async def follow(
    client: Client, migration_id: str, start: Starter, *, is_waiting: bool, json_output: bool, tells_success: bool = True
) -> pb.Migration:
    """Starts a run and follows it to its end; with `tells_success` off the caller says itself what came out.

    Raises:
        typer.Exit: with status 1 when the run failed or waits for a person.
    """
    started = await start(client, migration_id)
    if not is_waiting:
        migration = await client.get_migration(migration_id)
        if json_output:
            output.print_json(output.as_data(migration))
        else:
            output.stdout.print(
                f"Started {output.enum_word(started, 'kind')} {started.run_id}; follow it with `transload migration watch`.", markup=False
            )
        return migration
    with RunProgress() as progress:
        migration = await client.wait(migration_id, progress.update)
    latest = migration.latest_run
    is_stuck = latest.state == pb.RUN_STATE_RUNNING
    if latest.state == pb.RUN_STATE_SUCCEEDED and not tells_success:
        return migration
    if json_output:
        output.print_json(output.as_data(migration))
    elif latest.state == pb.RUN_STATE_SUCCEEDED:
        output.stdout.print(f"{output.enum_word(latest, 'kind')} done: {migration_id} is {output.enum_word(migration, 'state')}.", markup=False)
    elif is_stuck:
        output.stderr.print(f"{migration_id} waits: {describe(migration)}. To go on: transload resume", markup=False)
    else:
        output.stderr.print(
            f"{output.enum_word(latest, 'kind')} {output.enum_word(latest, 'state')}: {latest.reason}: {latest.message}", markup=False
        )
    if latest.state != pb.RUN_STATE_SUCCEEDED:
        raise typer.Exit(EXIT_REFUSED)
    return migration


def _run_step(start: Starter, migration: str, address: str, actor: str, *, wait: bool, json_output: bool) -> None:
    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            await follow(client, migration_id, start, is_waiting=wait, json_output=json_output)

    run(act())


@schema_app.command("apply")
def schema_apply(
    *, migration: MigrationOption = "", wait: WaitOption = True, address: AddressOption = "", actor: ActorOption = "", json_output: JsonOption = False
) -> None:
    """Match users and create what the confirmed mapping needs in Pipedrive (L-04, L-05)."""
    _run_step(lambda client, migration_id: client.apply_schema(migration_id), migration, address, actor, wait=wait, json_output=json_output)


def sample(
    *,
    size: Annotated[int, typer.Option("--size", help="Wanted source records, 1-500.")] = 150,
    migration: MigrationOption = "",
    wait: WaitOption = True,
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Load a sample that covers every object, status and picklist value, and compute its diff (L-08)."""
    _run_step(lambda client, migration_id: client.run_sample(migration_id, size), migration, address, actor, wait=wait, json_output=json_output)


def approve(
    *,
    diff_digest: Annotated[str, typer.Option("--diff", help="Digest of the diff that was looked at, as `transload diff` shows it.")],
    migration: MigrationOption = "",
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Approve the diff of exactly this mapping; unlocks the full load (L-09)."""

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            approved = await client.approve(migration_id, diff_digest)
        if json_output:
            output.print_json(output.as_data(approved))
        else:
            output.stdout.print(f"Approved by {approved.approver}. Next: transload start", markup=False)

    run(act())


def start(
    *, migration: MigrationOption = "", wait: WaitOption = True, address: AddressOption = "", actor: ActorOption = "", json_output: JsonOption = False
) -> None:
    """Start the full load (L-10)."""
    _run_step(lambda client, migration_id: client.start_load(migration_id), migration, address, actor, wait=wait, json_output=json_output)


def delta(
    *,
    conflicts: Annotated[
        list[str] | None,
        typer.Option(
            "--conflicts",
            metavar="POLICY",
            help="For this delta only: source, target or ask for what changed on both sides; also deal=source, deal.title=target. Can be repeated.",
        ),
    ] = None,
    deletions: Annotated[
        list[str] | None,
        typer.Option(
            "--deletions",
            metavar="POLICY",
            help="For this delta only: keep, flag, ask or delete what the source has no more; also deal=delete. Can be repeated.",
        ),
    ] = None,
    rolled_back: Annotated[bool, typer.Option("--rolled-back", help="Also load again what a partial rollback took back.")] = False,
    migration: MigrationOption = "",
    wait: WaitOption = True,
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Pick up what changed in the source, and what was resolved in review (L-11). As often as wanted."""

    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            done = await follow(
                client,
                migration_id,
                lambda c, m: c.run_delta(m, conflicts=conflicts or (), deletions=deletions or (), includes_rolled_back=rolled_back),
                is_waiting=wait,
                json_output=json_output,
            )
        if wait and not json_output:
            output.stdout.print(views.results_table(done.latest_run))
            if any(result.result in {"conflict_ask", "gone_ask"} for result in done.latest_run.results):
                output.stdout.print("Some of it waits for a decision: transload review list", markup=False)

    run(act())


def _state_step(change: Callable[[Client, str], Awaitable[pb.Migration]], migration: str, address: str, actor: str, *, json_output: bool) -> None:
    async def act() -> None:
        async with connect_migration(migration, address, actor) as (client, migration_id):
            changed = await change(client, migration_id)
        if json_output:
            output.print_json(output.as_data(changed))
        else:
            output.stdout.print(views.migrations_table([changed]))

    run(act())


def pause(*, migration: MigrationOption = "", address: AddressOption = "", actor: ActorOption = "", json_output: JsonOption = False) -> None:
    """Hand all work back and take none until resumed."""
    _state_step(lambda client, migration_id: client.pause(migration_id), migration, address, actor, json_output=json_output)


def resume(*, migration: MigrationOption = "", address: AddressOption = "", actor: ActorOption = "", json_output: JsonOption = False) -> None:
    """Go on after a pause or after an error was seen to."""
    _state_step(lambda client, migration_id: client.resume(migration_id), migration, address, actor, json_output=json_output)


def complete(*, migration: MigrationOption = "", address: AddressOption = "", actor: ActorOption = "", json_output: JsonOption = False) -> None:
    """Close the migration: no more loads; rollback stays possible."""
    _state_step(lambda client, migration_id: client.complete(migration_id), migration, address, actor, json_output=json_output)
