"""Looks that grow old: what waits too long to be deleted or restored, or has to be sent again, is looked at again first (L-15, L-11)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from services.loader.entities.base import LIST_FROM
from services.loader.looks import read_and_keep
from services.loader.pipedrive.errors import NotWantedError
from services.loader.removal import read_and_spare
from services.loader.work import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.common.clock import Clock
    from services.loader.entities.base import Entity, Found
    from services.loader.work import Batch, Work

SECONDS_MAX: Final = 10.0
"""How old a look may be when something is sent because of it: long enough for a batch that goes at its ordinary pace to need one look only."""


class Lookout:
    """The looks at the records of one batch, with their age."""

    def __init__(self, entity: Entity, batch: Batch, clock: Clock) -> None:
        self._entity = entity
        self._batch = batch
        self._clock = clock
        # Kinds without a list by ids were compared by the ledger, some time before.
        self._started = clock.monotonic() - (0.0 if entity.has_ids_filter else batch.look_age or 0.0)
        self._times: dict[str, float] = {}
        self._reading = asyncio.Lock()
        self.actual: dict[str, Found] = {}
        """What was read last, by id: what is restored is worked out from it."""

    def guard(self, works: Sequence[Work]) -> None:
        """Let calls for these records, made in the context of the first, depend on looks at all of them."""
        works[0].context.look = _Look(self, works)

    def is_due(self, works: Sequence[Work], *, is_repeat: bool) -> bool:
        """Whether a look at one of these records is too old.

        Kinds without a list by ids cost as much to look at as a third of their deletion, so only what is sent again is looked at again.
        """
        if not any(self._is_compared(work) for work in works) or not (is_repeat or self._entity.has_ids_filter):
            return False
        border = self._clock.monotonic() - SECONDS_MAX
        return any(self._times.get(work.key, self._started) < border for work in works)

    async def again(self, works: Sequence[Work]) -> None:
        """Look at these records again, and at those behind them when that is not dearer.

        Raises:
            NotWantedError: one of them is decided now.
            TransloadError: they cannot be read.
        """
        async with self._reading:
            if self._batch.stop is not None:
                raise self._batch.stop
            if self.is_due(works, is_repeat=True):
                await self._read(works)
        if any(work.outcome is not None for work in works):
            raise NotWantedError

    async def compare(self, work: Work) -> None:
        """Read a record to be restored again.

        Raises:
            NotWantedError: it is not as it was, be it by a person or by our own call; what to send has to be worked out anew.
            TransloadError: it cannot be read.
        """
        before, now = self.actual.get(work.target_id), self._clock.monotonic()
        await self.refresh(work)
        self._times[work.key] = now
        after = self.actual.get(work.target_id)
        if before is None or after is None or before.image != after.image:
            raise NotWantedError

    async def refresh(self, work: Work) -> None:
        """Read a record that was restored, for what else is to be restored in it."""
        self.actual.pop(work.target_id, None)
        self.actual.update(await self._entity.read(self._batch.client, self._batch.shared, [work.target_id]))

    async def _read(self, works: Sequence[Work]) -> None:
        batch = self._batch
        behind = [work for work in batch.open(Action.DELETE) if self._is_compared(work)] if self._entity.has_ids_filter else []
        due = behind if len(behind) >= LIST_FROM else [work for work in works if self._is_compared(work) and work.outcome is None]
        now = self._clock.monotonic()
        guarded = [work for work in due if work.guards_edits]
        if guarded:
            await read_and_spare(batch, guarded)
        compared = [work for work in due if not work.guards_edits and work.action is Action.DELETE]
        if compared:
            await read_and_keep(self._entity, batch, compared)
        self._times.update((work.key, now) for work in due)

    def _is_compared(self, work: Work) -> bool:
        return work.guards_edits or work.action is Action.RESTORE or not self._batch.deletes_edited


class _Look:
    """The look behind the calls for some records."""

    def __init__(self, lookout: Lookout, works: Sequence[Work]) -> None:
        self._lookout = lookout
        self._works = works

    def is_due(self, *, is_repeat: bool) -> bool:
        return self._lookout.is_due(self._works, is_repeat=is_repeat)

    async def again(self) -> None:
        if self._works[0].action is Action.RESTORE:
            await self._lookout.compare(self._works[0])
        else:
            await self._lookout.again(self._works)
