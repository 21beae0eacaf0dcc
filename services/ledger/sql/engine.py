"""Opens the database: SQLite for the embedded default, PostgreSQL for production. All that differs between them stands here."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.common.errors import ConfigurationError

READERS_MAX = 8
"""Connections that read at the same time."""
BUSY_TIMEOUT_SECONDS = 30.0
"""How long SQLite waits for another process's lock (a copy being made, a person's shell)."""

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


def normalise_url(url: str) -> URL:
    """Read a database URL and put in the async driver.

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


def open_engines(url: URL) -> tuple[AsyncEngine, AsyncEngine]:
    """Open one engine for the writer and one for readers. Parameters never enter messages: they are people's data."""
    if url.get_backend_name() == "sqlite":
        arguments = {"timeout": BUSY_TIMEOUT_SECONDS}
        writer = create_async_engine(url, pool_size=1, max_overflow=0, hide_parameters=True, connect_args=arguments)
        reader = create_async_engine(url, pool_size=READERS_MAX, max_overflow=0, hide_parameters=True, connect_args=arguments)
        _prepare_sqlite(writer, begin="BEGIN IMMEDIATE", is_writer=True)
        _prepare_sqlite(reader, begin="BEGIN", is_writer=False)
        return writer, reader
    writer = create_async_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True)
    reader = create_async_engine(
        url, pool_size=READERS_MAX, max_overflow=0, pool_pre_ping=True, hide_parameters=True, isolation_level="REPEATABLE READ"
    )
    return writer, reader


def _prepare_sqlite(engine: AsyncEngine, *, begin: str, is_writer: bool) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # The driver must not open transactions by itself; "begin" below does.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.execute("PRAGMA cache_size=-32768")
        if not is_writer:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)
