"""The repository on SQLAlchemy: one writer, readers beside it, listeners after each commit."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Self, TypeVar

from sqlalchemy import text

from services.common import instruments, telemetry
from services.common.clock import Clock
from services.common.errors import UnavailableError
from services.ledger.audit import new_salt
from services.ledger.domain import Migration, OutboxMessage, Run
from services.ledger.repository import Listener
from services.ledger.sql.engine import Database, opened
from services.ledger.sql.erasure import Eraser, MentionReader
from services.ledger.sql.extraction import ExtractionReader, ExtractionWriter
from services.ledger.sql.kept import KeptReader, KeptWriter
from services.ledger.sql.matching import MatchReader, MatchWriter
from services.ledger.sql.records import RecordReader, RecordWriter
from services.ledger.sql.review import ReviewReader, ReviewWriter
from services.ledger.sql.runs import RunReader, RunWriter
from services.ledger.sql.schema import upgrade
from services.ledger.sql.session import Runner, Statements
from services.ledger.sql.work import WorkReader, WorkWriter

Item = TypeVar("Item")


class SqlReader(RunReader, WorkReader, RecordReader, KeptReader, MatchReader, ReviewReader, ExtractionReader, MentionReader):
    """All queries."""


class SqlTransaction(RunWriter, WorkWriter, RecordWriter, KeptWriter, MatchWriter, ReviewWriter, ExtractionWriter, MentionReader, Eraser):
    """All queries and writes."""

    def __init__(self, run: Runner, statements: Statements, now: Callable[[], datetime], salt: Callable[[], bytes]) -> None:
        super().__init__(run, statements, now, salt)
        self.posted: set[str] = set()
        """Migrations this transaction queued messages of."""

    async def add_outbox(self, messages: Sequence[OutboxMessage]) -> None:
        """Queue messages; the relay hears of it after the commit."""
        await super().add_outbox(messages)
        posted = {message.migration_id for message in messages}
        self.posted |= posted
        self.touched |= posted

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

    def __init__(self, database: Database, clock: Clock, salt: Callable[[], bytes]) -> None:
        self._database, self._clock, self._salt = database, clock, salt
        self._statements = Statements(database.dialect)
        self._write_lock = asyncio.Lock()
        self._listeners: list[Listener] = []
        self._outbox_listeners: list[Listener] = []
        self._events = instruments.counter(instruments.LEDGER_EVENTS)
        self._seconds = instruments.histogram(instruments.COMMIT_SECONDS)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, clock: Clock, salt: Callable[[], bytes] = new_salt) -> AsyncIterator[Self]:
        """Open the database, bring its schema up to date, and close it at the end of the block.

        Args:
            url: `sqlite:///<file>` or `postgresql://...`.
            clock: stamps events.
            salt: makes the salt of a payload.

        Raises:
            ConfigurationError: the URL is none of these, or a newer Transload has changed the schema.
            UnavailableError: the database does not answer.
        """
        async with opened(url) as database:
            yield await cls.on(database, clock=clock, salt=salt)

    @classmethod
    async def on(cls, database: Database, *, clock: Clock, salt: Callable[[], bytes] = new_salt) -> Self:
        """Bring an open database up to date and answer the ledger on it. Arguments and errors are those of `open`."""
        await upgrade(database)
        # What a crash right after an erasure left of it in the log of the database.
        with suppress(UnavailableError):  # another process opens it too, and does the same
            await database.scrub()
        return cls(database, clock, salt)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """Begin a unit of work: commits at the end of the block, rolls back when it raises."""
        opened: list[SqlTransaction] = []
        try:
            started = time.monotonic()
            with telemetry.tracer().start_as_current_span("ledger.transaction") as span:
                async with self._write_lock, self._database.write() as run:
                    transaction = SqlTransaction(run, self._statements, self._clock.now, self._salt)
                    yield transaction
                    await transaction.finish()
                    opened.append(transaction)
                span.set_attribute("ledger.event_count", transaction.event_count)
                self._seconds.record(time.monotonic() - started)
            self._events.add(transaction.event_count)
        finally:
            # Whoever is cancelled during the commit does not know that it went through; the listeners have to.
            self._tell(opened)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SqlReader]:
        """Begin a consistent read that does not wait for the writer."""
        async with self._database.read() as run:
            yield SqlReader(run, self._statements)

    async def transact(self, work: Callable[[SqlTransaction], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` as one unit of work and answer what it answers. It may wait for nothing but its transaction."""
        opened: list[SqlTransaction] = []

        async def whole(run: Runner) -> Item:
            transaction = SqlTransaction(run, self._statements, self._clock.now, self._salt)
            answer = await work(transaction)
            await transaction.finish()
            opened.append(transaction)
            return answer

        try:
            started = time.monotonic()
            with telemetry.tracer().start_as_current_span("ledger.transaction") as span:
                async with self._write_lock:
                    answer = await self._database.write_whole(whole)
                span.set_attribute("ledger.event_count", opened[0].event_count)
                self._seconds.record(time.monotonic() - started)
            self._events.add(opened[0].event_count)
            return answer
        finally:
            # As above: whether the commit of a cancelled call went through, nobody has been told.
            self._tell(opened)

    async def look(self, work: Callable[[SqlReader], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` on one consistent state. It may wait for nothing but its reader."""
        return await self._database.read_whole(lambda run: work(SqlReader(run, self._statements)))

    def subscribe(self, listener: Listener, *, outbox_only: bool = False) -> Callable[[], None]:
        """Call `listener` after every commit that changed a migration, or only after those that queued messages; answers how to stop it."""
        listeners = self._outbox_listeners if outbox_only else self._listeners
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def on_change(self, migration_id: str) -> None:
        """Tell the listeners that a migration changed."""
        for listener in tuple(self._listeners):
            listener(migration_id)

    async def scrub(self) -> None:
        """Leave nothing of what was erased in the files of the database.

        Raises:
            UnavailableError: somebody reads for so long that it has to be asked for again.
        """
        async with self._write_lock:
            await self._database.scrub()

    def _tell(self, transactions: Sequence[SqlTransaction]) -> None:
        """Tell the listeners what these transactions changed."""
        for transaction in transactions:
            for migration_id in transaction.touched:
                self.on_change(migration_id)
            for migration_id in transaction.posted:
                for listener in tuple(self._outbox_listeners):
                    listener(migration_id)

    async def ping(self) -> None:
        """Raise `UnavailableError` unless the database answers."""
        async with self._database.read() as run:
            await run(lambda connection: connection.execute(text("SELECT 1")).scalar())
