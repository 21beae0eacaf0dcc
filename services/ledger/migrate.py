"""`transload-service migrate` brings the ledger's schema up to date and ends; `--wait` changes nothing and ends once somebody has done it.

The ledger does the same at its start. Before a rollout it is better done apart: a migration that fails then leaves what runs as it is, and only
this program needs the right to change tables.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING, Final

from services.common import telemetry
from services.common.clock import SystemClock
from services.common.errors import ConfigurationError, TransloadError, UnavailableError
from services.common.runtime import EXIT_CONFIGURATION
from services.common.settings import EnvReader
from services.ledger.settings import database_url
from services.ledger.sql.engine import opened
from services.ledger.sql.schema import is_current, upgrade

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.common.clock import Clock
    from services.ledger.sql.engine import Database

_LOG = telemetry.get_logger("services.ledger.migrate")  # run as a program its name would be another

POLL_SECONDS: Final = 2.0
DATABASE_SECONDS: Final = 120.0
"""How long a database that does not answer is asked again: a new one takes its time."""


async def migrate(database: Database, *, clock: Clock, patience_seconds: float = DATABASE_SECONDS) -> None:
    """Applies what is missing. Raises UnavailableError when the database did not answer for `patience_seconds`."""
    until = clock.monotonic() + patience_seconds
    while True:
        try:
            return await upgrade(database)
        except UnavailableError as error:
            if clock.monotonic() >= until:
                raise
            _LOG.warning("schema.database_away", problem=error.message)
        await clock.sleep(POLL_SECONDS)


async def wait(database: Database, *, clock: Clock, wait_seconds: float) -> None:
    """Returns once the schema is the one this program knows. Raises UnavailableError when it is not within `wait_seconds`."""
    until = clock.monotonic() + wait_seconds
    problem = "its schema is not up to date: run `transload-service migrate`"
    while True:
        try:
            if await is_current(database):
                return
        except UnavailableError as error:
            problem = error.message
        if clock.monotonic() >= until:
            raise UnavailableError(f"the ledger's database was not ready within {wait_seconds:.0f} s: {problem}")
        await clock.sleep(POLL_SECONDS)


async def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Opens the database the environment names and does what was asked."""
    clock = SystemClock()
    async with opened(database_url(EnvReader(environ))) as database:
        if arguments.wait is None:
            await migrate(database, clock=clock)
        else:
            await wait(database, clock=clock, wait_seconds=arguments.wait)
    _LOG.info("schema.up_to_date")


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Answers the exit code: 0 done, 1 the database refused or did not answer, 2 the environment is wrong."""
    parser = argparse.ArgumentParser(prog="transload-service migrate", description="Bring the ledger's schema up to date.")
    parser.add_argument("--wait", type=float, metavar="SECONDS", help="change nothing; wait until the schema is up to date")
    given = parser.parse_args(arguments)
    telemetry.setup("migrate", environ={})
    try:
        asyncio.run(run(given, environ))
    except ConfigurationError as error:
        _LOG.error("schema.misconfigured", problem=error.message, **error.metadata)
        return EXIT_CONFIGURATION
    except TransloadError as error:
        _LOG.error("schema.failed", problem=error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
