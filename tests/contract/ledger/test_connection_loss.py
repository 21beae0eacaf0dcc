"""The way to PostgreSQL breaks wherever it can: every call ends well or says UNAVAILABLE, and repeated it leaves what one call leaves."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from services.common.errors import UnavailableError
from services.ledger.audit import verify_trail
from services.ledger.domain import RecordFilter
from services.ledger.ledger_servicer import LedgerServicer
from services.ledger.sql.engine import opened
from services.ledger.sql.lease import lease_of
from services.ledger.sql.ledger import SqlLedger
from tests.contract.ledger.world import CONTEXT, RUN, M, World, mapped, outcome
from tests.fakes.clock import FakeClock
from tests.fakes.cutting_proxy import COMMIT, Cut, CuttingProxy, cutting_proxy
from transload.v1 import ledger_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


pytestmark = [pytest.mark.parametrize("database_url", ["postgresql"], indirect=True), pytest.mark.requirement("L-14")]

NO_CALLS = pb.DebitSourceCallsRequest(connection="stel", day="2026-05-04", daily_limit=100, request_id="look")
KEYS = ("person:client/1", "person:client/2")
ATTEMPTS = 40
SEEDS = range(4)


class Journey:
    """What workers ask of the ledger for one page, each step repeated until it was answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.page = world.page()
        self.reasons: list[str] = []
        """Of the refusals met on the way."""

    def steps(self) -> dict[str, Callable[[], Awaitable[Any]]]:
        world, servicer = self.world, self.world.servicer
        debit = pb.DebitSourceCallsRequest(
            connection="stel", day="2026-05-04", call_count=7, daily_limit=100, extraction_id=self.page.extraction_id, request_id="debit-1"
        )
        hold = pb.HoldBudgetRequest(connection="pipedrive-acme", holder="loader-1/a")
        hold.term.FromSeconds(60)
        records = [mapped(key, name=key) for key in KEYS]
        outcomes = [
            outcome(record.key, "CREATED", tokens=5, target_id=record.key[-1], image_json=b"{}", payload_digest=record.payload_digest)
            for record in records
        ]
        return {
            "RecordPage": lambda: world.record_page(self.page, "1", "2"),
            "RecordTransform": self._transform,
            "BeginBatch": lambda: world.begin_batch(*records, request_id="begin-x"),
            "SettleBatch": lambda: world.settle(*outcomes, request_id="settle-x"),
            "DebitSourceCalls": lambda: servicer.DebitSourceCalls(debit, CONTEXT),
            "HoldBudget": lambda: servicer.HoldBudget(hold, CONTEXT),
            "GetWorkContext": lambda: servicer.GetWorkContext(pb.GetWorkContextRequest(migration_id=M), CONTEXT),
        }

    async def _transform(self) -> bool:
        return await self.world.transform(await self.world.announce(self.page), KEYS)

    async def persist(self, step: Callable[[], Awaitable[Any]]) -> None:
        for _ in range(ATTEMPTS):
            try:
                await step()
            except UnavailableError as error:
                self.reasons.append(error.reason)
            else:
                return
        raise AssertionError("the ledger did not go on by itself")

    async def take(self, *, before: Callable[[str], None] = lambda _: None) -> None:
        await self.persist(self.world.begin)
        for name, step in self.steps().items():
            before(name)
            await self.persist(step)


async def state(ledger: SqlLedger) -> dict[str, Any]:
    """What stands in the ledger, without what differs between two equal ways."""
    async with ledger.read() as reader:
        records = await reader.list_records(M, RecordFilter(), limit=100)
        run = await reader.get_run(RUN)
        events = await reader.list_events(M)
        report = await verify_trail(reader, M)
        assert run is not None
        assert report.is_whole, report.message
        return {
            "records": sorted((record.key, record.state, record.target_id) for record in records),
            "tokens": run.token_count,
            # That a batch was asked for again is told again; what happened to its records is not.
            "events": list(dict.fromkeys((event.kind, event.key, event.result) for event in events)),
            "results": len([event for event in events if event.key]),
            "used": (await LedgerServicer(ledger=ledger, clock=FakeClock()).DebitSourceCalls(NO_CALLS, CONTEXT)).used_count,
            "pages": [page.page_id for page in await reader.list_pages(M, after_sequence=0, limit=10)],
        }


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
