"""A simulator's time."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Real time plus what a test advanced it by."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the simulator's time, UTC."""
        return datetime.now(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Move the simulator's time forward."""
        self._offset += timedelta(seconds=seconds)
