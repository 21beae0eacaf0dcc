"""The way to PostgreSQL breaks wherever it can: every call ends well or says UNAVAILABLE, and repeated it leaves what one call leaves."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from services.common.errors import UnavailableError
from services.ledger.sql.engine import opened
from services.ledger.sql.lease import lease_of
from services.ledger.sql.ledger import SqlLedger
from tests.contract.ledger.journey import Journey, state
from tests.contract.ledger.world import M, World
from tests.fakes.clock import FakeClock
from tests.fakes.cutting_proxy import COMMIT, Cut, CuttingProxy, cutting_proxy
from tests.fakes.postgres import create_database, postgres_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


pytestmark = [pytest.mark.parametrize("database_url", ["postgresql"], indirect=True), pytest.mark.requirement("L-14")]

SEEDS = range(4)


@pytest.fixture
async def quiet(database_url: str, postgres: str, clock: FakeClock) -> dict[str, Any]:
    """The same journey without a cut."""
    url = f"{database_url}_quiet"
    connection = await asyncpg.connect(f"{postgres}/postgres")
    await connection.execute(f'CREATE DATABASE "{url.rpartition("/")[2]}"')
    await connection.close()
    async with SqlLedger.open(url, clock=clock) as ledger:
        await Journey(World(ledger, clock)).take()
        return await state(ledger)


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(database_url) as standing:
        yield standing


@pytest.mark.parametrize("cut", list(Cut))
async def test_a_commit_that_breaks_is_whole_or_nothing_in_each_call(proxy: CuttingProxy, quiet: dict[str, Any], clock: FakeClock, cut: Cut) -> None:
    async with SqlLedger.open(proxy.url, clock=clock) as ledger:
        journey = Journey(World(ledger, clock))
        await journey.take(before=lambda _: proxy.cut_once(COMMIT, cut))
        proxy.decide = lambda _: None
        assert proxy.cut_count >= len(journey.steps()) - 1
        assert journey.reasons == ["UNAVAILABLE"] * proxy.cut_count
        assert await state(ledger) == quiet


@pytest.mark.parametrize("seed", SEEDS)
async def test_cuts_anywhere_leave_what_a_quiet_way_leaves(proxy: CuttingProxy, quiet: dict[str, Any], clock: FakeClock, seed: int) -> None:
    rng = random.Random(seed)
    left = [rng.randrange(1, 60)]

    def decide(_data: bytes) -> Cut | None:
        left[0] -= 1
        if left[0]:
            return None
        left[0] = rng.randrange(1, 60)
        return rng.choice(list(Cut))

    async with SqlLedger.open(proxy.url, clock=clock) as ledger:
        proxy.decide = decide
        journey = Journey(World(ledger, clock))
        await journey.take()
        proxy.decide = lambda _: None
        assert proxy.cut_count > 0
        assert set(journey.reasons) <= {"UNAVAILABLE"}
        assert await state(ledger) == quiet


async def test_a_server_that_restarts_is_survived(database_url: str, quiet: dict[str, Any], clock: FakeClock) -> None:
    """Every session ends at once, in the words PostgreSQL uses when it is stopped."""
    async with SqlLedger.open(database_url, clock=clock) as ledger:
        watcher = await asyncpg.connect(database_url)
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        journey = Journey(World(ledger, clock))
        await journey.persist(journey.world.begin)
        for step in journey.steps().values():
            await watcher.execute(others)
            await journey.persist(step)
        with pytest.raises(UnavailableError):  # noqa: PT012 - the end of the transaction is what raises
            async with ledger.transaction() as tx:
                await watcher.execute(others)
                await tx.save_migration(journey.world.migration("late"))
        await watcher.close()
        assert await state(ledger) == quiet


async def test_a_server_that_crashes_in_any_call_is_survived(quiet: dict[str, Any], clock: FakeClock) -> None:
    """The server's processes end without a word in the middle of a call, and it recovers from its log: what was answered is there."""
    with postgres_process(is_durable=True) as server:
        async with SqlLedger.open(await create_database(server.url, "ledger"), clock=clock) as ledger:
            journey = Journey(World(ledger, clock))
            await journey.persist(journey.world.begin)
            for number, step in enumerate(journey.steps().values()):
                call = asyncio.ensure_future(step())
                for _ in range(number):  # in another place of each call
                    await asyncio.sleep(0)
                await asyncio.to_thread(server.crash)
                answers = await asyncio.gather(call, return_exceptions=True)
                assert not [one for one in answers if isinstance(one, BaseException) and not isinstance(one, UnavailableError)]
                await asyncio.to_thread(server.start)
                await journey.persist(step)
            assert set(journey.reasons) <= {"UNAVAILABLE"}
            assert await state(ledger) == quiet


@pytest.mark.parametrize("cut", list(Cut))
async def test_a_lease_is_carried_on_although_its_renewal_broke(proxy: CuttingProxy, clock: FakeClock, cut: Cut) -> None:
    async with opened(proxy.url) as database:
        await SqlLedger.on(database, clock=clock)
        store = lease_of(database, "a")
        lease = await store.take()
        assert lease is not None
        proxy.cut_once(COMMIT, cut)
        with pytest.raises(UnavailableError):
            await store.renew(lease)
        assert await store.renew(lease)


async def test_no_server_at_all_is_said_in_time(proxy: CuttingProxy, clock: FakeClock) -> None:
    async with SqlLedger.open(proxy.url, clock=clock) as ledger:
        proxy.decide = lambda _: Cut.BEFORE
        async with asyncio.timeout(20):
            with pytest.raises(UnavailableError):
                await ledger.ping()
            with pytest.raises(UnavailableError):
                await ledger.transact(lambda tx: tx.append_event(M, None))  # type: ignore[arg-type]  # it does not get that far
        proxy.decide = lambda _: None
        await ledger.ping()
