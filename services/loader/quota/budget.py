"""One budget: who may call Pipedrive now (G-03). Pure rules on a clock; no network, no tasks.

**The window.** Pipedrive refuses a call when more than `limit` calls of the token reached it in the last 2 seconds (a rolling window). We do not see
when a call reaches it, only when we let it go and when its answer came. So every call holds a *slot* from the grant until 2.0 seconds after its
answer arrived, and at most `limit` slots are held at any time. Proof that no window overflows: let a call be granted at g, reach the server at s and
be answered at a; then g <= s <= a. A rolling window that ends at t counts exactly the calls with t - 2 <= s <= t. For each of these, g <= s <= t, and
a + 2 >= s + 2 >= t, so its slot is held at t. Held slots never exceed the limit, hence neither does any window - whatever the delays on the way are.
A call whose connection broke may be on its way: it holds its slot for the longest way of a call and 2 seconds more
(`restart_wait_seconds`). One of which nobody ever tells holds it until the lease ended, plus the longest time a call may take, plus 2 seconds.
Nothing here needs the clocks of both sides to agree, only to tick equally fast.

**One after the other.** A budget is granted from in *terms*, which the ledger gives to one arbiter at a time (`keeper.py`). A new arbiter does not
know the calls of the one before it. The last of them was granted before the end of that one's term, sent while its lease was good, and counted by
Pipedrive a bounded way later; so the new one grants nothing until all of that and a window are over. In a new process under the same name the leases
of the old process' own calls died with it.

**The tokens** of the day are kept by `DailyTokens`. None is granted before the ledger has noted that it may be gone.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter as Counts
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from services.common import instruments
from services.common.errors import RateLimitedError
from services.loader.quota.leases import BudgetState, Headers, Lease, Priority, Refusal
from services.loader.quota.tokens import DailyTokens, Kept, stamp
from services.loader.quota.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from opentelemetry.metrics import Counter

    from services.common.clock import Clock
    from services.loader.quota.settings import QuotaSettings

_BREAKER_SECONDS_MAX: Final = 3600.0
_BURST_PAUSE_SECONDS_MAX: Final = 60.0
# 429s without any header that tells which budget is meant, in a row, before we take them for the daily one (API.md 2.4).
_AMBIGUOUS_MAX: Final = 5
_RETRY_SECONDS_MIN: Final = 0.005
_WANTED_SECONDS: Final = 0.5
_LINGER_SECONDS: Final = 0.05
_TERM_RETRY_SECONDS: Final = 0.05
_HTTP_TOO_MANY: Final = 429
_HTTP_OK_BELOW: Final = 400
# Of the newest call in the mean time of a call.
_CALL_SECONDS_WEIGHT: Final = 0.02


@cache
def _shadow_counter() -> Counter:
    return instruments.counter(instruments.QUOTA_SHADOW)


class Budget:
    """The budget of one Pipedrive company and token."""

    def __init__(self, *, name: str, settings: QuotaSettings, clock: Clock, started: float, incarnation: str, has_terms: bool) -> None:
        self._name = name
        self._incarnation = incarnation
        self._settings = settings
        self._clock = clock
        self._window = Window(settings.window_limit)
        self._searches = Window(settings.search_limit)
        self._leases: dict[str, Lease] = {}
        self._order = itertools.count(1)
        self._tokens = DailyTokens(name=name, settings=settings, clock=clock)
        self._spent = 0
        self._refused_calls = 0
        self._ambiguous = 0
        # Without terms nobody tells us whether there was an arbiter before.
        self._paused_until = started if has_terms else started + settings.restart_wait_seconds
        self._term_until = -math.inf if has_terms else math.inf
        self._is_shared = False
        self._wants_note = False
        self._is_asked = False
        self._is_held_elsewhere = False
        self._shadow_held_calls: Counts[str] = Counts()
        self._call_seconds = 0.0
        self._answers = 0
        self._breaker_until: datetime | None = None
        self._breaker_seconds = settings.breaker_seconds
        self._is_probing_breaker = False
        self._wanted: dict[Priority, float] = {}

    def acquire(self, *, requests: int, tokens: int, searches: int = 0, priority: Priority = Priority.BULK) -> Lease | Refusal:
        """Grants up to `requests` calls of `tokens` in sum, or says when to ask again.

        Tokens are granted as asked or not at all; of requests, as many as there are free slots.

        Raises:
            RateLimitedError: the day's tokens do not suffice (`TARGET_QUOTA_EXHAUSTED`), or the breaker is open (`TARGET_BLOCKED`);
                metadata has `resume_time`.
        """
        now = self._clock.monotonic()
        self._is_asked = True
        self._drop_lost_leases(now)
        if not self._settings.is_shadow:
            return self._decide(now, requests, tokens, searches, priority)
        try:
            answer = self._decide(now, requests, tokens, searches, priority)
        except RateLimitedError as error:
            self._tell_shadow(requests, error.reason)
            return self._grant(now, requests, tokens, searches)
        if isinstance(answer, Lease) and answer.request_count == requests:
            return answer
        held = requests - (answer.request_count if isinstance(answer, Lease) else 0)
        self._tell_shadow(held, "WINDOW")
        if isinstance(answer, Lease):
            self.release(answer.lease_id, requests_sent=0, tokens_spent=0, headers=None)
        return self._grant(now, requests, tokens, searches)

    def _tell_shadow(self, calls: int, reason: str) -> None:
        self._shadow_held_calls[reason] += calls
        self._wanted.clear()
        _shadow_counter().add(calls, {instruments.REASON: reason})

    def _decide(self, now: float, requests: int, tokens: int, searches: int, priority: Priority) -> Lease | Refusal:
        self._check_breaker()
        if now >= self._term_until:
            self._wants_note = True
            return Refusal(_TERM_RETRY_SECONDS, is_held_elsewhere=self._is_held_elsewhere)
        if not self._tokens.admits(tokens, keeps_shares=priority is not Priority.ROLLBACK):
            return Refusal(_RETRY_SECONDS_MIN * 4)
        self._wants_note = self._wants_note or self._tokens.needs_note(tokens, is_early=True)
        if self._tokens.needs_note(tokens):
            return Refusal(_RETRY_SECONDS_MIN * 4)
        if now < self._paused_until:
            return self._refuse(priority, now, self._paused_until - now)
        is_probing = self._is_probing_breaker or self._tokens.is_probing
        if is_probing and self._window.held:
            return self._refuse(priority, now, _WANTED_SECONDS)
        if self._wanted and any(other < priority and until > now for other, until in self._wanted.items()):
            return self._refuse(priority, now, _RETRY_SECONDS_MIN * 4)
        free = self._window.limit - self._window.used(now)
        if searches:
            free = min(free, self._searches.limit - self._searches.used(now))
        granted = min(requests, 1 if is_probing else requests, free)
        if granted <= 0:
            waits = [self._window.free_at(now, 1), self._searches.free_at(now, 1) if searches else now]
            return self._refuse(priority, now, max(waits) - now)
        if self._wanted.pop(priority, None) is not None and priority is not Priority.BULK:
            # It had to wait, so its next call is on its way: what comes after it waits a moment more.
            self._wanted[priority] = now + _LINGER_SECONDS
        return self._grant(now, granted, tokens, min(searches, granted))

    def release(
        self,
        lease_id: str,
        *,
        requests_sent: int,
        tokens_spent: int,
        headers: Headers | None,
        ages: Sequence[float] = (),
        requests_unanswered: int = 0,
    ) -> None:
        """Takes a lease back with what was spent and what the last answer said. An unknown or closed lease changes nothing.

        Args:
            lease_id: of the lease.
            requests_sent: of its calls.
            tokens_spent: by them.
            headers: of the answer that counts most.
            ages: seconds since each answer arrived, by the holder's clock, for calls that were answered before now.
            requests_unanswered: of those sent, without an answer.
        """
        lease = self._leases.pop(lease_id, None)
        if lease is None or not lease.is_open:
            return
        lease.is_open = False
        now = self._clock.monotonic()
        sent = min(requests_sent, lease.request_count)
        unanswered = min(requests_unanswered, sent)
        early = sorted(ages, reverse=True)[: sent - unanswered]
        if sent > unanswered:
            self._learn_call_seconds(max(0.0, now - lease.granted - (sum(early) / len(early) if early else 0.0)))
        for age in early:
            self._window.cool(now - max(0.0, age) + self._settings.window_seconds, 1)
        under_way_until = now + max(self._settings.window_seconds, self._settings.restart_wait_seconds)
        self._window.cool(under_way_until, unanswered)
        searched = min(sent, lease.search_count)
        self._searches.cool(under_way_until, min(unanswered, searched))
        cool_until = now + self._settings.window_seconds
        self._close(lease, cool_until=cool_until, sent=sent - unanswered - len(early), searched=searched - min(unanswered, searched))
        self._spent += tokens_spent
        self._learn(lease, tokens_spent, headers or Headers(), now)

    def _learn_call_seconds(self, seconds: float) -> None:
        self._answers += 1
        self._call_seconds += (seconds - self._call_seconds) * max(_CALL_SECONDS_WEIGHT, 1 / self._answers)

    def resume(self) -> None:
        """A person says that it goes on, maybe because they bought tokens or had the block lifted: the next call finds out, alone."""
        self._ambiguous = 0
        if self._breaker_until is not None:
            self._breaker_until = None
            self._is_probing_breaker = True
        self._tokens.resume()

    def state(self) -> BudgetState:
        """Answers the budget as it stands."""
        now = self._clock.monotonic()
        self._drop_lost_leases(now)
        stops = [time for time in (self._tokens.stop_until, self._breaker_until) if time is not None and time > self._clock.now()]
        return BudgetState(
            daily_limit=self._tokens.limit if self._tokens.is_limit_known else 0,
            daily_remaining=self._tokens.free,
            spent=self._spent,
            window_limit=self._window.limit,
            window_used=self._window.used(now),
            resume_time=max(stops) if stops else None,
            refused_calls=self._refused_calls,
            rollback_reserve=self._tokens.rollback_reserve,
            others_reserve=self._tokens.others_reserve,
            others_a_day=self._tokens.others_a_day,
            others_per_hour=self._tokens.others_per_hour,
            is_shadow=self._settings.is_shadow,
            shadow_held_calls=dict(self._shadow_held_calls),
            reset_time=self._tokens.next_reset,
            look_time=self._tokens.look_time,
            lease_count=len(self._leases),
            leased_tokens=sum(lease.token_count for lease in self._leases.values()),
            spent_today=self._tokens.spent_today,
            others_today=self._tokens.others_today,
            call_seconds=self._call_seconds,
        )

    def available_tokens(self) -> int:
        """Answers how many tokens a load may spend now: what is left of the day without what is kept for others; 0 where another arbiter grants."""
        if self._term_until <= self._clock.monotonic():
            return 0
        return max(0, self._tokens.free - self._tokens.rollback_reserve - self._tokens.others_reserve)

    @property
    def is_held_elsewhere(self) -> bool:
        """Whether another arbiter grants from it, as far as the ledger has said."""
        return self._is_held_elsewhere

    @property
    def wants_note(self) -> bool:
        """Whether calls wait for the ledger to note more tokens as given out, or for a term."""
        return self._wants_note

    @property
    def is_used(self) -> bool:
        """Whether anybody asked since the ledger last noted something, or has a lease: else the term may run out."""
        return self._is_asked or bool(self._leases)

    def share(self) -> None:
        """Takes in that a loader in another process wants leases; the ledger must know before the first one is granted."""
        if not self._is_shared and self._term_until < math.inf:
            self._is_shared = self._wants_note = True
            self._term_until = -math.inf

    def kept(self) -> Kept:
        """Answers what the ledger is to note now."""
        self._wants_note = self._is_asked = False
        return self._tokens.kept(is_shared=self._is_shared)

    def begin_term(self, kept: Kept | None, *, idle_seconds: float, is_same_replica: bool) -> None:
        """Takes over from the arbiter before; nothing is granted until the ledger has noted where we begin (`renew_term`).

        Args:
            kept: what it left; None: there was none, or it never granted anything.
            idle_seconds: how long ago its term ended.
            is_same_replica: it ran under our own name, so its process is gone.
        """
        if kept is not None:
            wait = self._settings.restart_wait_seconds
            if kept.is_shared or not is_same_replica:
                wait += self._settings.lease_seconds
            self._paused_until = max(self._paused_until, self._clock.monotonic() + wait - idle_seconds)
            self._tokens.restore(kept)
            # Should we end before its leases do, the one after us has to wait for them too.
            self._is_shared = self._is_shared or kept.is_shared or not is_same_replica
        self._term_until = -math.inf
        self._is_held_elsewhere = False

    def renew_term(self, kept: Kept, *, until: float) -> None:
        """Takes in that the ledger has noted `kept` and given more time."""
        self._tokens.noted(kept)
        self._term_until = until if kept.is_shared or not self._is_shared else -math.inf

    def lose_term(self) -> None:
        """Another arbiter has the budget: nothing more is granted."""
        self._term_until = -math.inf
        self._is_held_elsewhere = True

    def _grant(self, now: float, requests: int, tokens: int, searches: int) -> Lease:
        order = next(self._order)
        lease = Lease(
            lease_id=f"{self._name}/{self._incarnation}-{order}",
            request_count=requests,
            token_count=tokens,
            search_count=searches,
            expires=now + self._settings.lease_seconds,
            order=order,
            used_at_grant=self._window.used(now) + requests,
            answered_at_grant=self._tokens.answered,
            granted=now,
        )
        self._leases[lease.lease_id] = lease
        self._window.held += requests
        self._searches.held += searches
        self._tokens.reserve(tokens, order)
        return lease

    def _close(self, lease: Lease, *, cool_until: float, sent: int, searched: int) -> None:
        self._tokens.give_back(lease.token_count)
        self._window.held -= lease.request_count
        self._searches.held -= lease.search_count
        self._window.cool(cool_until, sent)
        self._searches.cool(cool_until, searched)

    def _drop_lost_leases(self, now: float) -> None:
        # Leases stand in order of grant and all live equally long, so the first that is still good ends the search.
        lost_after = self._settings.call_seconds
        while self._leases:
            lease = next(iter(self._leases.values()))
            if lease.expires + lost_after > now:
                return
            del self._leases[lease.lease_id]
            lease.is_open = False
            until = lease.expires + lost_after + self._settings.window_seconds
            self._close(lease, cool_until=until, sent=lease.request_count, searched=lease.search_count)
            self._spent += lease.token_count
            self._tokens.lose(lease.token_count)

    def _refuse(self, priority: Priority, now: float, seconds: float) -> Refusal:
        self._wanted[priority] = now + min(seconds, _WANTED_SECONDS) + _RETRY_SECONDS_MIN
        return Refusal(max(_RETRY_SECONDS_MIN, min(seconds, _WANTED_SECONDS)))

    def _check_breaker(self) -> None:
        if self._breaker_until is None:
            return
        wait = (self._breaker_until - self._clock.now()).total_seconds()
        if wait > 0:
            raise RateLimitedError(
                f"Cloudflare in front of Pipedrive blocks our calls; nothing is sent until {stamp(self._breaker_until)}",
                retry_after_seconds=wait,
                reason="TARGET_BLOCKED",
                metadata={"resume_time": stamp(self._breaker_until), "connection": self._name},
            )
        self._breaker_until = None
        self._is_probing_breaker = True

    def _learn(self, lease: Lease, tokens_spent: int, headers: Headers, now: float) -> None:
        if headers.window_limit is not None and headers.window_limit > 0:
            self._window.limit = headers.window_limit
        self._tokens.learn(
            order=lease.order,
            answered_at_grant=lease.answered_at_grant,
            spent=tokens_spent,
            limit=headers.daily_limit,
            remaining=headers.daily_remaining,
        )
        self._count_foreign_calls(lease, headers, now)
        if headers.is_html:
            self._open_breaker()
        elif headers.status == _HTTP_TOO_MANY:
            self._learn_refusal(lease, headers, now)
        elif headers.status:
            self._is_probing_breaker = False
            if headers.status < _HTTP_OK_BELOW:
                self._ambiguous, self._breaker_seconds = 0, self._settings.breaker_seconds
                self._tokens.accept(lease.order, is_told=headers.daily_remaining is not None)

    def _count_foreign_calls(self, lease: Lease, headers: Headers, now: float) -> None:
        """Calls somebody else makes with the same token fill the window too; the header shows them.

        The header is as old as the way of the answer: what we held at the grant is compared too, or our own slots freed since would look foreign.
        """
        if headers.window_remaining is None or headers.window_limit is None:
            return
        foreign = headers.window_limit - headers.window_remaining - max(self._window.used(now), lease.used_at_grant)
        self._window.cool(now + self._settings.window_seconds, foreign)

    def _open_breaker(self) -> None:
        self._breaker_until = self._clock.now() + timedelta(seconds=self._breaker_seconds)
        self._breaker_seconds = min(self._breaker_seconds * 2, _BREAKER_SECONDS_MAX)
        self._is_probing_breaker = False

    def _learn_refusal(self, lease: Lease, headers: Headers, now: float) -> None:
        self._refused_calls += 1
        is_daily = headers.daily_remaining is not None and headers.daily_remaining < max(1, lease.token_count)
        if headers.daily_remaining is None and headers.window_remaining is None:
            self._ambiguous += 1
            is_daily = self._tokens.is_spent() or self._ambiguous > _AMBIGUOUS_MAX
        if is_daily:
            self._tokens.exhaust()
            return
        pause = max(headers.retry_after_seconds or 0.0, self._settings.window_seconds * 2.0 ** min(self._ambiguous, _AMBIGUOUS_MAX))
        self._paused_until = max(self._paused_until, now + min(pause, _BURST_PAUSE_SECONDS_MAX))
