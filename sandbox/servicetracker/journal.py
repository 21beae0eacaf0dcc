"""What was asked of the org, so that tests can prove what was and what was not done."""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

_LENGTH_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call, credentials left out."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    error_code: str
    is_counted: bool
    is_write: bool


class Journal:
    """The latest calls in order, and counts of all of them."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=_LENGTH_MAX)
        self.counts: Counter[str] = Counter()

    def add(self, call: Call) -> None:
        """Append one call."""
        self.calls.append(call)
        self.counts["call_count"] += 1
        self.counts["counted_count"] += call.is_counted
        self.counts["write_attempts"] += call.is_write
        self.counts[f"status {call.status}"] += 1

    def clear(self) -> None:
        """Forget everything."""
        self.calls.clear()
        self.counts.clear()

    def as_json(self) -> dict[str, Any]:
        """Return calls and counts as a JSON object."""
        counts = {name: self.counts[name] for name in ("call_count", "counted_count", "write_attempts")}
        return {**counts, "counts": dict(self.counts), "calls": [asdict(call) for call in self.calls]}
