"""The daily token budget of the company: what was spent on each day, by the account's own calls and by other applications.

Each day is kept by its date in the reset zone. A wall clock that goes back to an earlier day finds that day as it was left, so
no day ever grants more than its budget, however the clock moves.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.pipedrive.account.clock import SandboxClock, start_of_day
from sandbox.pipedrive.limits.other_apps import OtherApps
from sandbox.pipedrive.options import Options
from sandbox.pipedrive.store.store import Store

DAY = "day:"
"""What the names of days begin with in the store's named values."""


class Budget:
    """Tokens of the day. Reading anything first looks at the clock."""

    def __init__(self, options: Options, clock: SandboxClock, store: Store) -> None:
        self._options = options
        self._clock = clock
        self._store = store
        self._zone = ZoneInfo(options.reset_zone)
        self._plain = options.daily_budget
        self._others = OtherApps(options.other_apps, options.other_apps_jitter, options.seed or 0)
        self.clear()

    def clear(self) -> None:
        """Forget what was derived from the store."""
        self._second = -1
        self._key = ""

    def look(self) -> str:
        """Find the day of this moment, let other applications spend what they do until now, and return the date."""
        epoch = self._clock.epoch()
        second = int(epoch)
        if second != self._second or self._key not in self._store.meta:
            self._second = second
            day = datetime.fromtimestamp(epoch, self._zone).date()
            self._key = DAY + day.isoformat()
            if self._key not in self._store.meta:
                self._begin(max(start_of_day(day, self._options.reset_zone), self._store.meta["origin"]["epoch"]))
            self._let_others_spend(second // 60)
        return self._key.removeprefix(DAY)

    def _begin(self, moment: float) -> None:
        """Open a day. What others had spent before the account began counts for its first day."""
        is_first = not any(name.startswith(DAY) for name in self._store.meta)
        spent = min(self._options.spent, self._options.daily_budget) if is_first else 0
        self._store.set_meta(self._key, {"used": 0, "others": spent, "extra": 0, "minute": int(moment // 60)})

    def _let_others_spend(self, minute: int) -> None:
        day = self._store.meta[self._key]
        if minute <= day["minute"]:
            return
        wanted = self._others.spent(day["minute"], minute)
        if self._options.limits:
            wanted = min(wanted, self._left(day))
        self._store.set_meta(self._key, {**day, "others": day["others"] + wanted, "minute": minute})

    def _left(self, day: dict[str, int]) -> int:
        return max(0, self._plain + day["extra"] - day["used"] - day["others"])

    @property
    def total(self) -> int:
        """Tokens the company may spend today."""
        return self._plain + self._part("extra")

    @property
    def used(self) -> int:
        """Tokens the account's own calls spent today."""
        return self._part("used")

    @property
    def others(self) -> int:
        """Tokens other applications spent today."""
        return self._part("others")

    @property
    def remaining(self) -> int:
        """Tokens left today."""
        self.look()
        return self._left(self._store.meta[self._key])

    def figures(self) -> tuple[int, int, int]:
        """Return the day's total, what is left of it, and what was spent."""
        self.look()
        day = self._store.meta[self._key]
        return self._plain + day["extra"], self._left(day), day["used"] + day["others"]

    def _part(self, name: str) -> int:
        self.look()
        return int(self._store.meta[self._key][name])

    def add(self, name: str, tokens: int, date: str | None = None) -> None:
        """Add to `used`, `others` or `extra` of today, or of a day that was looked at before."""
        today = self.look()
        key = DAY + (today if date is None else date)
        day = self._store.meta.get(key)
        if day is not None:  # a reset meanwhile forgot the day
            self._store.set_meta(key, {**day, name: day[name] + tokens})

    def days(self) -> dict[str, dict[str, Any]]:
        """Return every day by its date."""
        self.look()
        return {
            name.removeprefix(DAY): {part: day[part] for part in ("used", "others", "extra")}
            for name, day in sorted(self._store.meta.items())
            if name.startswith(DAY)
        }
