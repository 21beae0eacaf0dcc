"""Brings the database's schema up to date with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

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
    """Apply every version of the schema that is not applied yet, in one transaction."""
    async with database.write() as run:
        await run(lambda connection: command.upgrade(alembic_config(connection), "head"))


async def is_current(database: Database) -> bool:
    """Answer whether every version of the schema this program knows is applied, and none it does not know."""
    heads = set(ScriptDirectory.from_config(alembic_config()).get_heads())
    async with database.read() as run:
        return set(await run(lambda connection: MigrationContext.configure(connection).get_current_heads())) == heads
