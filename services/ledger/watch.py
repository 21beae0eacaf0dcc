"""Streams how a migration stands: a message after every change, at most two a second, and the events in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from services.ledger.coordinator import HOLDING_PAUSES
from services.ledger.domain import RunState
from services.ledger.migration_codec import event_to_proto
from services.ledger.migrations import require_migration
from services.ledger.summary import summarize
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from services.ledger.domain import Migration
    from services.ledger.repository import Reader
    from services.ledger.runs.driver import Tools
    from services.ledger.summary import Sources

PAUSE_SECONDS: Final = 0.5
# Without a change in the ledger a message still goes out now and then, so that both ends know of each other.
SILENCE_SECONDS: Final = 10.0
EVENTS_PER_MESSAGE: Final = 500
# Counting a large migration takes longer: then the stream slows down, so that watching never takes more than a part of a core.
REST_FACTOR: Final = 4.0


class Watch:
    """One watcher of one migration."""

    def __init__(self, *, tools: Tools, sources: Sources, view: Callable[[Reader, Migration], Awaitable[pb.Migration]]) -> None:
        self._tools = tools
        self._sources = sources
        self._view = view

    async def messages(self, request: pb.WatchMigrationRequest) -> AsyncIterator[pb.WatchMigrationResponse]:
        """Yield messages until the client leaves or, on request, until nothing goes on by itself.

        Raises:
            NotFoundError: No such migration.
        """
        changed = asyncio.Event()
        unsubscribe = self._tools.ledger.subscribe(lambda migration_id: changed.set() if migration_id == request.migration_id else None)
        clock = self._tools.clock
        after = request.after_event_sequence
        try:
            while True:
                changed.clear()
                began = clock.monotonic()
                message, is_idle = await self._message(request.migration_id, after)
                if message.events:
                    after = message.events[-1].sequence
                took = clock.monotonic() - began
                yield message
                if len(message.events) == EVENTS_PER_MESSAGE:
                    continue
                if is_idle and request.until_idle:
                    return
                await clock.sleep(max(PAUSE_SECONDS, took * REST_FACTOR))
                await self._wait(changed)
        finally:
            unsubscribe()

    async def _message(self, migration_id: str, after: int) -> tuple[pb.WatchMigrationResponse, bool]:
        migration = await self._tools.ledger.look(lambda reader: require_migration(reader, migration_id))
        entities = await self._sources.entities(migration.connector)
        return await self._tools.ledger.look(lambda reader: self._read(reader, migration_id, after, entities))

    async def _read(self, reader: Reader, migration_id: str, after: int, entities: dict[str, bool]) -> tuple[pb.WatchMigrationResponse, bool]:
        migration = await require_migration(reader, migration_id)
        run = await reader.latest_run(migration_id)
        events = await reader.list_events(migration_id, after_sequence=after, limit=EVENTS_PER_MESSAGE) if after >= 0 else ()
        message = pb.WatchMigrationResponse(
            migration=await self._view(reader, migration),
            summary=await summarize(reader, migration, entities),
            events=[event_to_proto(event) for event in events],
        )
        is_idle = run is None or run.state is not RunState.RUNNING or migration.pause_kind in HOLDING_PAUSES
        return message, is_idle

    async def _wait(self, changed: asyncio.Event) -> None:
        waiting = {asyncio.create_task(changed.wait()), asyncio.create_task(self._tools.clock.sleep(SILENCE_SECONDS))}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
