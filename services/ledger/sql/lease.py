"""The lease as a row of PostgreSQL, and none for SQLite, whose file belongs to one process."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, insert, select, text, update

from services.ledger.lease import LEASE_LENGTH, Lease, LeaseStore, SoleLease, renewed, taken
from services.ledger.sql import tables
from services.ledger.sql.engine import Database
from services.ledger.sql.postgres import WRITER, WRITER_LOCK, PostgresDatabase
from services.ledger.sql.rows import from_micros, to_micros
from services.ledger.sql.session import table_of

_LEASES = table_of(tables.LeaseRow)
_NOW = text("SELECT clock_timestamp()")
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)").bindparams(lock=WRITER_LOCK)
_ROW = select(_LEASES).where(_LEASES.c.name == WRITER)


def lease_of(database: Database, holder: str, *, length: timedelta = LEASE_LENGTH) -> LeaseStore:
    """Answer the lease of a database's writer.

    Args:
        database: whose.
        holder: name of this process, for people who look at the row.
        length: how long the lease lasts without being renewed.
    """
    return SqlLease(database, holder, length) if isinstance(database, PostgresDatabase) else SoleLease(holder)


class SqlLease:
    """The lease as a row. It is asked for and carried on beside the writer, so that a long transaction does not lose it."""

    is_shared = True

    def __init__(self, database: PostgresDatabase, holder: str, length: timedelta) -> None:
        self._database, self._holder, self._length = database, holder, length

    async def take(self) -> Lease | None:
        """Take the lease unless somebody has it, or has a transaction open that would commit under the old term."""

        def work(connection: Connection) -> Lease | None:
            if not connection.execute(_TRY_LOCK).scalar():
                return None
            lease = taken(_last(connection), self._holder, _now(connection), self._length)
            if lease is not None:
                _write(connection, lease)
            return lease

        async with self._database.write_beside() as run:
            lease = await run(work)
        if lease is not None:
            self._database.fence(lease.term)
        return lease

    async def renew(self, mine: Lease) -> bool:
        """Carry the lease on by the database's clock."""

        def work(connection: Connection) -> bool:
            lease = renewed(_last(connection), mine, _now(connection), self._length)
            if lease is not None:
                _write(connection, lease)
            return lease is not None

        async with self._database.write_beside() as run:
            return await run(work)

    async def release(self, mine: Lease) -> None:
        """End the lease now. The term stays, and so does the fence: whatever of us is still at work writes only until somebody takes the lease."""

        def work(connection: Connection) -> None:
            lease = renewed(_last(connection), mine, _now(connection), timedelta())
            if lease is not None:
                _write(connection, lease)

        async with self._database.write_beside() as run:
            await run(work)

    async def is_free(self) -> bool:
        """Answer whether the lease has run out, by the database's clock."""
        async with self._database.write_beside() as run:
            return await run(lambda connection: taken(_last(connection, locks=False), self._holder, _now(connection), self._length) is not None)

    def on_lost(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a transaction was refused."""
        self._database.on_lost(listener)


def _now(connection: Connection) -> datetime:
    moment: datetime = connection.execute(_NOW).scalar_one()
    return moment


def _last(connection: Connection, *, locks: bool = True) -> Lease | None:
    found: RowMapping | None = connection.execute(_ROW.with_for_update() if locks else _ROW).mappings().first()
    return Lease(found["holder"], found["term"], from_micros(found["expire_time"])) if found else None


def _write(connection: Connection, lease: Lease) -> None:
    # Changed in place: whoever waits for the row's lock would not see one that was put there anew.
    values = {"term": lease.term, "holder": lease.holder, "expire_time": to_micros(lease.expire_time)}
    if not connection.execute(update(_LEASES).where(_LEASES.c.name == WRITER).values(**values)).rowcount:
        connection.execute(insert(_LEASES).values(name=WRITER, **values))
