"""The tables in the code and the tables Alembic makes are the same, on every database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from services.common.errors import ConfigurationError
from services.ledger.sql.engine import normalise_url, open_database
from services.ledger.sql.ledger import SqlLedger
from services.ledger.sql.schema import alembic_config
from services.ledger.sql.session import METADATA

if TYPE_CHECKING:
    from tests.fakes.clock import FakeClock


async def test_models_and_migrations_do_not_drift(ledger: SqlLedger, database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA))

    assert ledger is not None
    database = open_database(normalise_url(database_url))
    try:
        async with database.read() as run:
            assert await run(differences) == []
            names = await run(lambda connection: set(inspect(connection).get_table_names()))
    finally:
        await database.close()
    assert names == {*METADATA.tables, "alembic_version"}


async def test_opening_twice_applies_versions_once(database_url: str, clock: FakeClock) -> None:
    for _ in range(2):
        async with SqlLedger.open(database_url, clock=clock) as ledger:
            await ledger.ping()


def test_versions_follow_each_other_without_branches() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert len(scripts.get_heads()) == 1
    assert [script.revision for script in scripts.walk_revisions()][-1] == "0001"


@pytest.mark.parametrize("url", ["mysql://host/x", "sqlite://", "sqlite:///:memory:", "nonsense"])
async def test_a_database_that_cannot_keep_the_ledger_is_refused(url: str, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="TRANSLOAD_LEDGER_DATABASE_URL"):
        async with SqlLedger.open(url, clock=clock):
            pass


async def test_sqlite_is_opened_so_that_a_power_cut_loses_nothing(ledger: SqlLedger, database_url: str) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("pragmas are SQLite's")
    async with ledger.transaction() as tx:
        values = [await tx._scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert values == ["wal", 2, 1]
