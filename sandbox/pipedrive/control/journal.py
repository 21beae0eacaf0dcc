"""A journal of every request, so that a checker can prove what was asked, what it cost and that no window was overrun."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sandbox.pipedrive.limits.windows import WINDOW_SECONDS


class Entry(NamedTuple):
    """One request as it was answered."""

    time: float
    """Steady seconds of the account, at arrival: the time that windows are counted in."""
    at: str
    """Wall time of the account, at arrival."""
    day: str
    """Date of the budget that was charged, empty where none was."""
    credential: str
    """User and kind of the credential, e.g. `user:1:api`, with a number from the user's second token on; empty without one."""
    window: str
    """The 2-second window in which the request took a place, empty where it got none."""
    is_search: bool
    """Whether it took a place in that window's search window too."""
    method: str
    path: str
    operation: str
    """Method and route template, empty for an unknown route."""
    tokens: int
    """What it cost."""
    status: int
    """What was answered; 0 for a cut connection."""
    fault: str
    """Kind of injected fault, empty without one."""


@dataclass(slots=True)
class _Use:
    granted: int = 0
    tokens: int = 0
    window: deque[float] = field(default_factory=deque)
    window_max: int = 0


class Journal:
    """Keeps the latest entries in full, and counts of all."""

    def __init__(self, entries_max: int) -> None:
        self.entries: deque[Entry] = deque(maxlen=entries_max)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self.total = 0
        self._operations: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._by_operation_status: Counter[tuple[str, int]] = Counter()
        self._use: dict[str, _Use] = {}
        self._faults: Counter[str] = Counter()

    @property
    def is_whole(self) -> bool:
        """Whether every request since the last `clear` is kept."""
        return self.total == len(self.entries)

    def add(self, entry: Entry) -> None:
        """Append one request."""
        self.entries.append(entry)
        self.total += 1
        self._operations[entry.operation] += 1
        self._tokens[entry.operation] += entry.tokens
        self._statuses[entry.status] += 1
        self._by_operation_status[entry.operation, entry.status] += 1
        if entry.fault:
            self._faults[entry.fault] += 1
        if entry.window and entry.status != 429:
            use = self._use.setdefault(entry.window, _Use())
            use.granted += 1
            use.tokens += entry.tokens

    def admit(self, window: str, time: float) -> None:
        """Note that a request got its place in the 2-second window; requests come in order of time, answers need not."""
        use = self._use.setdefault(window, _Use())
        latest = use.window
        latest.append(time)
        while time - latest[0] > WINDOW_SECONDS:
            latest.popleft()
        use.window_max = max(use.window_max, len(latest))

    def summary(self) -> dict[str, Any]:
        """Return counts per operation and status, tokens, and the fullest 2-second window of each credential."""
        return {
            "requests": self.total,
            "tokens": sum(self._tokens.values()),
            "refused_429": self._statuses[429],
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            "faults": dict(sorted(self._faults.items())),
            "operations": {
                name: {
                    "requests": count,
                    "tokens": self._tokens[name],
                    "statuses": {
                        str(status): number for (operation, status), number in sorted(self._by_operation_status.items()) if operation == name
                    },
                }
                for name, count in sorted(self._operations.items())
            },
            "credentials": {
                name: {"granted": use.granted, "tokens": use.tokens, "requests_in_2_seconds_max": use.window_max}
                for name, use in sorted(self._use.items())
            },
        }

    def rows(self, start: int, limit: int) -> list[dict[str, Any]]:
        """Return entries from position `start` of those kept."""
        kept = list(self.entries)[start : start + limit]
        return [entry._asdict() for entry in kept]
