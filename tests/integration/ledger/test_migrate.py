"""`transload-service migrate` does what the ledger would do at its start, and `--wait` only waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError, UnavailableError
from services.ledger import migrate
from services.ledger.sql.engine import SqliteDatabase, normalise_url, opened
from services.ledger.sql.schema import is_current
from services.ledger.sql.session import Runner
from tests.fakes.clock import FakeClock
from tests.fakes.postgres import PostgresUnavailableError, create_database, postgres_server


async def brought_up_to_date(url: str, clock: FakeClock) -> None:
    async with opened(url) as database:
        assert not await is_current(database)
        with pytest.raises(UnavailableError, match="migrate"):
            await migrate.wait(database, clock=clock, wait_seconds=0)
        await migrate.migrate(database, clock=clock)
        await migrate.wait(database, clock=clock, wait_seconds=0)
        await migrate.migrate(database, clock=clock)
        assert await is_current(database)


async def test_an_empty_database_is_brought_up_to_date_once(tmp_path: Path, clock: FakeClock) -> None:
    await brought_up_to_date(f"sqlite:///{tmp_path / 'new' / 'ledger.db'}", clock)


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"taken/data of the database cannot be made"):
        async with opened(f"sqlite:///{tmp_path / 'taken' / 'data' / 'ledger.db'}"):
            pass


async def test_the_same_on_postgresql(clock: FakeClock) -> None:
    try:
        with postgres_server() as server:
            await brought_up_to_date(await create_database(server, "ledger"), clock)
    except PostgresUnavailableError as error:
        pytest.skip(str(error))


class Away(SqliteDatabase):
    """Does not answer the first times."""

    refusals = 2

    @asynccontextmanager
    async def write(self, *, is_patient: bool = False) -> AsyncIterator[Runner]:
        self.refusals -= 1
        if self.refusals >= 0:
            raise UnavailableError("starting up")
        async with super().write(is_patient=is_patient) as run:
            yield run


async def test_a_database_that_starts_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    database = Away(normalise_url(f"sqlite:///{tmp_path / 'ledger.db'}"))
    try:
        clock = FakeClock(is_automatic=True)
        await migrate.migrate(database, clock=clock)
        assert await is_current(database)
        database.refusals = 10_000
        with pytest.raises(UnavailableError, match="starting up"):
            await migrate.migrate(database, clock=clock, patience_seconds=20)
    finally:
        await database.close()


async def test_the_program_says_by_its_exit_code_how_it_went(tmp_path: Path) -> None:
    environ = {"TRANSLOAD_LEDGER_DATABASE_URL_FILE": str(tmp_path / "url")}
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path / 'new' / 'ledger.db'}\n")
    assert await asyncio.to_thread(migrate.main, ["--wait", "0"], environ) == 1
    assert await asyncio.to_thread(migrate.main, [], environ) == 0
    assert await asyncio.to_thread(migrate.main, ["--wait", "0"], environ) == 0
    assert await asyncio.to_thread(migrate.main, [], {"TRANSLOAD_LEDGER_DATABASE_URL": "mysql://x"}) == 2
