"""Rolling windows: at most so many requests in any 2 seconds."""

import math
from collections import deque

WINDOW_SECONDS = 2.0


class Window:
    """Grants at most `limit` requests in any 2 seconds. A refused request does not count (assumed)."""

    __slots__ = ("_granted", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._granted: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Take a place in the window if there is one; a time before the last place taken counts as that."""
        granted = self._granted
        if granted:
            now = max(now, granted[-1])
            self._forget(now)
        if len(granted) >= self.limit:
            return False
        granted.append(now)
        return True

    @property
    def remaining(self) -> int:
        """Places left, as of the last `admit`."""
        return self.limit - len(self._granted)

    def taken(self, now: float) -> int:
        """Places taken in the last 2 seconds."""
        return sum(now - moment <= WINDOW_SECONDS for moment in self._granted)

    def reset_seconds(self, now: float) -> int:
        """Whole seconds until a place that is taken becomes free, 0 to 2."""
        if not self._granted:
            return 0
        return max(0, math.ceil(self._granted[0] + WINDOW_SECONDS - now))

    def _forget(self, now: float) -> None:
        granted = self._granted
        while granted and now - granted[0] > WINDOW_SECONDS:
            granted.popleft()
