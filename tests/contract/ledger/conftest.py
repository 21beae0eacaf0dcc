from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import TYPE_CHECKING

import pytest

from services.ledger.sql.ledger import SqlLedger
from tests.contract.ledger.world import World
from tests.fakes.clock import FakeClock
from tests.fakes.postgres import PostgresUnavailableError, create_database, postgres_server
from tests.simulation.loop import SimulatedLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """One PostgreSQL for all tests of this process; where it cannot run the tests are skipped with the reason."""
    server = postgres_server()
    try:
        url = server.__enter__()
    except PostgresUnavailableError as error:
        pytest.skip(f"no PostgreSQL here: {error}")
    try:
        yield url
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(params=["sqlite", "sqlite in the loop", "postgresql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database of each kind; "in the loop" does the work of threads in the loop itself, as the simulation does."""
    if request.param == "sqlite in the loop":
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "run_in_executor", partial(SimulatedLoop.run_in_executor, loop))  # type: ignore[arg-type]  # any loop will do
    if request.param.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return await create_database(request.getfixturevalue("postgres"), f"ledger_{next(_NUMBERS)}")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def ledger(database_url: str, clock: FakeClock) -> AsyncIterator[SqlLedger]:
    async with SqlLedger.open(database_url, clock=clock) as opened:
        yield opened


@pytest.fixture
def world(ledger: SqlLedger, clock: FakeClock) -> World:
    """A migration in the middle of a load, to be set up by the test."""
    return World(ledger, clock)
