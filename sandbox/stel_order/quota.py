"""The account's call counters."""

from collections import deque
from datetime import datetime, timedelta

from sandbox.common.clock import Clock

_MINUTE = timedelta(seconds=60)


class CallQuota:
    """Counts calls in a rolling minute and in a day that ends at UTC midnight. A limit of 0 means none."""

    def __init__(self, clock: Clock, *, per_minute: int, per_day: int) -> None:
        self._clock = clock
        self.per_minute = per_minute
        self.per_day = per_day
        self._recent: deque[datetime] = deque()
        self._day = clock.now().date()
        self._used_today = 0

    def take(self) -> str | None:
        """Count one call; when it is one too many, count nothing and return the error code."""
        now = self._clock.now()
        self._roll(now)
        if self.per_day and self._used_today >= self.per_day:
            return "E000002"
        if self.per_minute and len(self._recent) >= self.per_minute:
            return "E000001"
        self._used_today += 1
        if self.per_minute:
            self._recent.append(now)
        return None

    @property
    def used_today(self) -> int:
        """Calls counted today."""
        self._roll(self._clock.now())
        return self._used_today

    @property
    def used_this_minute(self) -> int:
        """Calls counted in the last 60 seconds."""
        self._roll(self._clock.now())
        return len(self._recent)

    def set_used(self, *, today: int | None = None, this_minute: int | None = None) -> None:
        """Pretend that so many calls were made, by whoever shares the account."""
        now = self._clock.now()
        self._roll(now)
        if today is not None:
            self._used_today = today
        if this_minute is not None:
            self._recent = deque([now] * this_minute)

    def _roll(self, now: datetime) -> None:
        if now.date() != self._day:
            self._day = now.date()
            self._used_today = 0
        while self._recent and now - self._recent[0] >= _MINUTE:
            self._recent.popleft()
