"""Brings the database's schema up to date with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from services.common.errors import ConfigurationError
from services.ledger.sql.engine import Database

_SCRIPTS = Path(__file__).parent


def alembic_config(connection: Connection | None = None) -> Config:
    """Answer the configuration of Alembic; no ini file is needed."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


async def upgrade(database: Database) -> None:
    """Apply every version of the schema that is not applied yet, in one transaction. Who comes second waits, and finds nothing left to do.

    Raises:
        ConfigurationError: a newer Transload has changed the schema.
    """
    async with database.write(is_patient=True) as run:
        await run(_upgrade)


def _upgrade(connection: Connection) -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    known = {script.revision for script in scripts.walk_revisions()}
    found = set(MigrationContext.configure(connection).get_current_heads())
    if found - known:
        raise ConfigurationError(
            f"the ledger's database has schema {', '.join(sorted(found))}, and this program knows up to {scripts.get_current_head()}:"
            " a newer Transload has been at work there; run that one, or restore the backup made before"
        )
    command.upgrade(alembic_config(connection), "head")


async def is_current(database: Database) -> bool:
    """Answer whether every version of the schema this program knows is applied, and none it does not know."""
    heads = set(ScriptDirectory.from_config(alembic_config()).get_heads())
    async with database.read() as run:
        return set(await run(lambda connection: MigrationContext.configure(connection).get_current_heads())) == heads


async def has_leases(database: Database) -> bool:
    """Answer whether the schema has the table of the writer's lease."""
    async with database.read() as run:
        return bool(await run(lambda connection: inspect(connection).has_table("leases")))
