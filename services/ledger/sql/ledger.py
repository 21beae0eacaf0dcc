"""The repository on SQLAlchemy: one writer, readers beside it, listeners after each commit."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Self

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.common.clock import Clock
from services.common.errors import TransloadError, UnavailableError
from services.ledger.audit import new_salt
from services.ledger.domain import Migration, OutboxMessage, Run
from services.ledger.repository import Listener
from services.ledger.sql.engine import normalise_url, open_engines
from services.ledger.sql.erasure import Eraser
from services.ledger.sql.extraction import ExtractionReader, ExtractionWriter
from services.ledger.sql.records import RecordReader, RecordWriter
from services.ledger.sql.review import ReviewReader, ReviewWriter
from services.ledger.sql.runs import RunReader, RunWriter
from services.ledger.sql.schema import upgrade
from services.ledger.sql.session import Statements
from services.ledger.sql.work import WorkReader, WorkWriter

_WRITER_LOCK: Final = 7_215_306_841
"""Advisory lock of the one writer on PostgreSQL; any number will do as long as it stays."""


class SqlReader(RunReader, WorkReader, RecordReader, ReviewReader, ExtractionReader):
    """All queries."""


class SqlTransaction(RunWriter, WorkWriter, RecordWriter, ReviewWriter, ExtractionWriter, Eraser):
    """All queries and writes."""

    def __init__(self, connection: AsyncConnection, statements: Statements, now: Callable[[], datetime], salt: Callable[[], bytes]) -> None:
        super().__init__(connection, statements, now, salt)

    async def add_outbox(self, messages: Sequence[OutboxMessage]) -> None:
        """Queue messages; the relay hears of it after the commit."""
        await super().add_outbox(messages)
        self.touched.update(message.migration_id for message in messages)

    async def save_migration(self, migration: Migration) -> None:
        """Write a migration, new or changed."""
        await super().save_migration(migration)
        self.touched.add(migration.migration_id)

    async def save_run(self, run: Run) -> None:
        """Write a run, new or changed; its `token_count` is left alone."""
        await super().save_run(run)
        self.touched.add(run.migration_id)

    async def finish(self) -> None:
        """Write what is written once a transaction."""
        await self._flush_heads()


class SqlLedger:
    """The ledger's storage on SQLite or PostgreSQL."""

    def __init__(self, writer: AsyncEngine, reader: AsyncEngine, clock: Clock, salt: Callable[[], bytes]) -> None:
        self._writer, self._reader, self._clock, self._salt = writer, reader, clock, salt
        self._statements = Statements(writer.dialect.name)
        self._write_lock = asyncio.Lock()
        self._listeners: list[Listener] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, clock: Clock, salt: Callable[[], bytes] = new_salt) -> AsyncIterator[Self]:
        """Open the database, bring its schema up to date, and close it at the end of the block.

        Args:
            url: `sqlite:///<file>` or `postgresql://...`.
            clock: stamps events.
            salt: makes the salt of a payload.

        Raises:
            ConfigurationError: the URL is none of these.
            UnavailableError: the database does not answer.
        """
        writer, reader = open_engines(normalise_url(url))
        try:
            with _translated():
                await upgrade(writer)
            yield cls(writer, reader, clock, salt)
        finally:
            await reader.dispose()
            await writer.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """Begin a unit of work: commits at the end of the block, rolls back when it raises."""
        with _translated():
            async with self._write_lock, self._writer.begin() as connection:
                if connection.dialect.name == "postgresql":
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITER_LOCK})
                transaction = SqlTransaction(connection, self._statements, self._clock.now, self._salt)
                yield transaction
                await transaction.finish()
        for migration_id in transaction.touched:
            self.on_change(migration_id)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlReader]:
        """Begin a consistent read that does not wait for the writer."""
        with _translated():
            async with self._reader.connect() as connection, connection.begin():
                yield SqlReader(connection, self._statements)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every commit that changed a migration; answers how to stop it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def on_change(self, migration_id: str) -> None:
        """Tell the listeners that a migration changed."""
        for listener in tuple(self._listeners):
            listener(migration_id)

    async def ping(self) -> None:
        """Raise `UnavailableError` unless the database answers."""
        with _translated():
            async with self._reader.connect() as connection:
                await connection.execute(text("SELECT 1"))


class _translated:  # noqa: N801 - used like a function
    """Keeps the database's exceptions inside: what comes out is the ledger's own."""

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
