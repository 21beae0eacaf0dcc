"""Days of the quota on a simulated clock: one arbiter, several loaders, another app, and a Pipedrive of our own making that judges them.

Nothing here shares code with what it judges: the account counts calls and tokens by Pipedrive's rules alone. Loaders ask for leases, let calls go,
get answers after jittered times and give leases back, as `QuotaClient` does; terms come from the ledger's own rule over a table in memory. Everything
happens in one order that a seed decides, so a figure or a failure can be had again.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import RateLimitedError, UnavailableError
from services.ledger.budgets import Hold, hold_budget
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.client import worse
from services.loader.quota.codec import kept_from_proto, kept_to_proto
from services.loader.quota.keeper import Keeper, Term
from services.loader.quota.leases import Headers, Lease, Priority, Refusal
from services.loader.quota.settings import QuotaSettings
from transload.v1.ledger_service_pb2 import KeptBudget

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.ledger.domain import BudgetTerm
    from services.loader.quota.tokens import Kept

DAY: Final = 86_400.0
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
CONNECTION: Final = "crm"
SECOND: Final = "other-crm"
CREATE_TOKENS: Final = 5
LOOK_TOKENS: Final = 2
_TICK: Final = 0.05
_EXTREME_SHARE: Final = 0.8
_IDLE_TICK: Final = 1.0
_STOPPED_SECONDS: Final = 10.0


class Clock:
    """The one clock of the simulation."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """Answer the wall clock."""
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Answer seconds since the start."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Nobody sleeps here: everything is an event."""
        raise NotImplementedError(seconds)


@dataclass(slots=True)
class Account:
    """Pipedrive: a window that rolls, tokens that are renewed each day at an hour of its own."""

    limit: int
    daily: int
    reset_offset: float = 0.0
    has_headers: bool = True
    remaining: int = 0
    useful: int = 0
    looked: int = 0
    others: int = 0
    refused_by_window: int = 0
    refused_by_budget: int = 0
    refused_looks: int = 0
    calls: int = 0
    fullest: int = 0
    _arrived: list[float] = field(default_factory=list)
    _first: int = 0
    _day: int = -1

    def _follow(self, now: float) -> None:
        day = int((now - self.reset_offset) // DAY)
        if day != self._day:
            self._day, self.remaining = day, self.daily

    def call(self, now: float, tokens: int, *, is_look: bool) -> Headers:
        """Take a call at its time of arrival; times never fall."""
        self._follow(now)
        while self._first < len(self._arrived) and self._arrived[self._first] < now - 2.0:
            self._first += 1
        self._arrived.append(now)
        in_window = len(self._arrived) - self._first
        self.fullest = max(self.fullest, in_window)
        if in_window > self.limit:
            self.refused_by_window += 1
            return self._headers(429, in_window)
        if tokens > self.remaining:
            if is_look:
                self.refused_looks += 1
            else:
                self.refused_by_budget += 1
            return self._headers(429, in_window)
        self.remaining -= tokens
        self.calls += 1
        if is_look:
            self.looked += tokens
        else:
            self.useful += tokens
        return self._headers(200, in_window)

    def spend(self, now: float, tokens: int) -> None:
        """Let another app spend."""
        self._follow(now)
        spent = min(tokens, self.remaining)
        self.remaining -= spent
        self.others += spent

    def _headers(self, status: int, in_window: int) -> Headers:
        if not self.has_headers:
            return Headers(status=status)
        return Headers(status, self.daily, self.remaining, self.limit, max(0, self.limit - in_window))


class TermTable:
    """The ledger's table of terms; answers may get lost on either way."""

    def __init__(self, clock: Clock, dice: random.Random, *, lost: float = 0.0) -> None:
        self.rows: dict[str, BudgetTerm] = {}
        self._clock = clock
        self._dice = dice
        self._lost = lost

    async def get_budget_term(self, connection: str) -> BudgetTerm | None:
        """Answer a row."""
        return self.rows.get(connection)

    async def save_budget_term(self, term: BudgetTerm) -> None:
        """Write a row."""
        self.rows[term.connection] = term

    def of(self, holder: str) -> Holder:
        """Answer the table as one arbiter sees it."""
        return Holder(self, holder, self._clock)

    def loses(self) -> bool:
        """Throw the dice for one way."""
        return self._dice.random() < self._lost


@dataclass(slots=True)
class Holder:
    """`Terms` for a keeper."""

    table: TermTable
    holder: str
    clock: Clock
    is_cut: bool = False
    """It does not reach the ledger."""

    async def hold_budget(self, connection: str, *, term_seconds: float, kept: Kept | None) -> Term:
        """Ask the ledger's own rule."""
        if self.is_cut or self.table.loses():
            raise UnavailableError("lost on its way")
        noted = kept_to_proto(kept).SerializeToString() if kept is not None else None
        hold = Hold(connection, self.holder, timedelta(seconds=term_seconds), noted)
        table: Any = self.table
        held = await hold_budget(table, hold, self.clock.now())
        if self.table.loses():
            raise UnavailableError("the answer was lost")
        if not held.is_granted:
            return Term(is_granted=False, retry_seconds=(held.term.expire_time - self.clock.now()).total_seconds())
        before = held.before
        left = KeptBudget.FromString(held.term.kept) if before is not None and held.term.kept else None
        return Term(
            is_granted=True,
            kept=kept_from_proto(left) if left is not None else None,
            idle_seconds=max(0.0, (self.clock.now() - before.expire_time).total_seconds()) if before is not None else 0.0,
            is_same_replica=before is not None and before.replica == hold.replica,
        )


@dataclass(frozen=True, slots=True)
class Ways:
    """How long things take, seconds, each (least, most)."""

    rpc: tuple[float, float] = (0.0005, 0.004)
    there: tuple[float, float] = (0.01, 0.06)
    back: tuple[float, float] = (0.01, 0.06)
    hold: tuple[float, float] = (0.0, 0.001)
    """Between a grant and its sending."""
    is_extreme: bool = False
    """Most things take the least or the most time, hardly one something between."""


@dataclass(slots=True)
class Process:
    """An arbiter in the process of a replica."""

    name: str
    arbiter: Arbiter
    keeper: Keeper
    terms: Holder
    is_alive: bool = True


@dataclass(slots=True)
class Loader:
    """One replica: asks for leases as long as it has hands free."""

    name: str
    company: str = CONNECTION
    asks: Process | None = None
    in_flight: int = 0
    is_alive: bool = True
    generation: int = 0
    is_asking: bool = False
    is_stopped: bool = False


class Days:
    """The simulation."""

    def __init__(
        self,
        *,
        account: Account,
        settings: QuotaSettings,
        replicas: int,
        seed: int,
        ways: Ways | None = None,
        others_per_hour: float = 0.0,
        in_flight_max: int = 16,
        lost: float = 0.0,
        second: Account | None = None,
    ) -> None:
        self.clock = Clock()
        self.dice = random.Random(seed)
        self.account = account
        self.settings = settings
        self.ways = ways or Ways()
        self.table = TermTable(self.clock, self.dice, lost=lost)
        self.accounts = {CONNECTION: account} | ({SECOND: second} if second is not None else {})
        self.loaders = [Loader(f"loader-{number}", company) for number in range(replicas) for company in self.accounts]
        self.in_flight_max = in_flight_max
        self.takeovers = 0
        self._others_per_hour = others_per_hour
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._loop = asyncio.new_event_loop()
        self.newest: Process | None = None
        self._incarnation = 0

    def at(self, delay: float, do: Callable[[], object]) -> None:
        """Have something happen later."""
        heapq.heappush(self._events, (self.clock.seconds + max(0.0, delay), next(self._order), do))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.start_arbiter("loader-0")
        if self._others_per_hour:
            self._other_app()
        for loader in self.loaders:
            self.ask(loader)
        while self._events and self._events[0][0] <= seconds:
            when, _, do = heapq.heappop(self._events)
            self.clock.seconds = max(self.clock.seconds, when)
            do()
        self._loop.close()

    # the arbiter

    def start_arbiter(self, name: str) -> Process:
        """Start an arbiter in the process of a replica; loaders without one ask it from now on."""
        self._incarnation += 1
        self.takeovers += 1
        arbiter = Arbiter(settings=self.settings, clock=self.clock, has_terms=True)
        for company in self.accounts:
            arbiter.budget(company)
        terms = self.table.of(f"{name}/{self._incarnation}")
        keeper = Keeper(arbiter=arbiter, terms=terms, settings=self.settings, clock=self.clock)
        self.newest = Process(name, arbiter, keeper, terms)
        self._keep(self.newest)
        return self.newest

    def kill(self, process: Process) -> None:
        """End an arbiter's process: its own calls that were not sent never are, those of other loaders go on."""
        process.is_alive = False
        for loader in self.loaders:
            if loader.asks is process and loader.name == process.name:
                loader.generation += 1
                loader.in_flight = 0
                loader.is_asking = False
                loader.asks = None
                self.at(1.0, lambda loader=loader: self.ask(loader))  # type: ignore[misc]

    def _keep(self, process: Process) -> None:
        if not process.is_alive:
            return
        if process.keeper.has_due():
            self._loop.run_until_complete(process.keeper.keep_due())
        self.at(_IDLE_TICK if all(loader.is_stopped for loader in self.loaders) else _TICK, lambda: self._keep(process))

    # the loaders

    def ask(self, loader: Loader, *, is_look: bool = False) -> None:
        """Have a loader ask for a lease, if it has hands free."""
        if loader.is_asking or not loader.is_alive or loader.in_flight >= self.in_flight_max:
            return
        loader.is_asking = True
        generation = loader.generation
        if loader.asks is None or not loader.asks.is_alive:
            loader.asks = self.newest
        self.at(0.0 if self._is_local(loader) else self._take(self.ways.rpc), lambda: self._decide(loader, generation, is_look=is_look))

    def _decide(self, loader: Loader, generation: int, *, is_look: bool) -> None:
        if generation != loader.generation:
            return
        process = loader.asks
        if process is None or not process.is_alive:
            self.at(1.0, lambda: self._again(loader, generation, is_look=is_look))
            return
        is_local, arbiter = self._is_local(loader), process.arbiter
        back = 0.0 if is_local else self._take(self.ways.rpc)
        budget = arbiter.budget(loader.company)
        wanted = 1 if is_local or is_look else min(10, self.in_flight_max - loader.in_flight)
        tokens = LOOK_TOKENS if is_look else CREATE_TOKENS
        if not is_local:
            budget.share()
        try:
            answer = budget.acquire(requests=wanted, tokens=wanted * tokens, priority=Priority.BULK)
        except RateLimitedError:
            loader.is_stopped = True
            self.at(_STOPPED_SECONDS, lambda: self._again(loader, generation, is_look=True))
            return
        if isinstance(answer, Refusal):
            self.at(back + answer.retry_seconds, lambda: self._again(loader, generation, is_look=is_look))
            return
        loader.is_stopped = False
        self.at(back, lambda: self._use(loader, generation, arbiter, answer, tokens, is_look=is_look))

    def _is_local(self, loader: Loader) -> bool:
        return loader.asks is not None and loader.asks.name == loader.name

    def _again(self, loader: Loader, generation: int, *, is_look: bool) -> None:
        if generation == loader.generation:
            loader.is_asking = False
            self.ask(loader, is_look=is_look)

    def _use(self, loader: Loader, generation: int, arbiter: Arbiter, lease: Lease, tokens: int, *, is_look: bool) -> None:
        if generation != loader.generation:
            return
        loader.is_asking = False
        trip = _Trip(lease, open_count=lease.request_count)
        loader.in_flight += lease.request_count
        for _ in range(lease.request_count):
            self.at(self._take(self.ways.hold), lambda: self._send(loader, generation, arbiter, trip, tokens, is_look=is_look))
        self.ask(loader)

    def _send(self, loader: Loader, generation: int, arbiter: Arbiter, trip: _Trip, tokens: int, *, is_look: bool) -> None:
        if generation != loader.generation:
            return
        if self.clock.seconds >= trip.lease.expires:
            self._end(loader, generation, arbiter, trip)
            return
        trip.sent += 1

        def arrive() -> None:
            headers = self.accounts[loader.company].call(self.clock.seconds, tokens, is_look=is_look)
            self.at(self._take(self.ways.back), lambda: answer(headers))

        def answer(headers: Headers) -> None:
            trip.spent += tokens if headers.status == 200 else 0  # noqa: PLR2004 - OK
            trip.headers = worse(trip.headers, headers)
            trip.answered.append(self.clock.seconds)
            self._end(loader, generation, arbiter, trip)

        self.at(self._take(self.ways.there), arrive)

    def _end(self, loader: Loader, generation: int, arbiter: Arbiter, trip: _Trip) -> None:
        trip.open_count -= 1
        if generation != loader.generation:
            return
        loader.in_flight -= 1
        if trip.open_count == 0:

            def release() -> None:
                ages = [] if self._is_local(loader) else [self.clock.seconds - answered for answered in trip.answered]
                budget = arbiter.budget(loader.company)
                budget.release(trip.lease.lease_id, requests_sent=trip.sent, tokens_spent=trip.spent, headers=trip.headers, ages=ages)

            self.at(0.0 if self._is_local(loader) else self._take(self.ways.rpc), release)
        self.ask(loader)

    def _other_app(self) -> None:
        self.account.spend(self.clock.seconds, self.dice.randint(1, 20))
        self.at(self.dice.expovariate(self._others_per_hour / 10.5 / 3600), self._other_app)

    def _take(self, between: tuple[float, float]) -> float:
        if self.ways.is_extreme and self.dice.random() < _EXTREME_SHARE:
            return self.dice.choice(between)
        return self.dice.uniform(*between)


@dataclass(slots=True)
class _Trip:
    lease: Lease
    open_count: int
    sent: int = 0
    spent: int = 0
    headers: Headers | None = None
    answered: list[float] = field(default_factory=list)


def budget_day(replicas: int, *, seed: int = 1, days: int = 2, daily: int = 30_000, others_per_hour: float = 40.0) -> tuple[Days, float]:
    """Let days pass in which the tokens bind; answer the simulation and the part of the allowed tokens that went to useful calls.

    Allowed is what is left of each day after the rollback's share and what the other app really spent.
    """
    settings = QuotaSettings()
    world = Days(account=Account(limit=20, daily=daily), settings=settings, replicas=replicas, seed=seed, others_per_hour=others_per_hour)
    world.run(days * DAY - 1)
    allowed = days * daily * (1 - settings.rollback_share) - world.account.others
    return world, world.account.useful / allowed


def window_hour(replicas: int, *, seed: int = 1, limit: int = 20, seconds: float = 600.0, ways: Ways | None = None) -> tuple[Days, float]:
    """Let minutes pass in which the window binds; answer the simulation and the part of all its slots that was used."""
    account = Account(limit=limit, daily=100_000_000)
    world = Days(account=account, settings=QuotaSettings(), replicas=replicas, seed=seed, ways=ways, in_flight_max=64)
    world.run(seconds)
    return world, account.calls / (limit / 2.0 * seconds)


def two_companies(replicas: int, *, seed: int = 1, seconds: float = 600.0) -> tuple[float, float, int]:
    """Let the same loaders work for two companies, the first with too few tokens for the time, the second bound by its window.

    Answers the parts of the allowed tokens and of the slots that were used, and the refusals of our own making.
    """
    settings = QuotaSettings(others_share=0.0)
    small, large = Account(limit=20, daily=10_000), Account(limit=20, daily=100_000_000)
    world = Days(account=small, second=large, settings=settings, replicas=replicas, seed=seed, in_flight_max=64)
    world.run(seconds)
    refused = sum(account.refused_by_window + account.refused_by_budget for account in (small, large))
    return small.useful / (small.daily * (1 - settings.rollback_share)), large.calls / (large.limit / 2.0 * seconds), refused


async def run() -> dict[str, float]:
    """Answer the figures. The simulation has an event loop of its own, so it runs beside this one."""
    return await asyncio.to_thread(_figures)


def _figures() -> dict[str, float]:
    figures: dict[str, float] = {}
    for replicas in (1, 4, 8):
        world, share = budget_day(replicas)
        figures[f"allowed tokens used, {replicas} replicas, %"] = share * 100
        figures[f"self-made 429, {replicas} replicas, tokens bind"] = world.account.refused_by_window + world.account.refused_by_budget
        for limit in (20, 120):
            world, share = window_hour(replicas, limit=limit)
            figures[f"slots of a window of {limit} used, {replicas} replicas, %"] = share * 100
            figures[f"self-made 429, {replicas} replicas, window of {limit} binds"] = world.account.refused_by_window
        tokens, slots, refused = two_companies(replicas)
        figures[f"two companies: tokens of the small one used, {replicas} replicas, %"] = tokens * 100
        figures[f"two companies: slots of the other used, {replicas} replicas, %"] = slots * 100
        figures[f"two companies: self-made 429, {replicas} replicas"] = refused
    return figures
