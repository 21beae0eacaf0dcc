"""Opens the database: SQLite for the embedded default, PostgreSQL for production. All that differs between them stands here."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, NullPool, QueuePool, RootTransaction, create_engine, event, text
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
# Classes of PostgreSQL's error codes that say nothing of the statement: connection, rolled back, no resources, locks, an operator, disk.
_PASSING_CODES: Final = ("08", "40", "53", "55", "57", "58")
_PASSING_STATES: Final = frozenset({"25P03", "25006"})
"""Idle in a transaction for too long; a server that only reads, because another has become the first."""
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
    """Open the database a URL names and close it at the end of the block.

    Raises:
        ConfigurationError: it is no URL, or neither SQLite in a file nor PostgreSQL.
    """
    database = open_database(normalise_url(url))
    try:
        yield database
    finally:
        await database.close()


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
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state.startswith(_PASSING_CODES) or state in _PASSING_STATES:
        return True
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


def _postgres_engine(url: URL, *, seconds: float | None = COMMAND_SECONDS, **options: Any) -> AsyncEngine:
    told = {"application_name": "transload-ledger", "idle_in_transaction_session_timeout": str(round(IDLE_SECONDS * 1000))}
    arguments = {"timeout": CONNECT_SECONDS, "command_timeout": seconds, "server_settings": told}
    return create_async_engine(url, hide_parameters=True, connect_args=arguments, **options)


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
