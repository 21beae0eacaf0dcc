"""A ledger that was filled under the first version of the schema is brought up to date with all it holds, and goes on."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, select, text

from services.common.errors import ConfigurationError
from services.ledger.sql.engine import opened
from services.ledger.sql.ledger import SqlLedger
from services.ledger.sql.schema import alembic_config
from services.ledger.sql.session import METADATA
from tests.contract.ledger.journey import KEYS, Journey, state
from tests.contract.ledger.world import World, mapped, outcome
from tests.fakes.postgres import create_database, postgres_tool

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.requirement("L-14")
EACH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
FIRST = "0001"
AT_ONCE = 3


async def filled(folder: Path, clock: FakeClock) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """Every row of a ledger in the midst of a load, by table, and what it says of itself."""
    url = f"sqlite:///{folder / 'filled.db'}"
    async with SqlLedger.open(url, clock=clock) as ledger:
        await Journey(World(ledger, clock)).take()
        known = await state(ledger)
    async with opened(url) as database, database.read() as run:
        rows = await run(
            lambda connection: {table.name: [dict(row) for row in connection.execute(select(table)).mappings()] for table in METADATA.sorted_tables}
        )
    for head in rows["heads"]:
        head["event_hash"] = max(rows["events"], key=lambda event: int(event["sequence"]))["hash"]
    return rows, known


def put(connection: Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Make the first version of the schema, and put in what it has columns for."""
    command.upgrade(alembic_config(connection), FIRST)
    metadata = MetaData()
    metadata.reflect(connection)
    for table in metadata.sorted_tables:
        known = [{name: row[name] for name in table.columns.keys()} for row in rows.get(table.name, [])]  # noqa: SIM118 - no dict
        if known:
            connection.execute(table.insert(), known)


@EACH
async def test_a_filled_ledger_is_brought_up_to_date_by_several_at_once(database_url: str, clock: FakeClock, tmp_path: Path) -> None:
    rows, known = await filled(tmp_path, clock)
    assert all(rows[name] for name in ("migrations", "runs", "pages", "source_records", "records", "batches", "events", "event_payloads"))
    async with opened(database_url) as database, database.write() as run:
        await run(lambda connection: put(connection, rows))
    async with AsyncExitStack() as stack:
        ledger, *_ = await asyncio.gather(*(stack.enter_async_context(SqlLedger.open(database_url, clock=clock)) for _ in range(AT_ONCE)))
        assert await state(ledger) == known
        world = World(ledger, clock)
        assert all([(await world.get(key)).load_time for key in KEYS])
        key = "person:client/9"
        await world.expect(key, batch_id="b9")
        record = mapped(key, name="new")
        await world.begin_batch(record, batch_id="b9")
        assert await world.settle(outcome(key, "CREATED", target_id="9", image_json=b"{}", payload_digest=record.payload_digest), batch_id="b9")
        assert len((await state(ledger))["records"]) == len(KEYS) + 1


@EACH
async def test_a_schema_of_a_newer_version_is_left_alone(database_url: str, clock: FakeClock) -> None:
    async with SqlLedger.open(database_url, clock=clock):
        pass
    async with opened(database_url) as database, database.write() as run:
        await run(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")).close())
    with pytest.raises(ConfigurationError, match="newer Transload"):
        async with SqlLedger.open(database_url, clock=clock):
            pass


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_dump_of_a_ledger_at_work_is_one_whole_state(database_url: str, postgres: str, clock: FakeClock, tmp_path: Path) -> None:
    dump = tmp_path / "ledger.dump"
    async with SqlLedger.open(database_url, clock=clock) as ledger:
        journey = Journey(World(ledger, clock))
        await journey.take()
        known = await state(ledger)
        async with ledger.transaction() as tx:
            # In the midst of a transaction: it is not in the dump.
            await tx.save_migration(journey.world.migration("later"))
            await call(postgres_tool("pg_dump"), "--format=custom", f"--file={dump}", database_url)
        restored = await create_database(postgres, f"restored_{database_url.rpartition('/')[2]}")
        await call(postgres_tool("pg_restore"), "--exit-on-error", f"--dbname={restored}", str(dump))
    async with SqlLedger.open(restored, clock=clock) as ledger:
        assert await state(ledger) == known
        async with ledger.read() as reader:
            assert await reader.get_migration("later") is None
        journey = Journey(World(ledger, clock))
        for step in journey.steps().values():  # asked again after the restore, nothing happens twice
            await step()
        assert await state(ledger) == known
        with pytest.raises(Exception, match="append-only"):  # the triggers came along
            async with ledger.transaction() as tx:
                await tx._scalar(text("UPDATE events SET kind = 'x' RETURNING 1"))


async def call(*arguments: str) -> None:
    """Run one of PostgreSQL's programs."""
    done = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
