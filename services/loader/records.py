"""Loading records with an id of their own: create, resolve what is in doubt; updates are in `updates`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import TargetRejectedError
from services.loader.attempts import failure, parked
from services.loader.entities.file import FILE
from services.loader.entities.line_item import BULK_FROM, BULK_MAX, LINE_ITEM
from services.loader.entities.organization_relation import ORGANIZATION_RELATION
from services.loader.pipedrive.errors import GoneError
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.loader.attempts import Attempts
    from services.loader.doubt import Doubt
    from services.loader.entities.base import Entity, Found
    from services.loader.updates import Updates
    from services.loader.work import Batch, Work

# Rounds of "list, then create what is absent" within one delivery. A record that fails so often in a row while others pass is not unlucky:
# where one call in ten fails, it would happen to one record in ten million.
_DOUBT_ROUNDS: Final = 6
# Deliveries with all their rounds, when nothing passes at all, before a person is asked.
_FAILED_DELIVERIES_MAX: Final = 5


class Records:
    """Loads products, organizations, relations, persons, deals, line items, activities, notes and files."""

    def __init__(self, *, attempts: Attempts, doubt: Doubt, updates: Updates) -> None:
        self._attempts = attempts
        self._doubt = doubt
        self._updates = updates
        # Deliveries in which a record failed all its rounds, by key; only records Pipedrive fails on are in it.
        self._failures: dict[str, int] = {}

    async def load(self, entity: Entity, batch: Batch) -> None:
        """Decides every record of the batch."""
        await self._create(entity, batch, batch.open(Action.CREATE))
        await self._updates.update(entity, batch)
        await self.settle_doubts(entity, batch)

    async def settle_doubts(self, entity: Entity, batch: Batch) -> None:
        """Finds out about records in doubt, those of this very delivery included, and creates what is absent."""
        successes = self._attempts.success_count
        for attempt in range(_DOUBT_ROUNDS):
            absent = await self._find(entity, batch, attempt)
            if not absent:
                return
            await self._create(entity, batch, absent)
        for work in await self._find(entity, batch, _DOUBT_ROUNDS):
            # Sent several times and proven absent each time. As long as nothing else passes either, it is an outage; else it is this record.
            times = self._failures[work.key] = self._failures.get(work.key, 0) + 1
            if self._attempts.success_count > successes or times >= _FAILED_DELIVERIES_MAX:
                work.outcome = parked("it was sent several times, answered with errors, and is not there")
                del self._failures[work.key]
            else:
                work.outcome = Outcome(Result.UNKNOWN, reason="IN_DOUBT", message="Pipedrive answers with errors")

    async def _find(self, entity: Entity, batch: Batch, attempt: int) -> list[Work]:
        """Lists what is in doubt; answers what is proven absent, undecided."""
        doubtful = [work for work in batch.works if _is_doubtful(work)]
        if not doubtful or batch.stop is not None:
            return []
        try:
            await self._wait(batch, doubtful, attempt)
            found = await self._doubt.resolve(entity, batch, doubtful)
        except Exception as error:  # noqa: BLE001 - sorted in `failure`
            message = failure(batch, error).message
            for work in doubtful:
                # Never "not tried": what is in doubt stays in doubt.
                work.outcome = Outcome(Result.UNKNOWN, reason="IN_DOUBT", message=message)
            return []
        for work in doubtful:
            work.outcome = created(entity, work, found[work.key]) if work.key in found else None
            if work.outcome is not None:
                self._failures.pop(work.key, None)
        return [work for work in doubtful if work.outcome is None]

    async def _wait(self, batch: Batch, doubtful: Sequence[Work], attempt: int) -> None:
        """Waits until nothing is on its way any more; what Pipedrive answered with an error needs a breath only."""
        fresh = [work.outcome for work in doubtful if work.outcome is not None]
        if any(not outcome.is_answered for outcome in fresh):
            await self._doubt.wait_out(None)
            return
        if len(fresh) < len(doubtful):
            await self._doubt.wait_out(batch.started)
        if fresh:
            await self._doubt.breathe(attempt)

    async def _create(self, entity: Entity, batch: Batch, works: Sequence[Work]) -> None:
        if not works:
            return
        if entity is LINE_ITEM:
            await self._create_lines(batch, works)
            return

        async def act(work: Work) -> Outcome:
            return created(entity, work, await entity.create(batch.client, work.context, work.body))

        await self._attempts.each(batch, works, self._upload(batch) if entity is FILE else act)

    def _upload(self, batch: Batch) -> Any:
        async def act(work: Work) -> Outcome:
            return created(FILE, work, await self._updates.send_file(batch, work))

        return act

    async def _create_lines(self, batch: Batch, works: Sequence[Work]) -> None:
        """Puts products on deals: one deal's lines in their order, in bulk where that is not dearer; several deals at a time."""
        by_deal: dict[str, list[Work]] = defaultdict(list)
        for work in works:
            work.outcome = None
            by_deal[str(work.body.get("deal_id") or "")].append(work)
        async with asyncio.TaskGroup() as tasks:
            for lines in by_deal.values():
                tasks.create_task(self._attempts.group(batch, lines, partial(_put_on_deal, batch, lines)))


async def _put_on_deal(batch: Batch, works: Sequence[Work]) -> None:
    for begin in range(0, len(works), BULK_MAX):
        chunk = works[begin : begin + BULK_MAX]
        if len(chunk) >= BULK_FROM:
            try:
                lines = await LINE_ITEM.create_bulk(batch.client, chunk[0].context, [work.body for work in chunk])
            except TargetRejectedError as error:
                # One bad line refuses all of them; one by one the others arrive and the bad one is named. A deal that is gone refuses each.
                if isinstance(error, GoneError):
                    raise
            else:
                for work, line in zip(chunk, lines, strict=True):
                    work.outcome = created(LINE_ITEM, work, line)
                continue
        for work in chunk:
            if batch.stop is not None:
                return
            try:
                work.outcome = created(LINE_ITEM, work, await LINE_ITEM.create(batch.client, work.context, work.body))
            except Exception as error:  # noqa: BLE001 - sorted in `failure`
                work.outcome = failure(batch, error)


def created(entity: Entity, work: Work, found: Found) -> Outcome:
    """Answers the outcome of a record that is in Pipedrive as it was sent."""
    parent = found.parent_id
    if entity is LINE_ITEM:
        parent = parent or str(work.body.get("deal_id") or "")
    elif entity is ORGANIZATION_RELATION:
        parent = parent or str(work.body.get("rel_owner_org_id") or "")
    return Outcome(Result.CREATED, found.target_id, image=entity.image(work.body), parent_target_id=parent)


def _is_doubtful(work: Work) -> bool:
    if work.outcome is None:
        return work.action is Action.IN_DOUBT
    return work.outcome.result is Result.UNKNOWN and work.action in {Action.CREATE, Action.IN_DOUBT}
