"""Erases what the ledger keeps of people some days after a migration was closed, where an installation says so.

It is the erasure a person can ask for (`transload audit erase --all --with-rollback-data`), with the ledger as actor: the trail keeps its proofs and
says that it was done. What was read from the source, the staging, is not the ledger's and is deleted by whoever keeps it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import orjson

from services.common import telemetry
from services.common.errors import PreconditionError, TransloadError
from services.ledger import erasure
from services.ledger.domain import ERASED, Mentions, MigrationState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from services.ledger.domain import Migration
    from services.ledger.repository import Reader
    from services.ledger.runs.driver import Tools

_LOG = telemetry.get_logger(__name__)

LOOK_SECONDS: Final = 3600.0
"""Between two looks: days are counted."""
ACTOR: Final = "ledger/retention"
_MIGRATIONS: Final = 500


class Retention:
    """Looks from time to time which migrations have been closed for long enough."""

    def __init__(self, tools: Tools, days: float) -> None:
        """Keeps what is known of people for so many days after a migration was completed or taken back as a whole."""
        self._tools = tools
        self._days = days

    async def run(self) -> None:
        """Look until cancelled. What fails is tried again with the next look."""
        while True:
            try:
                await self.look()
            except TransloadError as error:
                _LOG.warning("retention.failed", reason=error.reason, problem=error.message)
            await self._tools.clock.sleep(LOOK_SECONDS)

    async def look(self) -> list[str]:
        """Erase once what is due; answers the migrations it was erased of.

        Raises:
            UnavailableError: the database does not answer.
        """
        erased = [migration_id for migration_id in await self._tools.ledger.look(self._due) if await self._erase(migration_id)]
        if erased:
            await self._tools.ledger.scrub()
        return erased

    async def _erase(self, migration_id: str) -> bool:
        reason = f"{self._days:g} days after the migration was closed"
        request = erasure.Erase(migration_id, ACTOR, reason, is_everything=True, with_images=True)
        try:
            async with self._tools.ledger.transaction() as transaction:
                erased = await erasure.erase(transaction, request, Mentions())
        except PreconditionError:
            return False  # a rollback has begun since the look
        if not erased.is_nothing:
            _LOG.info("retention.erased", migration_id=migration_id, payloads=erased.payload_count, images=erased.image_count)
        return not erased.is_nothing

    async def _due(self, reader: Reader) -> list[str]:
        border = self._tools.clock.now() - timedelta(days=self._days)
        found: list[str] = []
        async for migration in _migrations(reader):
            closed = await _close_time(reader, migration)
            if closed is not None and closed <= border and not await _is_erased_since(reader, migration.migration_id, closed):
                found.append(migration.migration_id)
        return found


async def _migrations(reader: Reader) -> AsyncIterator[Migration]:
    after = ""
    while migrations := await reader.list_migrations(after=after, limit=_MIGRATIONS):
        for migration in migrations:
            yield migration
        after = migrations[-1].migration_id


async def _close_time(reader: Reader, migration: Migration) -> datetime | None:
    """Answer when a migration was closed; None: it is open, or a run of it is going (a rollback of a completed one)."""
    run = await reader.latest_run(migration.migration_id)
    if run is not None and run.end_time is None:
        return None
    if migration.state is MigrationState.ROLLED_BACK:
        return run.end_time if run is not None else None
    completed = await reader.last_event(migration.migration_id, "migration.completed") if migration.state is MigrationState.COMPLETED else None
    if completed is None:
        return None
    # A reconciliation after the end is still work with it.
    return max(completed.event_time, run.end_time) if run is not None and run.end_time is not None else completed.event_time


async def _is_erased_since(reader: Reader, migration_id: str, closed: datetime) -> bool:
    """Say whether everything was erased after it was closed; the last erasure may have been that of one person."""
    last = await reader.last_event(migration_id, ERASED)
    if last is None or last.event_time < closed:
        return False
    facts = orjson.loads(last.payload or b"{}")
    return facts.get("scope") == "migration" and bool(facts.get("with_rollback_data"))
