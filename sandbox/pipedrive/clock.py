"""Time inside the simulated account. It runs like real time and can be moved forward by tests."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


class SandboxClock:
    """Wall and monotonic time with a common offset, so that windows and budgets move together."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self.offset_seconds = 0.0
        self._second = -1
        self._text = ""

    def advance(self, seconds: float) -> None:
        """Move the account's time; a negative number moves it back."""
        self.offset_seconds += seconds

    def epoch(self) -> float:
        """Seconds since 1970 in the account."""
        return self._wall() + self.offset_seconds

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; moves with `advance`."""
        return self._steady() + self.offset_seconds

    def now(self) -> str:
        """The current time as Pipedrive writes it: RFC 3339, whole seconds, `Z`."""
        second = int(self.epoch())
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._text

    def today(self, zone: str = "UTC") -> date:
        """The date in a zone."""
        return datetime.fromtimestamp(self.epoch(), ZoneInfo(zone)).date()

    def offset_text(self, zone: str) -> str:
        """How far a zone is from UTC now, as `+02:00`."""
        text = datetime.fromtimestamp(self.epoch(), ZoneInfo(zone)).strftime("%z")
        return f"{text[:3]}:{text[3:]}"

    def seconds_to_midnight(self, zone: str) -> int:
        """Whole seconds until the next midnight of a zone, at least 1."""
        here = datetime.fromtimestamp(self.epoch(), ZoneInfo(zone))
        midnight = datetime.combine(here.date() + timedelta(days=1), datetime.min.time(), ZoneInfo(zone))
        return max(1, int((midnight - here).total_seconds()))


def v1_time(text: str | None) -> str | None:
    """Render a stored time (`2026-01-02T03:04:05Z`) the way version 1 writes it (`2026-01-02 03:04:05`)."""
    return None if text is None else text[:10] + " " + text[11:19]


def local_date(text: str | None, zone: str) -> str | None:
    """The date of a stored time in a zone."""
    if text is None:
        return None
    return datetime.fromisoformat(text).astimezone(ZoneInfo(zone)).date().isoformat()
