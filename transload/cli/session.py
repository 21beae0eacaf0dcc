"""What every command shares: where the ledger is, which migration is meant, who acts, and how an error is told."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transload.cli import output
from transload.client import Client
from transload.errors import TransloadCallError
from transload.security import ChannelSecurity, SecurityError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

DEFAULT_DATA_DIR = Path(".transload")
EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
MigrationOption = Annotated[
    str, typer.Option("--migration", "-m", envvar="TRANSLOAD_MIGRATION", help="Migration id. Default: the newest migration.", show_default=False)
]
AddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        envvar="TRANSLOAD_LEDGER_ADDRESS",
        help="host:port of the ledger. Default: the stack started by `transload up` in this folder.",
        show_default=False,
    ),
]
ActorOption = Annotated[
    str, typer.Option("--actor", envvar="TRANSLOAD_ACTOR", help="Who acts; stands in the audit trail. Default: the login name.", show_default=False)
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the run until it ends.")]


def resolve_address(address: str, data_dir: Path = DEFAULT_DATA_DIR) -> str:
    """The ledger's address: as given, or from the `stack.json` of the embedded stack.

    Raises:
        typer.Exit: when there is neither; the message says what to do.
    """
    if address:
        return address
    stack_file = Path(os.environ.get("TRANSLOAD_DATA_DIR", data_dir)) / "stack.json"
    if stack_file.exists():
        return str(json.loads(stack_file.read_text())["services"]["ledger"]["address"])
    output.stderr.print(f"No ledger: {stack_file} does not exist. Start one with `transload up`, or name one with --address host:port.")
    raise typer.Exit(EXIT_UNREACHABLE)


def resolve_actor(actor: str) -> str:
    """Who acts, by default the login name."""
    return actor or getpass.getuser()


def security() -> ChannelSecurity:
    """TLS and token, from the environment and files only: arguments stand in every list of processes.

    Raises:
        typer.Exit: when a file cannot be used; the message names it.
    """
    try:
        return ChannelSecurity.from_env(os.environ)
    except SecurityError as error:
        raise refused(error) from error


def refused(error: SecurityError) -> typer.Exit:
    """Tells what is wrong with certificates or token, and answers how the command ends."""
    output.stderr.print(f"CONFIGURATION: {error}", markup=False)
    return typer.Exit(EXIT_USAGE)


@asynccontextmanager
async def connect(address: str, actor: str = "") -> AsyncIterator[Client]:
    """A client for the resolved address."""
    async with Client.connect(resolve_address(address), actor=resolve_actor(actor), security=security()) as client:
        yield client


async def resolve_migration(client: Client, migration_id: str) -> str:
    """The migration meant: as given, else the newest.

    Raises:
        typer.Exit: when there is none.
    """
    if migration_id:
        return migration_id
    migrations = await client.list_migrations()
    if not migrations:
        output.stderr.print("There is no migration yet; make one with `transload migration create`.")
        raise typer.Exit(EXIT_USAGE)
    return migrations[0].migration_id


@asynccontextmanager
async def connect_migration(migration_id: str, address: str, actor: str = "") -> AsyncIterator[tuple[Client, str]]:
    """A client for the resolved address, and the id of the migration meant.

    Raises:
        typer.Exit: when there is no migration.
    """
    async with connect(address, actor) as client:
        yield client, await resolve_migration(client, migration_id)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a command to its end; a refused call ends in one clear message and exit status 1, an absent ledger in 3."""
    try:
        asyncio.run(coroutine)
    except TransloadCallError as error:
        output.stderr.print(f"[bold]{error.reason}[/bold]: {str(error).replace('[', chr(92) + '[')}")
        for name, value in sorted(error.metadata.items()):
            output.stderr.print(f"  {name}: {value}", markup=False)
        raise typer.Exit(EXIT_UNREACHABLE if error.reason == "UNAVAILABLE" else EXIT_REFUSED) from error
    except SecurityError as error:
        raise refused(error) from error
    except KeyboardInterrupt:
        output.stderr.print("Stopped watching; the run goes on. See `transload migration watch`.")
        raise typer.Exit(130) from None
