"""Time inside the simulated account: a wall clock that can be set, moved and sped up, and a steady clock that only goes forward."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

EPOCH_MIN = datetime(1971, 1, 1, tzinfo=UTC).timestamp()
EPOCH_MAX = datetime(2999, 1, 1, tzinfo=UTC).timestamp()
"""The wall clock stays between these, so that every date can be told and has a next day."""
SPEED_MAX = 1_000_000.0


class SandboxClock:
    """Wall time for days, midnights and what records say; steady time for the 2-second windows.

    The wall clock may run faster than real time, the steady clock never does. Passing time (`advance`) moves both; a jump moves the
    wall clock alone, as when somebody sets it.

    Args:
        wall: Real seconds since 1970.
        steady: Real seconds that never go back.
        start: What the wall clock shows now, in seconds since 1970; None for the real time.
        speed: How many seconds the wall clock goes on in a real one.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        *,
        start: float | None = None,
        speed: float = 1.0,
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._anchor_wall = wall() if start is not None or speed != 1.0 else 0.0
        self._anchor_epoch = self._anchor_wall if start is None else start
        self._passed = 0.0
        self._held: float | None = None
        self._second = -1
        self._text = ""
        self.speed = speed
        self.jumps = 0
        """How often the wall clock was set or moved back; what keeps an agenda by it must look again."""

    @property
    def offset_seconds(self) -> float:
        """How far the account's wall clock is from the real one."""
        return self.epoch() - self._wall()

    def advance(self, seconds: float) -> None:
        """Let time pass in the account; a negative number sets the wall clock back."""
        if seconds < 0:
            self.jump(seconds)
            return
        self._anchor_epoch += seconds
        self._passed += seconds / self.speed

    def jump(self, seconds: float) -> None:
        """Move the wall clock without time passing."""
        self._anchor_epoch += seconds
        self.jumps += 1

    def set(self, epoch: float) -> None:
        """Set the wall clock, to seconds since 1970."""
        self.jump(epoch - self._running())

    def set_speed(self, speed: float) -> None:
        """Let the wall clock run `speed` times as fast as real time from now on."""
        self._anchor_epoch, self._anchor_wall = self._running(), self._wall()
        self.speed = speed

    def epoch(self) -> float:
        """Seconds since 1970 in the account."""
        if self._held is not None:
            return self._held
        epoch = self._anchor_epoch + (self._wall() - self._anchor_wall) * self.speed
        return epoch if EPOCH_MIN <= epoch <= EPOCH_MAX else min(max(epoch, EPOCH_MIN), EPOCH_MAX)

    def _running(self) -> float:
        return self._anchor_epoch + (self._wall() - self._anchor_wall) * self.speed

    def monotonic(self) -> float:
        """Steady seconds from an arbitrary start. Real seconds, and more of them where time was let pass."""
        return self._steady() + self._passed

    def stand(self, epoch: float | None) -> float | None:
        """Let the wall clock stand at a moment, or go on where it would be with None; return where it stood before."""
        before, self._held = self._held, epoch
        return before

    def held(self, epoch: float) -> "Held":
        """Let the wall clock stand at a moment for the time of a block, so that what belongs together has one time."""
        return Held(self, epoch)

    def state(self) -> dict[str, float]:
        """Return what `restore` needs to let the wall clock go on in another process."""
        return {"anchor_epoch": self._anchor_epoch, "anchor_wall": self._anchor_wall, "speed": self.speed}

    def restore(self, state: dict[str, float]) -> None:
        """Go on as the clock that gave this state would."""
        self._anchor_epoch, self._anchor_wall, self.speed = state["anchor_epoch"], state["anchor_wall"], state["speed"]
        self.jumps += 1

    def now(self) -> str:
        """The current time as Pipedrive writes it: RFC 3339, whole seconds, `Z`."""
        second = int(self.epoch())
        if second != self._second:
            self._second = second
            self._text = time_text(second)
        return self._text

    def today(self, zone: str = "UTC") -> date:
        """The date in a zone."""
        return datetime.fromtimestamp(self.epoch(), ZoneInfo(zone)).date()

    def offset_text(self, zone: str) -> str:
        """How far a zone is from UTC now, as `+02:00`."""
        text = datetime.fromtimestamp(self.epoch(), ZoneInfo(zone)).strftime("%z")
        return f"{text[:3]}:{text[3:]}"

    def seconds_to_midnight(self, zone: str) -> int:
        """Whole seconds until the next midnight of a zone, at least 1. Days of 23 or 25 hours count as they are."""
        epoch = self.epoch()
        tomorrow = datetime.fromtimestamp(epoch, ZoneInfo(zone)).date() + timedelta(days=1)
        return max(1, int(start_of_day(tomorrow, zone) - epoch))


class Held:
    """A block in which a wall clock stands. A class, because every request enters some and a generator costs more."""

    __slots__ = ("_before", "_clock", "_epoch")

    def __init__(self, clock: SandboxClock, epoch: float) -> None:
        self._clock = clock
        self._epoch = epoch
        self._before: float | None = None

    def __enter__(self) -> None:
        """Stop the clock."""
        self._before = self._clock.stand(self._epoch)

    def __exit__(self, *_: object) -> None:
        """Let it be as it was."""
        self._clock.stand(self._before)


def start_of_day(day: date, zone: str) -> float:
    """Seconds since 1970 at which a date begins in a zone."""
    return datetime.combine(day, datetime.min.time(), ZoneInfo(zone)).timestamp()


def time_text(epoch: float) -> str:
    """Write a moment as Pipedrive does: RFC 3339, whole seconds, `Z`."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_time(text: str) -> float:
    """Read an ISO 8601 date or time (UTC unless it names a zone) between 1971 and 2999; return seconds since 1970.

    Raises:
        ValueError: When it is none.
    """
    moment = datetime.fromisoformat(text)
    epoch = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    if not EPOCH_MIN <= epoch <= EPOCH_MAX:
        raise ValueError("only times between 1971 and 2999 can be told")
    return epoch


def v1_time(text: str | None) -> str | None:
    """Render a stored time (`2026-01-02T03:04:05Z`) the way version 1 writes it (`2026-01-02 03:04:05`)."""
    return None if text is None else text[:10] + " " + text[11:19]


def local_date(text: str | None, zone: str) -> str | None:
    """The date of a stored time in a zone."""
    if text is None:
        return None
    return datetime.fromisoformat(text).astimezone(ZoneInfo(zone)).date().isoformat()
