"""Opens the database: SQLite for the embedded default, which is here, or PostgreSQL for production, which is in `postgres`.

All that differs between them stands in these two modules.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, QueuePool, RootTransaction, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from services.common.errors import ConfigurationError, UnavailableError
from services.ledger.sql.driver_errors import Translated
from services.ledger.sql.postgres import PostgresDatabase
from services.ledger.sql.session import Item, Runner

WRITER_CACHE_KIB: Final = 4096
READER_CACHE_KIB: Final = 1024
READERS_MAX: Final = 8
"""Connections that read at the same time."""
BUSY_TIMEOUT_SECONDS: Final = 30.0
"""How long SQLite waits for another process's lock (a copy being made, a person's shell)."""

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

    def write(self, *, is_patient: bool = False) -> AbstractAsyncContextManager[Runner]:
        """Begin the writer's transaction; commits at the end of the block, rolls back when it raises.

        Args:
            is_patient: a statement may take as long as it takes, as changes of the schema do.

        Raises:
            UnavailableError: also with `LEDGER_STANDBY`, when it was fenced and another has the lease now.
        """
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


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Open the database a URL names and close it at the end of the block. The folder of an SQLite file is made when it is not there.

    Raises:
        ConfigurationError: it is no URL, neither SQLite in a file nor PostgreSQL, or the folder cannot be made.
    """
    wanted = normalise_url(url)
    if wanted.get_backend_name() == "sqlite":
        _make_folder(Path(wanted.database or "").parent)
    database = open_database(wanted)
    try:
        yield database
    finally:
        await database.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise ConfigurationError(f"TRANSLOAD_LEDGER_DATABASE_URL: the folder {folder} of the database cannot be made: {problem}") from error


class SqliteDatabase:
    """SQLite in a file, in threads: one hop a statement where an async driver makes four, and one hop a transaction that runs as a whole."""

    dialect = "sqlite"

    def __init__(self, url: URL) -> None:
        self._writer = _sqlite_engine(url, size=1, begin="BEGIN IMMEDIATE", is_writer=True)
        self._reader = _sqlite_engine(url, size=READERS_MAX, begin="BEGIN", is_writer=False)
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="ledger-writer")
        self._reader_threads = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="ledger-reader")
        # Who waits for a connection must not wait in a thread: those who have one need the threads to go on and to give it back.
        self._readers = asyncio.Semaphore(READERS_MAX)

    @asynccontextmanager
    async def write(self, *, is_patient: bool = False) -> AsyncIterator[Runner]:  # noqa: ARG002 - SQLite has no limit that would have to be lifted
        """Begin the writer's transaction."""
        async with _in_threads(self._writer, self._writer_thread) as run:
            yield run

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Runner]:
        """Begin a read."""
        async with self._readers, _in_threads(self._reader, self._reader_threads) as run:
            yield run

    async def write_whole(self, work: Callable[[Runner], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` and everything around it in the writer's thread."""
        return await _uninterrupted(self._writer_thread, lambda: _in_this_thread(self._writer, work))

    async def read_whole(self, work: Callable[[Runner], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` and everything around it in a reader's thread."""
        async with self._readers:
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

        with Translated():
            is_busy = await _uninterrupted(self._writer_thread, work)
        if is_busy:
            raise UnavailableError("the ledger's database is being read: old copies of what was erased are not out of its log yet; ask again")

    async def close(self) -> None:
        """Close all connections and end the threads."""
        await asyncio.to_thread(self._reader_threads.shutdown)
        await asyncio.to_thread(self._writer_thread.shutdown)
        self._reader.dispose()
        self._writer.dispose()


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
        with Translated():
            return statement(connection)

    with Translated():
        connection = engine.connect()
    try:
        with Translated():
            transaction = connection.begin()
        try:
            answer = _driven(work(run))
        except BaseException:
            with Translated():
                transaction.rollback()
            raise
        with Translated():
            transaction.commit()
        return answer
    finally:
        with Translated():
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
        with Translated():
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
