"""The day's tokens: what remains, what is kept back, and when a used-up budget is looked at again.

A header tells what remained when its call was served, not when it arrived. Calls answered before that call was granted are in it for sure; those
answered during its life may not be, so they are taken off; those still out are taken off by their leases. That bound holds whatever order calls
and answers take. Of two bounds the lower one counts, unless the call was granted after the other was learned: then it knows more, and is believed
upwards too (a new day, a top-up). A call is debited before it is sent, so the sum of what is out never exceeds what remains.

Pipedrive renews the budget at a midnight it does not name, and tokens can be bought at any hour. So when the budget is used up we do not only wait
for the midnight of `reset_zone`: every `probe_seconds` one call goes out alone, past what we believe remains, and its answer tells. Refused, it
cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from services.common.errors import RateLimitedError
from services.loader.quota.others import OtherApps

if TYPE_CHECKING:
    from services.common.clock import Clock
    from services.loader.quota.settings import QuotaSettings


_OTHERS_MOST: Final = 0.9
"""Most of a day that is left to other apps, whatever they were seen to spend."""
_BLOCK_LEAST: Final = 100
_SLACK_SHARE: Final = 0.005
"""Part of the daily budget that must have turned up for work to go on before the next look."""
_SLACK_LEAST: Final = 50
"""The same in tokens: more than the dearest call costs, or work would stop again at once."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlives an arbiter, noted in the ledger before it is relied on.

    Attributes:
        limit: tokens a day.
        is_limit_known: a header told it.
        floor: tokens of the day that were not given out; a new arbiter begins with them.
        next_reset: when the day these belong to ends, as assumed.
        exhausted_until: Pipedrive said that nothing is left; None: it did not.
        is_shared: loaders in other processes had leases.
    """

    limit: int
    is_limit_known: bool
    floor: int
    next_reset: datetime
    exhausted_until: datetime | None = None
    is_shared: bool = False


class DailyTokens:
    """What is known of one company's daily budget.

    Attributes:
        limit: tokens a day; assumed until `is_limit_known`.
        is_limit_known: a header told it.
        answered: tokens of calls whose answer came.
        is_probing: the next call goes alone, to find out whether there are tokens again.
    """

    def __init__(self, *, name: str, settings: QuotaSettings, clock: Clock) -> None:
        self.limit = settings.daily_tokens
        self.is_limit_known = False
        self.answered = 0
        self.is_probing = False
        self._name = name
        self._settings = settings
        self._clock = clock
        self._zone = ZoneInfo(settings.reset_zone)
        self._remaining = settings.daily_tokens
        self._reserved = 0
        self._others = OtherApps()
        # Nothing is given out below it: the ledger does not know yet that it would be gone. None: nobody keeps what outlives us.
        self._floor: int | None = None
        # Orders of grants: the last one, the last one when what remains was learned, and the last one before a probe.
        self._last_order = 0
        self._learned_order = 0
        self._probe_after = 0
        self._next_reset = self._reset_after(clock.now())
        # Pipedrive itself said that nothing is left.
        self._exhausted_until: datetime | None = None
        self._look_time: datetime | None = None
        # Work stopped before the shares that are kept back; it goes on only for more than a few tokens.
        self._is_stopped = False
        # Since the budget was renewed: what we spent, and what the other apps had spent by then.
        self._ours_today = 0
        self._others_before = 0

    @property
    def spent_today(self) -> int:
        """Tokens of ours since the budget was renewed, or since the start."""
        self._follow_the_clock()
        return self._ours_today

    @property
    def others_today(self) -> int:
        """Tokens other apps were seen to spend since then."""
        return self._others.spent - self._others_before

    @property
    def next_reset(self) -> datetime:
        """When the budget is assumed to be renewed."""
        self._follow_the_clock()
        return self._next_reset

    @property
    def look_time(self) -> datetime | None:
        """When a used-up budget is looked at next; None: there is nothing to find out."""
        return self._look_time

    @property
    def free(self) -> int:
        """What remains, less what is out on lease; not negative."""
        return max(0, self._remaining - self._reserved)

    @property
    def rollback_reserve(self) -> int:
        """Tokens of a day that only a rollback may spend."""
        return int(self.limit * self._settings.rollback_share)

    @property
    def others_per_hour(self) -> int:
        """Tokens an hour the other apps were seen to spend; 0: not known."""
        return self._others.per_hour(self._clock.monotonic())

    @property
    def others_reserve(self) -> int:
        """Tokens left to the other apps until the day's end: their share of the hours to come, or what they spend in as many if that is more."""
        return self._others_reserve(max(0.0, (self._next_reset - self._clock.now()).total_seconds() / 3600))

    @property
    def others_a_day(self) -> int:
        """The same for a whole day."""
        return self._others_reserve(24.0)

    def _others_reserve(self, hours: float) -> int:
        share = self.limit * self._settings.others_share * min(1.0, hours / 24)
        return min(int(max(share, self.others_per_hour * hours)), int(self.limit * _OTHERS_MOST))

    def kept(self, *, is_shared: bool) -> Kept:
        """Answer what to note now. From here on nothing is given out below the higher of the old and the new floor."""
        floor = max(0, self._remaining - self._reserved - self._block)
        self._floor = floor if self._floor is None else max(floor, self._floor)
        return Kept(self.limit, self.is_limit_known, floor, self._next_reset, self._exhausted_until, is_shared)

    def noted(self, kept: Kept) -> None:
        """Take in that the ledger has noted this."""
        self._floor = kept.floor

    def restore(self, kept: Kept) -> None:
        """Begin where an arbiter before us ended. What remains is asked first, by one call that goes alone."""
        self.limit, self.is_limit_known = kept.limit, kept.is_limit_known
        self._remaining = self._floor = kept.floor
        if kept.next_reset <= self._clock.now():
            self._floor = None
            self._renew()
        if kept.exhausted_until is not None and kept.exhausted_until > self._clock.now():
            self.exhaust()
        elif self.is_limit_known:
            self._probe()

    def needs_note(self, tokens: int, *, is_early: bool = False) -> bool:
        """Say whether the ledger must note more as given out before `tokens` are; `is_early`: whether it soon must."""
        if self._floor is None or self.is_probing:
            return False
        left = self._remaining - self._reserved - tokens
        return left < self._floor + (self._block // 2 if is_early and self._floor else 0)

    @property
    def _block(self) -> int:
        return max(_BLOCK_LEAST, int(self.limit * self._settings.block_share))

    @property
    def stop_until(self) -> datetime | None:
        """The assumed reset while the budget is used up, else None."""
        self._follow_the_clock()
        if self._exhausted_until is not None:
            return self._exhausted_until
        return self._next_reset if self._look_time is not None else None

    def admits(self, tokens: int, *, keeps_shares: bool) -> bool:
        """Answers whether `tokens` may be spent; False: perhaps after what is out came back.

        Args:
            tokens: of the call.
            keeps_shares: whether the shares of a rollback and of other apps stay untouched.

        Raises:
            RateLimitedError: used up (`TARGET_QUOTA_EXHAUSTED`); metadata has `resume_time`, assumed, and `look_time`.
        """
        self._follow_the_clock()
        if self.is_probing:
            return True
        if self._exhausted_until is not None:
            raise self._used_up(0)
        kept = self.rollback_reserve + self.others_reserve if keeps_shares else 0
        # Once stopped, a few tokens that were only counted too low are not worth going on for.
        floor = kept + (self._slack if keeps_shares and self._is_stopped else 0)
        if self._remaining - self._reserved - tokens >= floor:
            if keeps_shares:
                self._look_time, self._is_stopped = None, False
            return True
        if self._reserved and self._remaining - tokens >= floor:
            # What is out on lease may stand in the header already; the next release tells.
            return False
        if self._look_time is None and self.is_limit_known:
            # Without headers a good answer would not tell how much there is, and the shares would be spent by looking.
            self._look_time, self._is_stopped = self._next_look(), True
        raise self._used_up(kept)

    def reserve(self, tokens: int, order: int) -> None:
        """Takes the tokens of a grant off until its answer tells."""
        self._reserved += tokens
        self._last_order = order

    def give_back(self, tokens: int) -> None:
        """Ends a reservation."""
        self._reserved -= tokens

    def lose(self, tokens: int) -> None:
        """Counts the calls of a lost lease as made: whether they were is not known, and this is the cautious reading."""
        self.answered += tokens
        self._ours_today += tokens
        self._remaining -= tokens

    def learn(self, *, order: int, answered_at_grant: int, spent: int, limit: int | None, remaining: int | None) -> None:
        """Takes in what an answer to the grant `order` cost and what its headers said; None where they said nothing."""
        is_same_limit = limit is None or limit == self.limit
        if limit is not None and limit > 0:
            self.limit, self.is_limit_known = limit, True
        counted = self._remaining - spent
        if remaining is not None and is_same_limit and remaining > counted + self._slack and order > self._learned_order:
            # More than there can be of the day we know: a new one began.
            self._begin_day()
        if remaining is None:
            self._remaining = counted
        else:
            told = remaining - (self.answered - answered_at_grant)
            self._others.learn(
                self._clock.monotonic(),
                remaining=remaining,
                ours_least=answered_at_grant + spent,
                ours_most=self.answered + spent + self._reserved,
            )
            self._remaining = told if order > self._learned_order else min(counted, told)
            self._learned_order = self._last_order
        self.answered += spent
        self._ours_today += spent

    def accept(self, order: int, *, is_told: bool) -> None:
        """Takes in that the call of the grant `order` went well: a probe has found tokens, and maybe its headers told how many."""
        if not self.is_probing or order <= self._probe_after:
            return
        self.is_probing = False
        if self._exhausted_until is not None:
            self._exhausted_until = None
            if not is_told:
                self._renew()

    def exhaust(self) -> None:
        """Takes in that Pipedrive refused a call because nothing is left."""
        self._remaining = 0
        self._learned_order = self._last_order
        self.is_probing = False
        self._exhausted_until = self._next_reset
        self._look_time = self._next_look()

    def is_spent(self) -> bool:
        """Answers whether by our own count nothing is left."""
        return self._remaining <= 0

    def resume(self) -> None:
        """A person says that it goes on, maybe because they bought tokens: the next call finds out, alone."""
        self._exhausted_until = self._look_time = None
        self._probe()
        self._renew()

    def _follow_the_clock(self) -> None:
        now = self._clock.now()
        if now >= self._next_reset:
            self._next_reset = self._reset_after(now)
            self._begin_day()
            if self._exhausted_until is not None or self._look_time is not None:
                self._exhausted_until = self._look_time = None
                self._probe()
            self._renew()
        elif self._look_time is not None and now >= self._look_time:
            self._look_time = None
            self._probe()

    def _probe(self) -> None:
        self.is_probing = True
        self._probe_after = self._last_order

    def _renew(self) -> None:
        """Takes the budget for full until the next answer tells."""
        self._remaining = max(self._remaining, self.limit)
        self._is_stopped = False
        self._learned_order = self._last_order

    def _begin_day(self) -> None:
        self._ours_today, self._others_before = 0, self._others.spent

    @property
    def _slack(self) -> int:
        return max(_SLACK_LEAST, int(self.limit * _SLACK_SHARE))

    def _next_look(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._settings.probe_seconds)

    def _reset_after(self, now: datetime) -> datetime:
        local = now.astimezone(self._zone)
        midnight = datetime(local.year, local.month, local.day, tzinfo=self._zone) + timedelta(days=1)
        return midnight.astimezone(now.tzinfo)

    def _used_up(self, kept: int) -> RateLimitedError:
        but = f" but for {kept:,} tokens kept for a rollback and the customer's other apps" if kept else ""
        look = f"; one call every {_period(self._settings.probe_seconds)} finds out whether that is sooner" if self._look_time is not None else ""
        metadata = {"resume_time": stamp(self._next_reset), "connection": self._name}
        if self._look_time is not None:
            metadata["look_time"] = stamp(self._look_time)
        return RateLimitedError(
            f"the daily token budget of Pipedrive is used up{but}. It is assumed to be renewed at {stamp(self._next_reset)}"
            f" (midnight in {self._settings.reset_zone}; Pipedrive does not name its zone){look}",
            retry_after_seconds=max(1.0, (self._next_reset - self._clock.now()).total_seconds()),
            reason="TARGET_QUOTA_EXHAUSTED",
            metadata=metadata,
        )


def stamp(time: datetime) -> str:
    """Writes a time for people and metadata: RFC 3339, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _period(seconds: float) -> str:
    """Writes a length of time in the largest unit that fits: `15 min`, `90 s`."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 and seconds % 60 == 0 else f"{seconds:g} s"  # noqa: PLR2004 - two minutes
