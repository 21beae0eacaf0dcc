"""Opens the database: SQLite for the embedded default, PostgreSQL for production. All that differs between them stands here."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, QueuePool, RootTransaction, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.common.errors import ConfigurationError, TransloadError, UnavailableError
from services.ledger.sql.session import Item, Runner

WRITER_CACHE_KIB: Final = 4096
READER_CACHE_KIB: Final = 1024
READERS_MAX: Final = 8
"""Connections that read at the same time."""
BUSY_TIMEOUT_SECONDS: Final = 30.0
"""How long SQLite waits for another process's lock (a copy being made, a person's shell)."""

_WRITER_LOCK: Final = 7_215_306_841
"""Advisory lock of the one writer on PostgreSQL; any number will do as long as it stays."""
_DRIVERS: Final = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+asyncpg"}


def normalise_url(url: str) -> URL:
    """Read a database URL and put in the driver.

    Raises:
        ConfigurationError: it is no URL, or neither SQLite in a file nor PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError("TRANSLOAD_LEDGER_DATABASE_URL is not a database URL") from error
    kind = parsed.get_backend_name()
    if kind not in _DRIVERS:
        raise ConfigurationError("TRANSLOAD_LEDGER_DATABASE_URL must begin with sqlite:/// or postgresql://")
    if kind == "sqlite" and (not parsed.database or parsed.database == ":memory:"):
        raise ConfigurationError("TRANSLOAD_LEDGER_DATABASE_URL must name a file: the ledger has to survive its process")
    return parsed.set(drivername=_DRIVERS[kind])


class Database(Protocol):
    """An open database. Parameters of statements never enter messages: they are people's data."""

    dialect: str

    def write(self) -> AbstractAsyncContextManager[Runner]:
        """Begin the writer's transaction; commits at the end of the block, rolls back when it raises."""
        ...

    def read(self) -> AbstractAsyncContextManager[Runner]:
        """Begin a transaction that sees one consistent state."""
        ...

    async def write_whole(self, work: Callable[[Runner], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` inside the writer's transaction. It may wait for nothing but the statements it runs."""
        ...

    async def read_whole(self, work: Callable[[Runner], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` on one consistent state. It may wait for nothing but the statements it runs."""
        ...

    async def scrub(self) -> None:
        """Take what was deleted out of the files as well, as far as the database can. No transaction may be open in the writer.

        Raises:
            UnavailableError: a reader is in the way.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def open_database(url: URL) -> Database:
    """Open the database a normalised URL names. Connects at the first use."""
    return SqliteDatabase(url) if url.get_backend_name() == "sqlite" else PostgresDatabase(url)


class PostgresDatabase:
    """PostgreSQL through asyncpg."""

    dialect = "postgresql"

    def __init__(self, url: URL) -> None:
        options: dict[str, Any] = {"max_overflow": 0, "pool_pre_ping": True, "hide_parameters": True}
        self._writer = create_async_engine(url, pool_size=1, **options)
        self._reader = create_async_engine(url, pool_size=READERS_MAX, isolation_level="REPEATABLE READ", **options)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Runner]:
        """Begin the writer's transaction. The lock holds off other processes' writers."""
        async with _in_greenlets(self._writer) as run:
            await run(lambda connection: connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITER_LOCK}).close())
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
        await self._reader.dispose()
        await self._writer.dispose()


class SqliteDatabase:
    """SQLite in a file, in threads: one hop a statement where an async driver makes four, and one hop a transaction that runs as a whole."""

    dialect = "sqlite"

    def __init__(self, url: URL) -> None:
        self._writer = _sqlite_engine(url, size=1, begin="BEGIN IMMEDIATE", is_writer=True)
        self._reader = _sqlite_engine(url, size=READERS_MAX, begin="BEGIN", is_writer=False)
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="ledger-writer")
        self._reader_threads = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="ledger-reader")

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Runner]:
        """Begin the writer's transaction."""
        async with _in_threads(self._writer, self._writer_thread) as run:
            yield run

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Runner]:
        """Begin a read."""
        async with _in_threads(self._reader, self._reader_threads) as run:
            yield run

    async def write_whole(self, work: Callable[[Runner], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` and everything around it in the writer's thread."""
        return await _uninterrupted(self._writer_thread, lambda: _in_this_thread(self._writer, work))

    async def read_whole(self, work: Callable[[Runner], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` and everything around it in a reader's thread."""
        return await _uninterrupted(self._reader_threads, lambda: _in_this_thread(self._reader, work))

    async def scrub(self) -> None:
        """Move the log into the database and empty it: deleted content is overwritten there (`secure_delete`), but old copies stand in the log."""

        def work() -> bool:
            connection = self._writer.raw_connection()
            try:
                busy, *_ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.close()
            return bool(busy)

        with _Translated():
            is_busy = await _uninterrupted(self._writer_thread, work)
        if is_busy:
            raise UnavailableError("the ledger's database is being read: old copies of what was erased are not out of its log yet; ask again")

    async def close(self) -> None:
        """Close all connections and end the threads."""
        await asyncio.to_thread(self._reader_threads.shutdown)
        await asyncio.to_thread(self._writer_thread.shutdown)
        self._reader.dispose()
        self._writer.dispose()


class _Translated:
    """Keeps the driver's exceptions inside. Around calls of the driver only: what a caller's own block raises is not the database's fault."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate."""
        if isinstance(error, PoolTimeoutError | OSError) or (isinstance(error, DBAPIError) and _is_away(error)):
            raise UnavailableError(f"the ledger's database does not answer or refuses to write: {_words(error)}") from error
        if isinstance(error, SQLAlchemyError):
            raise TransloadError(f"the ledger's database refused a statement: {_words(error)}") from error


def _is_away(error: DBAPIError) -> bool:
    return error.connection_invalidated or type(error).__name__ in {"OperationalError", "InterfaceError", "InternalError"}


def _words(error: BaseException) -> str:
    """Answer the driver's first line, without statement and parameters."""
    origin = getattr(error, "orig", None) or error
    return str(origin).partition("\n")[0][:200]


@asynccontextmanager
async def _in_greenlets(engine: AsyncEngine) -> AsyncIterator[Runner]:
    async def run(work: Callable[[Connection], Item], /) -> Item:
        with _Translated():
            return await connection.run_sync(work)

    with _Translated():
        connection = await engine.connect()
    try:
        with _Translated():
            transaction = await connection.begin()
        try:
            yield run
        except BaseException:
            with _Translated():
                await transaction.rollback()
            raise
        with _Translated():
            await transaction.commit()
    finally:
        with _Translated():
            await connection.close()


async def _uninterrupted(threads: ThreadPoolExecutor, work: Callable[[], Item]) -> Item:
    """Run `work` in a thread. What has begun there cannot be called back: whoever is cancelled waits until it has ended."""
    running = asyncio.get_running_loop().run_in_executor(threads, contextvars.copy_context().run, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        raise


def _in_this_thread(engine: Engine, work: Callable[[Runner], Coroutine[Any, Any, Item]]) -> Item:
    async def run(statement: Callable[[Connection], Any], /) -> Any:
        with _Translated():
            return statement(connection)

    with _Translated():
        connection = engine.connect()
    try:
        with _Translated():
            transaction = connection.begin()
        try:
            answer = _driven(work(run))
        except BaseException:
            with _Translated():
                transaction.rollback()
            raise
        with _Translated():
            transaction.commit()
        return answer
    finally:
        with _Translated():
            connection.close()


def _driven(work: Coroutine[Any, Any, Item]) -> Item:
    """Run a coroutine whose every wait is over at once."""
    try:
        work.send(None)
    except StopIteration as end:
        answer: Item = end.value
        return answer
    work.close()
    raise RuntimeError("a whole transaction waited for something else than its statements")


@asynccontextmanager
async def _in_threads(engine: Engine, threads: ThreadPoolExecutor) -> AsyncIterator[Runner]:
    async def go(work: Callable[[], Item]) -> Item:
        with _Translated():
            return await _uninterrupted(threads, work)

    opened: list[tuple[Connection, RootTransaction]] = []

    def begin() -> None:
        connection = engine.connect()
        try:
            opened.append((connection, connection.begin()))
        except BaseException:
            connection.close()
            raise

    def end(*, is_good: bool) -> None:
        while opened:
            connection, transaction = opened.pop()
            try:
                transaction.commit() if is_good else transaction.rollback()
            finally:
                connection.close()

    async def run(work: Callable[[Connection], Item], /) -> Item:
        return await go(lambda: work(opened[0][0]))

    try:
        await go(begin)
        yield run
    except BaseException:
        # Whoever was cancelled while it began has an open connection, too.
        await go(lambda: end(is_good=False))
        raise
    await go(lambda: end(is_good=True))


def _sqlite_engine(url: URL, *, size: int, begin: str, is_writer: bool) -> Engine:
    arguments = {"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    engine = create_engine(url, poolclass=QueuePool, pool_size=size, max_overflow=0, hide_parameters=True, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # The driver must not open transactions by itself; "begin" below does.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        # What is deleted is overwritten, so that erasing is erasing; most builds do so by themselves.
        cursor.execute("PRAGMA secure_delete=ON")
        # Pages kept by each connection; memory must not grow with the database, and the kernel caches the file anyway.
        cursor.execute(f"PRAGMA cache_size=-{WRITER_CACHE_KIB if is_writer else READER_CACHE_KIB}")
        if not is_writer:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
