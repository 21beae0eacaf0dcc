"""Two ledger processes on one PostgreSQL, in the midst of a load: the one at work is killed, and the one after it stopped and woken again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from typing import TYPE_CHECKING

import asyncpg
import pytest

from services.common import grpc_client
from services.common.errors import UnavailableError
from tests.e2e.harness import ACTOR, Installation
from tests.fakes.postgres import PostgresUnavailableError, create_database, postgres_server
from tests.fault.conftest import IMPATIENT
from tests.fault.proof import SMALL, UNLIMITED, assert_complete, assert_owned_once
from transload.client import Client
from transload.embedded import ports
from transload.embedded.process import ManagedProcess
from transload.embedded.stack import Stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

pytestmark = [pytest.mark.slow]

TAKE_OVER_SECONDS = 240.0
LOAD_SECONDS = 400.0
POLL_SECONDS = 0.1


class TwoLedgers(Stack):
    """The embedded stack with a second ledger, known to all by a list of addresses."""

    def __init__(self, data_dir: Path, *, env: Mapping[str, str]) -> None:
        super().__init__(data_dir, env=env)
        self.second_address = f"{ports.HOST}:{ports.choose(set(), random.Random())}"
        self.second: ManagedProcess | None = None

    @property
    def ledgers(self) -> str:
        """Where the ledger may be."""
        return f"{self.addresses['ledger']},{self.second_address}"

    def _process(self, name: str, command: tuple[str, ...], env: Mapping[str, str]) -> ManagedProcess:
        both = {**env, "TRANSLOAD_LEDGER_ADDRESS": self.ledgers}
        if name == "ledger":
            own = {**both, "TRANSLOAD_GRPC_LISTEN": self.second_address, "TRANSLOAD_REPLICA": "ledger-2"}
            self.second = ManagedProcess("ledger-b", command, env=own, log_path=self.data_dir / "logs" / "ledger-b.log")
        return super()._process(name, command, both)

    def pid_of(self, replica: str) -> int:
        """Return the process of `ledger-1` or `ledger-2`."""
        pid = self.pid("ledger") if replica == "ledger-1" else self.second.pid if self.second else None
        assert pid is not None, f"{replica} is not running"
        return pid

    def address_of(self, replica: str) -> str:
        """Return where a replica listens."""
        return self.addresses["ledger"] if replica == "ledger-1" else self.second_address

    def log_of(self, replica: str) -> str:
        """Return what a replica logged."""
        return (self.data_dir / "logs" / ("ledger.log" if replica == "ledger-1" else "ledger-b.log")).read_text()


@contextlib.asynccontextmanager
async def two_ledgers(folder: Path, database: str) -> AsyncIterator[tuple[Installation, TwoLedgers]]:
    env = {**os.environ, **IMPATIENT, "TRANSLOAD_LEDGER_DATABASE_URL": database}
    async with contextlib.AsyncExitStack() as exits:
        stack = TwoLedgers(folder / "stack", env=env)
        await stack.start()
        exits.push_async_callback(stack.stop)
        assert stack.second is not None
        stack.second.start()
        exits.push_async_callback(stack.second.stop)
        await until_living(stack.second_address)
        client = await exits.enter_async_context(Client.connect(stack.ledgers, actor=ACTOR))
        yield Installation(folder, stack, client, env, exits), stack


async def until_living(address: str) -> None:
    """Wait until a process listens, at work or not."""
    async with asyncio.timeout(TAKE_OVER_SECONDS), grpc_client.channel(address) as channel:
        while True:
            try:
                return await grpc_client.ping(channel)
            except UnavailableError:
                await asyncio.sleep(POLL_SECONDS)


async def lease(database: str) -> tuple[str, int]:
    """Who has the lease, in which term."""
    connection = await asyncpg.connect(database)
    try:
        row = await connection.fetchrow("SELECT holder, term FROM leases")
    finally:
        await connection.close()
    return row["holder"], row["term"]


async def next_term(database: str, after: int) -> str:
    """Wait until the lease is in a newer term; return who has it."""
    async with asyncio.timeout(TAKE_OVER_SECONDS):
        while (held := await lease(database))[1] <= after:  # noqa: ASYNC110 - another process's row
            await asyncio.sleep(POLL_SECONDS)
    return held[0]


async def serves(address: str) -> bool:
    """Whether the ledger at an address lives, and says that work is welcome."""
    async with grpc_client.channel(address) as channel:
        await grpc_client.ping(channel, timeout_seconds=10)
        return await grpc_client.is_serving(channel, timeout_seconds=10)


@pytest.mark.requirement("X-04", "L-14")
async def test_a_killed_and_a_paused_ledger_cost_nothing_but_time(tmp_path: Path) -> None:
    with contextlib.ExitStack() as server:
        try:
            database = await create_database(server.enter_context(postgres_server()), "ledger")
        except PostgresUnavailableError as error:
            pytest.skip(f"no PostgreSQL here: {error}")
        async with two_ledgers(tmp_path, database) as (installed, stack), installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as way:
            first, term = await lease(database)
            assert (first, term, await serves(stack.address_of("ledger-1")), await serves(stack.address_of("ledger-2"))) == (
                "ledger-1",
                1,
                True,
                False,
            )
            before = await way.pipedrive.export()
            await way.start("audit")
            way.expect_success(await way.finish(seconds_max=LOAD_SECONDS), "audit")
            await way.confirm()
            await way.step("schema", seconds_max=LOAD_SECONDS)
            await way.step("sample", seconds_max=LOAD_SECONDS)
            await way.approve()
            await way.pipedrive.control("DELETE", "journal")
            await way.start("load")

            await way.until_requests(40)
            os.kill(stack.pid_of(first), signal.SIGKILL)
            second = await next_term(database, term)
            await way.until_requests(80)

            term = (await lease(database))[1]
            paused = stack.pid_of(second)
            os.kill(paused, signal.SIGSTOP)
            try:
                third = await next_term(database, term)
            finally:
                os.kill(paused, signal.SIGCONT)
            assert third != second
            way.expect_success(await way.finish(seconds_max=LOAD_SECONDS), "load")

            async with asyncio.timeout(TAKE_OVER_SECONDS):
                while "lease.lost" not in stack.log_of(second) or await serves(stack.address_of(second)):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(POLL_SECONDS)
            assert await serves(stack.address_of(third))
            assert stack.pid_of(second) == paused
            await assert_complete(way)
            await assert_owned_once(way, before)
