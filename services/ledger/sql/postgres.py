"""PostgreSQL: one writer by a lock and the term of its lease, readers on a state of their own, and limits on what may hold others up."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Connection, NullPool, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.common.errors import UnavailableError
from services.ledger.sql.driver_errors import Translated
from services.ledger.sql.session import Item, Runner

READERS_MAX: Final = 8
"""Connections that read at the same time."""
COMMAND_SECONDS: Final = 30.0
"""How long PostgreSQL may take over one statement, and a dead connection is believed in."""
CONNECT_SECONDS: Final = 10.0
IDLE_SECONDS: Final = 10.0
"""PostgreSQL ends a transaction that says nothing for so long: a process that was stopped in one would keep the others from writing."""

WRITER_LOCK: Final = 7_215_306_841
"""Advisory lock of the one writer on PostgreSQL; any number will do as long as it stays."""
WRITER: Final = "writer"
"""Name of the lease of the one writer."""
_LOCK: Final = text("SELECT pg_advisory_xact_lock(:lock)").bindparams(lock=WRITER_LOCK)
# A statement of its own: it has to see what was committed while the lock was waited for.
_TERM: Final = text("SELECT term FROM leases WHERE name = :name").bindparams(name=WRITER)


class PostgresDatabase:
    """PostgreSQL through asyncpg."""

    dialect = "postgresql"

    def __init__(self, url: URL) -> None:
        self._patient = _postgres_engine(url, poolclass=NullPool, seconds=None)
        self._writer = _postgres_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True)
        self._reader = _postgres_engine(url, pool_size=READERS_MAX, max_overflow=0, pool_pre_ping=True, isolation_level="REPEATABLE READ")
        self._side = _postgres_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True)
        self._term: int | None = None
        self._on_lost: Callable[[], None] = lambda: None

    def fence(self, term: int | None) -> None:
        """Let the writer commit only while this is the term of the lease; None takes the fence away."""
        self._term = term

    def on_lost(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the fence refused a transaction."""
        self._on_lost = listener

    @asynccontextmanager
    async def write(self, *, is_patient: bool = False) -> AsyncIterator[Runner]:
        """Begin the writer's transaction. The lock holds off other processes' writers, and until it is given back nobody can take the lease."""
        async with _in_greenlets(self._patient if is_patient else self._writer) as run:
            await run(lambda connection: connection.execute(_LOCK).close())
            if self._term is not None and self._term != await run(lambda connection: connection.execute(_TERM).scalar()):
                self._on_lost()
                raise UnavailableError("this ledger stands by: another one writes; ask again", reason="LEDGER_STANDBY")
            yield run

    @asynccontextmanager
    async def write_beside(self) -> AsyncIterator[Runner]:
        """Begin a transaction on a connection of its own, that waits for no writer."""
        async with _in_greenlets(self._side) as run:
            yield run

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Runner]:
        """Begin a read."""
        async with _in_greenlets(self._reader) as run:
            yield run

    async def write_whole(self, work: Callable[[Runner], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` inside the writer's transaction."""
        async with self.write() as run:
            return await work(run)

    async def read_whole(self, work: Callable[[Runner], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` on one consistent state."""
        async with self.read() as run:
            return await work(run)

    async def scrub(self) -> None:
        """Do nothing: what was deleted goes with the next VACUUM FULL, which is an operator's to run."""

    async def close(self) -> None:
        """Close all connections."""
        for engine in (self._reader, self._writer, self._side, self._patient):
            await engine.dispose()


@asynccontextmanager
async def _in_greenlets(engine: AsyncEngine) -> AsyncIterator[Runner]:
    async def run(work: Callable[[Connection], Item], /) -> Item:
        with Translated():
            return await connection.run_sync(work)

    with Translated():
        connection = await engine.connect()
    try:
        with Translated():
            transaction = await connection.begin()
        try:
            yield run
        except BaseException:
            with Translated():
                await transaction.rollback()
            raise
        with Translated():
            await transaction.commit()
    finally:
        with Translated():
            await connection.close()


def _postgres_engine(url: URL, *, seconds: float | None = COMMAND_SECONDS, **options: Any) -> AsyncEngine:
    told = {"application_name": "transload-ledger", "idle_in_transaction_session_timeout": str(round(IDLE_SECONDS * 1000))}
    arguments = {"timeout": CONNECT_SECONDS, "command_timeout": seconds, "server_settings": told}
    return create_async_engine(url, hide_parameters=True, connect_args=arguments, **options)
