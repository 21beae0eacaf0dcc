"""`transload nats-keys`: the keys by which the services show NATS who they are."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from transload import nats_keys as keys
from transload.cli import output
from transload.cli.session import EXIT_REFUSED, JsonOption


class Service(StrEnum):
    """Those that have a key."""

    LEDGER = "ledger"
    TRANSFORMER = "transformer"
    LOADER = "loader"


FolderArgument = Annotated[
    Path, typer.Argument(help="Folder of the keys; made if missing. Whoever has it can be each of the services: keep it safe.")
]
ChangeOption = Annotated[Service | None, typer.Option("--change", help="Give this service a new key; its old one is let in beside.")]
WithdrawOption = Annotated[Service | None, typer.Option("--withdraw", help="Let this service's old key in no longer.")]


def nats_keys(folder: FolderArgument, *, change: ChangeOption = None, withdraw: WithdrawOption = None, json_output: JsonOption = False) -> None:
    """Make the services' keys for NATS, or change one. Writes <service>.seed for each service, and keys.conf for the servers.

    Nothing is asked of NATS or of the services: hand the files to them (docs/operations.md, "The keys for NATS").
    """
    try:
        found = keys.write(folder, change=change or "", withdraw=withdraw or "")
    except keys.KeyFolderError as error:
        output.stderr.print(str(error), markup=False)
        raise typer.Exit(EXIT_REFUSED) from error
    if json_output:
        output.print_json([asdict(one) for one in found])
        return
    output.stdout.print(
        output.table("Public keys", ("service", "its key", "let in beside"), [(one.service, one.public, one.before) for one in found])
    )
