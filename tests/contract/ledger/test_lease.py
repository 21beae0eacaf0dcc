"""One writer at a time, on a real PostgreSQL: nobody commits under a term that is over, however late it wakes up."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from services.common.errors import UnavailableError
from services.ledger.leading import leading
from services.ledger.lease import Lease, LeaseStore
from services.ledger.sql import postgres
from services.ledger.sql.engine import Database, opened
from services.ledger.sql.lease import lease_of
from services.ledger.sql.ledger import SqlLedger
from tests.contract.ledger.world import M, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
POLL_SECONDS = 0.05
WAIT_SECONDS = 20.0


class Replica:
    """One ledger process's view of the database."""

    def __init__(self, database: Database, store: LeaseStore, ledger: SqlLedger, clock: FakeClock) -> None:
        self.database, self.store, self.ledger = database, store, ledger
        self.world = World(ledger, clock)

    async def take(self) -> Lease | None:
        return await self.store.take()

    async def write(self, migration_id: str) -> None:
        async with self.ledger.transaction() as tx:
            await tx.save_migration(self.world.migration(migration_id))

    async def known(self) -> list[str]:
        async with self.ledger.read() as reader:
            return [name for name in (M, "late", "newer") if await reader.get_migration(name)]

    async def let_expire(self) -> None:
        """Make the lease run out, as the database's clock would."""
        assert isinstance(self.database, postgres.PostgresDatabase)
        async with self.database.write_beside() as run:
            await run(lambda connection: connection.execute(text("UPDATE leases SET expire_time = 1")).close())


@asynccontextmanager
async def replica(url: str, name: str, clock: FakeClock) -> AsyncIterator[Replica]:
    async with opened(url) as database:
        yield Replica(database, lease_of(database, name), await SqlLedger.on(database, clock=clock), clock)


@pytest.fixture
async def pair(database_url: str, clock: FakeClock) -> AsyncIterator[tuple[Replica, Replica]]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(replica(database_url, "a", clock)), await stack.enter_async_context(replica(database_url, "b", clock))


async def taken_over(by: Replica) -> Lease:
    async with asyncio.timeout(WAIT_SECONDS):
        while (lease := await by.take()) is None:  # noqa: ASYNC110 - another process's transaction ends, nothing tells us
            await asyncio.sleep(POLL_SECONDS)
    return lease


async def test_the_second_stands_by_until_the_lease_runs_out(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    first = await one.take()
    assert first is not None
    assert await two.take() is None
    assert not await two.store.is_free()
    await one.let_expire()
    assert await two.store.is_free()
    second = await two.take()
    assert second is not None
    assert (second.term, second.holder) == (first.term + 1, "b")
    assert not await one.store.renew(first)
    assert await two.store.renew(second)


async def test_what_comes_from_an_older_term_is_refused_and_its_ledger_told(pair: tuple[Replica, Replica]) -> None:
    one, two = pair
    lost: list[bool] = []
    one.store.on_lost(lambda: lost.append(True))
    await one.take()
    await one.write(M)
    await one.let_expire()
    await one.write("newer")  # it ran out, but nobody took it
    assert await two.take()
    with pytest.raises(UnavailableError) as caught:
        await one.write("late")
    assert (caught.value.reason, lost) == ("LEDGER_STANDBY", [True])
    with pytest.raises(UnavailableError, match="stands by"):
        await one.ledger.transact(lambda tx: tx.save_migration(one.world.migration("late")))
    assert await two.known() == [M, "newer"]


async def test_a_writer_stopped_in_a_transaction_holds_up_nobody_and_cannot_commit(
    database_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "IDLE_SECONDS", 0.5)
    async with replica(database_url, "a", clock) as one, replica(database_url, "b", clock) as two:
        await one.take()
        with pytest.raises(UnavailableError):  # noqa: PT012 - the end of the transaction is what raises
            async with one.ledger.transaction() as tx:
                await tx.save_migration(one.world.migration("late"))
                await one.let_expire()
                assert await two.take() is None  # the transaction may still be committed under the old term
                lease = await taken_over(two)
        assert lease.term == 2
        await two.write("newer")
        assert await two.known() == ["newer"]


async def test_who_stops_in_peace_is_followed_at_once(pair: tuple[Replica, Replica], clock: FakeClock) -> None:
    one, two = pair
    async with leading(one.store, clock) as first:
        assert first is not None
        async with leading(two.store, clock) as none:
            assert none is None
    async with leading(two.store, clock) as second:
        assert second is not None
        with suppress(UnavailableError):
            await one.write("late")
        assert await two.known() == []


async def test_terms_go_on_where_they_were(pair: tuple[Replica, Replica]) -> None:
    terms = []
    for number in range(4):
        lease = await pair[number % 2].take()
        assert lease is not None
        terms.append(lease.term)
        await pair[number % 2].store.release(lease)
    assert terms == [1, 2, 3, 4]
