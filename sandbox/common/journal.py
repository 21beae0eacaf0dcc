"""What was asked of a simulator, so that tests can prove what was and what was not done."""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any, Final

LENGTH_MAX: Final = 200_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call, credentials left out."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    error_code: str
    is_counted: bool
    """Whether it drew from the call limits."""
    is_write: bool
    """Whether it was an attempt to write."""
    time: str = ""
    key_in_query: bool = False


class Journal:
    """The latest calls in order, and counts of all of them."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=LENGTH_MAX)
        self.call_count = 0
        self.counted_count = 0
        self.write_attempts = 0
        self.statuses: Counter[int] = Counter()

    def add(self, call: Call) -> None:
        """Append one call."""
        self.calls.append(call)
        self.call_count += 1
        self.counted_count += call.is_counted
        self.write_attempts += call.is_write
        self.statuses[call.status] += 1

    def clear(self) -> None:
        """Forget everything."""
        self.calls.clear()
        self.statuses.clear()
        self.call_count = self.counted_count = self.write_attempts = 0

    def as_json(self) -> dict[str, Any]:
        """Return calls and counts as a JSON object."""
        return {
            "call_count": self.call_count,
            "counted_count": self.counted_count,
            "write_attempts": self.write_attempts,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "calls": [asdict(call) for call in self.calls],
        }
