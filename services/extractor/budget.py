"""Calls to a source: planned before, counted one by one, kept below what the plan allows.

A source has two limits. The minute is a rolling window in memory: after a crash it is empty, and the source's refusal then fills it. The day
is counted in the ledger, so that neither a restart nor a second process forgets what was spent. Other programs of the customer draw from
the same budget and the source says nothing of what is left, so a refusal by the source outranks our own count.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final

from services.common import instruments
from services.common.backoff import Backoff
from services.common.clock import Clock
from services.common.errors import RateLimitedError, UnavailableError
from services.extractor.connector import CallLimits, Refusal, WaitReport
from services.extractor.ports import ExtractionLedger

WINDOW_SECONDS: Final = 60.5
"""A minute, and the spread of the network: what left us 60 s apart may arrive closer together."""
MINUTE_REFUSAL_SECONDS: Final = 61.0
"""What clients of STEL Order wait after a refusal of the minute limit; no `Retry-After` is sent."""
PROBE_SECONDS: Final = 3600.0
"""Pause between calls that find out whether the source's day has turned, when it has not at the hour we took it for."""
NAP_SECONDS: Final = 300.0
"""A long wait looks at the wall clock this often: machines sleep, clocks are set."""


def day_of(moment: datetime, zone: tzinfo) -> str:
    """Name the source's day, `YYYY-MM-DD`."""
    return moment.astimezone(zone).date().isoformat()


def next_day_time(moment: datetime, zone: tzinfo) -> datetime:
    """Answer when the source's next day begins, in UTC."""
    tomorrow = moment.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, tzinfo=zone).astimezone(UTC)


class Sleeper:
    """Waits for wall-clock times, and can be woken: a person who resumes a migration has seen to the cause."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_woken = asyncio.Event()

    async def until(self, moment: datetime) -> None:
        """Wait for a time, or to be woken."""
        self._is_woken.clear()
        while not self._is_woken.is_set() and (seconds := (moment - self._clock.now()).total_seconds()) > 0:
            await self._nap(min(seconds, NAP_SECONDS))

    def wake(self) -> None:
        """End the wait that is going on, if any."""
        self._is_woken.set()

    async def _nap(self, seconds: float) -> None:
        nap = asyncio.ensure_future(self._clock.sleep(seconds))
        call = asyncio.ensure_future(self._is_woken.wait())
        try:
            await asyncio.wait((nap, call), return_when=asyncio.FIRST_COMPLETED)
        finally:
            nap.cancel()
            call.cancel()


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What reading will cost and how long the plan makes it take."""

    call_count: int
    day_count: int
    """Days on which calls are made, today included; 0 when there is nothing to read."""
    minute_count: int
    """Minutes the minute limit alone makes it take."""


def plan_calls(*, collection_count: int = 0, file_count: int = 0, limits: CallLimits, used_today: int = 0) -> CallPlan:
    """Compute what reading so many collections and files costs at the least.

    A source that tells no totals tells no more than that: each collection costs a call for the page that ends it. Full pages come on top.
    """
    call_count = collection_count + (file_count if limits.counts_files else 0)
    if not call_count:
        return CallPlan(0, 0, 0)
    day_count = 1
    if limits.calls_per_day and call_count > (left := max(0, limits.calls_per_day - used_today)):
        day_count += -(-(call_count - left) // limits.calls_per_day)
    minute_count = -(-call_count // limits.calls_per_minute) if limits.calls_per_minute else 0
    return CallPlan(call_count, day_count, minute_count)


class MinuteWindow:
    """The calls of the last minute on one connection."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._call_times: deque[float] = deque()
        self._blocked_until = float("-inf")

    def wait_seconds(self, limit: int) -> float:
        """Answer how long until one more call is allowed; 0 when it is now. `limit` 0 means none."""
        now = self._clock.monotonic()
        while self._call_times and self._call_times[0] <= now - WINDOW_SECONDS:
            self._call_times.popleft()
        wait = self._blocked_until - now
        if limit and len(self._call_times) >= limit:
            wait = max(wait, self._call_times[-limit] + WINDOW_SECONDS - now)
        return max(0.0, wait)

    def count(self) -> None:
        """Count a call that is about to be made."""
        self._call_times.append(self._clock.monotonic())

    def block(self, seconds: float) -> None:
        """Let no call through for this long."""
        self._blocked_until = max(self._blocked_until, self._clock.monotonic() + seconds)


class CallBudget:
    """The budget of one connection in this process, shared by all that read through it."""

    def __init__(self, connection: str, *, ledger: ExtractionLedger, clock: Clock) -> None:
        self._connection = connection
        self._ledger = ledger
        self._clock = clock
        self._window = MinuteWindow(clock)
        self._sleeper = Sleeper(clock)
        self._turn = asyncio.Lock()
        self._calls_since_wait = 0
        self._has_waited = False
        self._day_blocked_until: datetime | None = None
        self._day_cause = ""
        self._used_today = 0

    async def take(self, limits: CallLimits, extraction_id: str, on_wait: WaitReport) -> None:
        """Take one call, waiting for the minute and, if need be, for the source's next day."""
        async with self._turn:
            while True:
                await self._wait_for_day(on_wait)
                while (seconds := self._window.wait_seconds(limits.calls_per_minute)) > 0:
                    await self._clock.sleep(seconds)
                if await self._debit(limits, extraction_id):
                    break
                self._day_blocked_until = next_day_time(self._clock.now(), limits.day_zone)
                self._day_cause = f"by our own count ({limits.calls_per_day} calls, plan {limits.plan})"
            self._calls_since_wait += 1
            self._window.count()

    async def take_now(self, limits: CallLimits) -> None:
        """Take one call or say when there will be one. What the source said of its day before is not believed: this call finds out.

        Raises:
            RateLimitedError: The budget of the minute or the day is used up.
        """
        seconds = self._window.wait_seconds(limits.calls_per_minute)
        if seconds <= 0 and not await self._debit(limits, ""):
            seconds = (next_day_time(self._clock.now(), limits.day_zone) - self._clock.now()).total_seconds()
        if seconds > 0:
            raise quota_error(self._connection, self._clock.now(), seconds)
        self._window.count()

    @property
    def used_today(self) -> int:
        """Calls taken from the day's budget so far by all, as the ledger last said; 0 before the first call."""
        return self._used_today

    def wake(self) -> None:
        """Ask the source again now, although it said that the day is used up. Our own count holds."""
        self._day_blocked_until = None
        self._sleeper.wake()

    def refused(self, refusal: Refusal, limits: CallLimits) -> datetime:
        """Note that the source refused a call, and answer when the next one is allowed."""
        now = self._clock.now()
        if refusal is Refusal.MINUTE:
            self._window.block(MINUTE_REFUSAL_SECONDS)
            return now + timedelta(seconds=MINUTE_REFUSAL_SECONDS)
        resume_time = next_day_time(now, limits.day_zone)
        if self._has_waited and self._calls_since_wait <= 1:
            # We waited for what we took for the turn of the day, and the very first call was refused: the source's day turns later.
            resume_time = min(resume_time, now + timedelta(seconds=PROBE_SECONDS))
        self._day_blocked_until = resume_time
        self._day_cause = "as the source says (other programs draw from it too)"
        return resume_time

    async def _wait_for_day(self, on_wait: WaitReport) -> None:
        while self._day_blocked_until is not None and self._day_blocked_until > self._clock.now():
            resume_time = self._day_blocked_until
            message = f"the call budget of connection {self._connection!r} is used up for today {self._day_cause}; reading goes on by itself"
            await on_wait("SOURCE_QUOTA_EXHAUSTED", message, resume_time)
            await self._sleeper.until(resume_time)
            self._has_waited, self._calls_since_wait = True, 0
        self._day_blocked_until = None

    async def _debit(self, limits: CallLimits, extraction_id: str) -> bool:
        day = day_of(self._clock.now(), limits.day_zone)
        grant = await self._ledger.debit(self._connection, day, limits.calls_per_day, extraction_id)
        self._used_today = grant.used_count
        return grant.granted_count > 0


class Budgets:
    """The budgets of all connections used by this process."""

    def __init__(self, *, ledger: ExtractionLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._budgets: dict[str, CallBudget] = {}

    def of(self, connection: str) -> CallBudget:
        """Answer the budget of a connection; always the same one."""
        if connection not in self._budgets:
            self._budgets[connection] = CallBudget(connection, ledger=self._ledger, clock=self._clock)
        return self._budgets[connection]


def quota_error(connection: str, now: datetime, seconds: float) -> RateLimitedError:
    """Make the error that says a connection's budget is used up, and until when."""
    resume_time = (now + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    return RateLimitedError(
        f"the call budget of connection {connection!r} is used up until {resume_time}",
        retry_after_seconds=seconds,
        reason="SOURCE_QUOTA_EXHAUSTED",
        metadata={"resume_time": resume_time},
    )


@dataclass(frozen=True, slots=True)
class OutagePolicy:
    """How long to bear with a source that does not answer."""

    tries: int = 4
    """Quick repeats before people are told; each costs a call of the budget."""
    quick: Backoff = field(default_factory=lambda: Backoff(base_seconds=1.0, cap_seconds=10.0))
    slow: Backoff = field(default_factory=lambda: Backoff(base_seconds=10.0, cap_seconds=600.0))


class WaitingGate:
    """The gate of an extraction: waits, tells why, and lets through."""

    def __init__(
        self, budget: CallBudget, *, limits: CallLimits, extraction_id: str, clock: Clock, outage_policy: OutagePolicy, on_wait: WaitReport
    ) -> None:
        self._budget = budget
        self._limits = limits
        self._extraction_id = extraction_id
        self._clock = clock
        self._outage_policy = outage_policy
        self._on_wait = on_wait
        self._sleeper = Sleeper(clock)
        self.call_count = 0
        self.outage_count = 0
        self._call_counter = instruments.counter(instruments.SOURCE_CALLS)

    def plan(self, *, collection_count: int = 0, file_count: int = 0) -> str:
        """Say what reading costs at the least and how long the plan makes it take, for people."""
        limits = self._limits
        plan = plan_calls(collection_count=collection_count, file_count=file_count, limits=limits, used_today=self._budget.used_today)
        allowed = f"{limits.calls_per_minute or 'any number'} calls a minute, {limits.calls_per_day or 'any number'} a day"
        return f"at least {plan.call_count} calls on {plan.day_count} day(s); plan {limits.plan}: {allowed}"

    async def enter(self) -> None:
        """Take one call."""
        await self._budget.take(self._limits, self._extraction_id, self._on_wait)
        self.call_count += 1
        self._call_counter.add(1, {instruments.PLAN: self._limits.plan})

    async def refused(self, refusal: Refusal) -> None:
        """Note the limit the source named; the next `enter` waits it out."""
        resume_time = self._budget.refused(refusal, self._limits)
        if refusal is Refusal.MINUTE:
            message = "the source refused a call: its limit of the minute is passed, perhaps by another program; reading goes on by itself"
            await self._on_wait("SOURCE_QUOTA_EXHAUSTED", message, resume_time)

    def wake(self) -> None:
        """End a wait for the source to come back or for its day to turn."""
        self._sleeper.wake()
        self._budget.wake()

    async def outage(self, attempt: int, problem: str) -> None:
        """Wait with growing pauses, first quietly, then as a state people see. Never gives up: the run goes on when the source is back."""
        self.outage_count += 1
        policy = self._outage_policy
        if attempt <= policy.tries:
            await self._clock.sleep(policy.quick.delay_seconds(attempt))
            return
        resume_time = self._clock.now() + timedelta(seconds=policy.slow.delay_seconds(attempt - policy.tries))
        message = f"the source does not answer ({problem}) after {attempt} tries; it is tried again by itself"
        await self._on_wait("SOURCE_UNREACHABLE", message, resume_time)
        await self._sleeper.until(resume_time)


class CheckGate:
    """The gate of a check: waits for nothing but one quick repeat."""

    def __init__(self, budget: CallBudget, *, limits: CallLimits, connection: str, clock: Clock) -> None:
        self._budget = budget
        self._limits = limits
        self._connection = connection
        self._clock = clock

    async def enter(self) -> None:
        """Take one call. Raises RateLimitedError when there is none."""
        await self._budget.take_now(self._limits)

    async def refused(self, refusal: Refusal) -> None:
        """Raise RateLimitedError with the time of the next call."""
        now = self._clock.now()
        resume_time = self._budget.refused(refusal, self._limits)
        raise quota_error(self._connection, now, (resume_time - now).total_seconds())

    async def outage(self, attempt: int, problem: str) -> None:
        """Raise UnavailableError after the second try."""
        if attempt > 1:
            message = f"connection {self._connection!r}: the source does not answer ({problem}); check its URL and the network"
            raise UnavailableError(message, reason="SOURCE_UNREACHABLE", metadata={"connection": self._connection})
        await self._clock.sleep(1.0)
