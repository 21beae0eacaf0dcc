"""How fast a load may go and whether its day's tokens suffice: the forecast before it, and what the journal shows afterwards. No I/O."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WINDOW_SECONDS: Final = 2.0
# A window counts as full from this share of its limit on: slots are held until after the answer, so the last ones are rarely seen taken.
FULL_SHARE: Final = 0.9
_REFUSED: Final = 429


@dataclass(frozen=True, slots=True)
class AccountClock:
    """The wall clock of the simulated account.

    Attributes:
        now: what it shows, in the zone whose midnight renews the budget.
        speed: its seconds in a real one.
    """

    now: datetime
    speed: float

    @property
    def real_seconds_to_midnight(self) -> float:
        """How long until a new day begins there."""
        midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return (midnight - self.now).total_seconds() / self.speed

    def words(self) -> str:
        """What it shows and when it is midnight: `16:21, 600 times as fast as ours; midnight in about 46 s`."""
        pace = f", {self.speed:g} times as fast as ours" if self.speed != 1 else ""
        return f"{self.now:%H:%M}{pace}; midnight in about {duration(self.real_seconds_to_midnight)}"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known before a load.

    Attributes:
        planned_tokens: still to be spent by the load, as the audit estimated.
        left_tokens: of the account's day.
        kept_tokens: of these, not to be touched by a load.
        window_limit: calls in 2 seconds.
        tokens_per_call: on average, so far.
        clock: of the account.
    """

    planned_tokens: int
    left_tokens: int
    kept_tokens: int
    window_limit: int
    tokens_per_call: float
    clock: AccountClock

    @property
    def call_count(self) -> int:
        """Calls the load will make, about."""
        return round(self.planned_tokens / self.tokens_per_call)

    @property
    def seconds_min(self) -> float:
        """How long the window alone makes it take."""
        return self.call_count / self.window_limit * WINDOW_SECONDS

    @property
    def missing_tokens(self) -> int:
        """What the day lacks."""
        return max(0, self.planned_tokens - max(0, self.left_tokens - self.kept_tokens))

    @property
    def is_pause_expected(self) -> bool:
        """Whether the tokens run out before the account's midnight, at the highest pace."""
        if not self.missing_tokens:
            return False
        seconds = self.seconds_min * (1 - self.missing_tokens / self.planned_tokens)
        return seconds < self.clock.real_seconds_to_midnight

    def lines(self) -> list[str]:
        """What a person reads before the load."""
        kept = f", {self.kept_tokens:,} of them kept for a rollback and the customer's other apps" if self.kept_tokens else ""
        lines = [
            f"about {self.planned_tokens:,} tokens planned; {self.left_tokens:,} left today{kept}",
            f"at most {self.window_limit} calls in 2 seconds, so its {self.call_count:,} or so calls take at least {duration(self.seconds_min)}",
        ]
        if self.is_pause_expected:
            lines.append(f"about {self.missing_tokens:,} tokens are missing: it will pause until midnight. The account's clock: {self.clock.words()}")
            if self.clock.speed == 1:
                lines.append("CLOCK=600 (--clock-speed 600) lets a day of the account pass in 2.4 minutes; Ctrl-C ends the rehearsal at any time")
        elif self.missing_tokens:
            lines.append(f"about {self.missing_tokens:,} tokens are missing, but a new day begins first. The account's clock: {self.clock.words()}")
        else:
            lines.append("the day's tokens suffice: no pause for quota is expected")
        return lines


@dataclass(frozen=True, slots=True)
class Pace:
    """What a journal of requests shows.

    Attributes:
        fullest: most requests in any 2 seconds.
        full_seconds: how long the window was full, so that calls had to wait for it.
        refused_for_pace: 429s because a window was full: a mistake of ours.
        refused_for_budget: 429s because the day's tokens were used up; looking whether there are new ones is done by such calls.
    """

    fullest: int
    full_seconds: float
    refused_for_pace: int
    refused_for_budget: int

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]], window_limit: int) -> Pace:
        """Reads a journal in its order of time.

        Args:
            entries: `time` (steady seconds), `window` (empty: no place was got), `is_search` (a place in the search window too), `operation`,
                `status`.
            window_limit: requests allowed in 2 seconds.
        """
        latest: deque[float] = deque()
        fullest = pace = budget = 0
        full_seconds = before = 0.0
        threshold = max(1, math.ceil(window_limit * FULL_SHARE))
        for entry in sorted(entries, key=lambda entry: float(entry["time"])):
            moment = entry["time"]
            if len(latest) >= threshold:
                # It is full until the oldest of the newest `threshold` requests leaves it.
                full_seconds += max(0.0, min(moment, latest[-threshold] + WINDOW_SECONDS) - before)
            if entry["status"] == _REFUSED:
                is_budget = _got_its_places(entry)
                budget += is_budget
                pace += not is_budget
            while latest and moment - latest[0] > WINDOW_SECONDS:
                latest.popleft()
            if entry["window"]:
                latest.append(moment)
                fullest = max(fullest, len(latest))
            before = moment
        return cls(fullest, full_seconds, pace, budget)


def _got_its_places(entry: Mapping[str, Any]) -> bool:
    """Whether a refused request had a place in every window it needs, so that only the budget can have refused it."""
    needs_search = "search" in str(entry["operation"]).lower()
    return bool(entry["window"]) and (bool(entry["is_search"]) or not needs_search)


def duration(seconds: float) -> str:
    """Writes a length of time: `46 s`, `12 min`, `10 h 36 min`."""
    whole = round(seconds)
    if whole < 120:  # noqa: PLR2004 - two minutes
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004 - an hour
