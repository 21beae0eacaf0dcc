"""How the loader gets its leases: waits in order of priority, asks the arbiter in batches, gives back what was used.

The arbiter is reached through a `Source`: `LocalSource` when it lives in this process (one slot per call, so that every slot cools from its own
answer on), `RemoteSource` through `QuotaService` (several calls on one lease, so that the calls to the arbiter stay few).
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from services.common import telemetry
from services.common.errors import TransloadError
from services.loader.quota.leases import Headers, Lease, Priority, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.common.clock import Clock
    from services.loader.quota.arbiter import Arbiter

# Calls on one lease of a remote arbiter: few enough that a lease is used up in milliseconds and its slots cool soon.
REMOTE_BATCH_MAX: Final = 10


@dataclass(slots=True)
class Grant:
    """A lease in the client's hands: shared by the calls that were granted together, given back when the last one ended."""

    lease_id: str
    expires: float
    calls_open: int
    requests_sent: int = 0
    requests_unanswered: int = 0
    tokens_spent: int = 0
    headers: Headers | None = None
    answered: list[float] = field(default_factory=list)
    """When each answer came, monotonic seconds."""


class Source(Protocol):
    """Where leases come from."""

    batch_max: int

    def acquire_now(self, connection: str, *, tokens: int, searches: int, priority: Priority) -> Grant | None:
        """Answers a grant for one call at once, or None when it takes longer or the source is far away."""
        ...

    async def acquire(self, connection: str, *, requests: int, tokens: int, searches: int, priority: Priority) -> tuple[Grant, int] | Refusal:
        """Asks; answers a grant and its number of calls, or when to ask again. Raises RateLimitedError."""
        ...

    async def release(self, connection: str, grant: Grant) -> None:
        """Gives back."""
        ...

    def resume(self, connection: str) -> None:
        """A person says that it goes on; a source that is far away finds out by itself."""
        ...


class LocalSource:
    """The arbiter in this process."""

    batch_max = 1

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter

    def acquire_now(self, connection: str, *, tokens: int, searches: int, priority: Priority) -> Grant | None:
        """Answers a grant for one call, or None. Raises RateLimitedError."""
        answer = self._arbiter.budget(connection).acquire(requests=1, tokens=tokens, searches=searches, priority=priority)
        return None if isinstance(answer, Refusal) else _grant(answer)

    async def acquire(self, connection: str, *, requests: int, tokens: int, searches: int, priority: Priority) -> tuple[Grant, int] | Refusal:
        """Asks the arbiter."""
        answer = self._arbiter.budget(connection).acquire(requests=requests, tokens=tokens, searches=searches, priority=priority)
        return answer if isinstance(answer, Refusal) else (_grant(answer), answer.request_count)

    async def release(self, connection: str, grant: Grant) -> None:
        """Gives back."""
        self._arbiter.budget(connection).release(
            grant.lease_id,
            requests_sent=grant.requests_sent,
            requests_unanswered=grant.requests_unanswered,
            tokens_spent=grant.tokens_spent,
            headers=grant.headers,
        )

    def resume(self, connection: str) -> None:
        """Lets the arbiter try again."""
        self._arbiter.budget(connection).resume()


def _grant(lease: Lease) -> Grant:
    return Grant(lease_id=lease.lease_id, expires=lease.expires, calls_open=lease.request_count)


@dataclass(order=True, slots=True)
class _Waiter:
    priority: Priority
    order: int
    tokens: int = field(compare=False)
    is_search: bool = field(compare=False)
    future: asyncio.Future[Grant] = field(compare=False)


class QuotaClient:
    """Leases for the calls of one process to one target connection."""

    def __init__(self, *, connection: str, source: Source, clock: Clock) -> None:
        self._connection = connection
        self._source = source
        self._clock = clock
        self._waiters: list[_Waiter] = []
        self._order = itertools.count()
        self._pump: asyncio.Task[None] | None = None
        self._wait_seconds = telemetry.meter().create_histogram("transload.quota.wait", unit="s", description="Time a call waited for its lease")

    async def acquire(self, *, tokens: int, is_search: bool, priority: Priority) -> Grant:
        """Waits for the right to send one call of `tokens`.

        Raises:
            RateLimitedError: the day's budget is used up or the breaker is open.
        """
        if not self._waiters:
            grant = self._source.acquire_now(self._connection, tokens=tokens, searches=int(is_search), priority=priority)
            if grant is not None:
                return grant
        begun = self._clock.monotonic()
        future: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, _Waiter(priority, next(self._order), tokens, is_search, future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._serve_waiters(), name="quota-pump")
        try:
            grant = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                await self.release(future.result(), is_sent=False, tokens_spent=0, headers=None)
            raise
        self._wait_seconds.record(self._clock.monotonic() - begun, {"priority": priority.name.lower()})
        return grant

    async def release(self, grant: Grant, *, is_sent: bool, tokens_spent: int, headers: Headers | None, is_answered: bool = True) -> None:
        """Tells how the call ended; the lease goes back with its last call. One without an answer may still be on its way."""
        grant.calls_open -= 1
        grant.requests_sent += int(is_sent)
        if is_sent and is_answered:
            grant.answered.append(self._clock.monotonic())
        grant.requests_unanswered += int(is_sent and not is_answered)
        grant.tokens_spent += tokens_spent
        if headers is not None:
            grant.headers = worse(grant.headers, headers)
        if grant.calls_open == 0:
            # A lost release costs no correctness: the lease ends by itself and counts as used.
            with contextlib.suppress(TransloadError):
                await self._source.release(self._connection, grant)

    def resume(self) -> None:
        """A person says that it goes on."""
        self._source.resume(self._connection)

    async def aclose(self) -> None:
        """Stops waiting."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _serve_waiters(self) -> None:
        while batch := self._next_batch():
            first = batch[0]
            try:
                answer = await self._source.acquire(
                    self._connection,
                    requests=len(batch),
                    tokens=sum(waiter.tokens for waiter in batch),
                    searches=sum(waiter.is_search for waiter in batch),
                    priority=first.priority,
                )
            except TransloadError as error:
                self._fail(batch, error)
                continue
            except Exception as error:
                self._fail(batch, error)
                raise
            if isinstance(answer, Refusal):
                self._put_back(batch)
                await self._clock.sleep(answer.retry_seconds)
                continue
            grant, count = answer
            self._put_back(batch[count:])
            await self._hand_out(grant, batch[:count], count)

    def _next_batch(self) -> list[_Waiter]:
        batch: list[_Waiter] = []
        while self._waiters and len(batch) < self._source.batch_max:
            if self._waiters[0].future.done():
                heapq.heappop(self._waiters)
                continue
            if batch and self._waiters[0].priority != batch[0].priority:
                break
            batch.append(heapq.heappop(self._waiters))
        return batch

    def _put_back(self, waiters: Sequence[_Waiter]) -> None:
        for waiter in waiters:
            heapq.heappush(self._waiters, waiter)

    async def _hand_out(self, grant: Grant, waiters: Sequence[_Waiter], count: int) -> None:
        grant.calls_open = count
        for waiter in waiters:
            if waiter.future.done():
                await self.release(grant, is_sent=False, tokens_spent=0, headers=None)
            else:
                waiter.future.set_result(grant)

    @staticmethod
    def _fail(waiters: Sequence[_Waiter], error: Exception) -> None:
        for waiter in waiters:
            if not waiter.future.done():
                waiter.future.set_exception(error)


def worse(old: Headers | None, new: Headers) -> Headers:
    """Of two answers on one lease, the one that asks for more caution; else the newer.

    The least that was said to remain was said last, whatever order the answers arrived in: it counts all calls of the lease.
    """
    if old is None:
        return new
    told = [headers.daily_remaining for headers in (old, new) if headers.daily_remaining is not None]
    new = new._replace(daily_remaining=min(told, default=None))
    if old.is_html or (old.status == 429 and not new.is_html):  # noqa: PLR2004 - Too Many Requests
        return old
    return new
