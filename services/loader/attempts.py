"""Doing one thing for one record, within the limits: bounded concurrency, one stop for the batch, every failure an outcome."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from services.common.errors import (
    NotFoundError,
    RateLimitedError,
    TargetRejectedError,
    TransientError,
    TransloadError,
    UnauthorizedError,
    UnavailableError,
)
from services.loader.pipedrive.errors import OutcomeUnknownError
from services.loader.work import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from services.loader.pipedrive.client import PipedriveClient
    from services.loader.work import Batch, Work

NOT_TRIED: Final = Outcome(Result.NOT_TRIED)
# What stops the whole batch: it would hit every other record too.
STOPS: Final = (RateLimitedError, UnauthorizedError, TransientError)


class Attempts:
    """Runs acts for the records of all batches of this process."""

    def __init__(self, *, in_flight_max: int) -> None:
        # For each company of its own: calls to a slow one must not hold up those to others.
        self._slots: WeakKeyDictionary[PipedriveClient, asyncio.Semaphore] = WeakKeyDictionary()
        self._in_flight_max = in_flight_max
        self.success_count = 0

    async def each(
        self, batch: Batch, works: Sequence[Work], act: Callable[[Work], Awaitable[Outcome]], *, turn: Callable[[Work], str] | None = None
    ) -> None:
        """Does `act` for every record, several at a time, and keeps the outcomes; records with the same `turn` one after the other."""
        if len(works) == 1:
            await self.one(batch, works[0], act)
            return
        turns: dict[str, list[Work]] = defaultdict(list)
        for work in works:
            turns[work.key if turn is None else turn(work)].append(work)
        async with asyncio.TaskGroup() as group:
            for together in turns.values():
                group.create_task(self.in_order(batch, together, act))

    async def in_order(self, batch: Batch, works: Sequence[Work], act: Callable[[Work], Awaitable[Outcome]]) -> None:
        """Does `act` for one record after the other: where the order shows in Pipedrive."""
        for work in works:
            await self.one(batch, work, act)

    async def one(self, batch: Batch, work: Work, act: Callable[[Work], Awaitable[Outcome]]) -> None:
        """Does `act` for one record."""
        async with self._slots_of(batch):
            if batch.stop is not None:
                work.outcome = NOT_TRIED
                return
            successes = self.success_count
            try:
                work.outcome = await act(work)
            except Exception as error:  # noqa: BLE001 - sorted in `failure`, which raises what is a bug
                if isinstance(error, UnavailableError) and "status" in error.metadata and self.success_count > successes:
                    # Others pass meanwhile, so it is this record that Pipedrive fails on.
                    work.outcome = parked(error.message)
                else:
                    work.outcome = failure(batch, error)
            else:
                self.success_count += 1

    async def group(self, batch: Batch, works: Sequence[Work], act: Callable[[], Awaitable[None]]) -> None:
        """Does `act` for several records that go in one call; it sets their outcomes. A failure is the outcome of all without one."""
        async with self._slots_of(batch):
            try:
                if batch.stop is None:
                    await act()
            except Exception as error:  # noqa: BLE001 - sorted in `failure`
                outcome = failure(batch, error)
                for work in works:
                    work.outcome = work.outcome or outcome
            for work in works:
                if batch.stop is not None:
                    work.outcome = work.outcome or NOT_TRIED

    def _slots_of(self, batch: Batch) -> asyncio.Semaphore:
        slots = self._slots.get(batch.client)
        if slots is None:
            slots = self._slots[batch.client] = asyncio.Semaphore(self._in_flight_max)
        return slots


def parked(message: str) -> Outcome:
    """Answers the outcome of a record Pipedrive fails on again and again while others pass: a person looks at it, the rest goes on."""
    return Outcome(Result.WAITING, reason="TARGET_UNREACHABLE", message=f"Pipedrive fails on this record again and again, others pass: {message}")


def doubtful(batch: Batch, error: Exception) -> Outcome:
    """Answers the outcome of a record whose call was sent and answered with nothing, when finding out about it failed, too: it stays in doubt.

    "Not tried" would withdraw its intent, and what it made would be taken for somebody else's.
    """
    return Outcome(Result.UNKNOWN, reason="IN_DOUBT", message=failure(batch, error).message)


def fail_all(batch: Batch, works: Iterable[Work], error: Exception) -> None:
    """Gives all records the outcome of an act that failed for all of them. Raises what is a bug."""
    outcome = failure(batch, error)
    for work in works:
        work.outcome = outcome


def failure(batch: Batch, error: Exception) -> Outcome:
    """Answers the outcome of a failed act and stops the batch when the failure would hit the others too. Raises what is a bug."""
    if isinstance(error, OutcomeUnknownError):
        return Outcome(Result.UNKNOWN, reason=error.reason, message=error.message, is_answered=error.is_answered)
    if isinstance(error, TargetRejectedError):
        result = Result.WAITING if error.reason == "TARGET_CAPPED" else Result.REJECTED
        return Outcome(result, reason=error.reason, message=error.message)
    if isinstance(error, NotFoundError):
        return Outcome(Result.WAITING, reason="FILE_UNAVAILABLE", message=error.message)
    if isinstance(error, STOPS):
        batch.stop = batch.stop or error
        return NOT_TRIED
    if isinstance(error, TransloadError):
        return Outcome(Result.REJECTED, reason=error.reason, message=error.message)
    raise error
