"""Injected faults: rules that make chosen calls fail in ways a real network and a real server do."""

import re
from dataclasses import dataclass, field
from typing import Any

KINDS = ("status", "cut_before", "cut", "slow", "broken_json", "not_json")


class FaultRuleError(Exception):
    """A rule makes no sense; the message says why."""


@dataclass(slots=True)
class Rule:
    """When and how calls fail. A rule without `nth` and `times` fires on every match."""

    kind: str
    """`status` answers `status` and `body`; `cut_before` closes without a byte, `cut` in the middle of the body; `slow` answers after
    `seconds`; `broken_json` answers half of the JSON with status 200; `not_json` answers an HTML page with status 200."""
    method: str = ""
    """Method to match, any when empty."""
    path: str = ""
    """Regular expression searched in the path with its query (`/app/clients?start=500`), any when empty."""
    nth: tuple[int, ...] = ()
    """Positions among the matching calls, from 1."""
    times: int | None = None
    """How often the rule fires at most."""
    seconds: float = 0.0
    """Delay before the answer, for any kind."""
    status: int = 503
    """Answer of `status`."""
    body: Any = None
    """JSON value, or text that is sent as HTML, of `status`."""
    headers: dict[str, str] = field(default_factory=dict)
    """Extra headers of `status`."""
    matched: int = 0
    fired: int = 0
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check and compile."""
        if self.kind not in KINDS:
            raise FaultRuleError(f"kind must be one of {', '.join(KINDS)}")
        try:
            self.pattern = re.compile(self.path)
        except re.error as error:
            raise FaultRuleError(f"path is not a regular expression: {error}") from error
        self.nth = (self.nth,) if isinstance(self.nth, int) else tuple(self.nth)

    def fires(self, method: str, path: str) -> bool:
        """Count a call that matches and say whether it fails."""
        if (self.method and self.method != method) or not self.pattern.search(path):
            return False
        self.matched += 1
        if self.times is not None and self.fired >= self.times:
            return False
        if self.nth and self.matched not in self.nth:
            return False
        self.fired += 1
        return True

    def describe(self) -> dict[str, Any]:
        """Return the rule and its counts as JSON."""
        names = ("kind", "method", "path", "nth", "times", "seconds", "status", "body", "headers", "matched", "fired")
        return {name: getattr(self, name) for name in names}


class Faults:
    """The rules in force. The first that fires decides."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def add(self, rules: list[dict[str, Any]]) -> None:
        """Add rules given as JSON objects.

        Raises:
            FaultRuleError: When one of them makes no sense; none is added then.
        """
        try:
            self.rules += [Rule(**rule) for rule in rules]
        except TypeError as error:
            raise FaultRuleError(str(error)) from error

    def clear(self) -> None:
        """Take all rules back."""
        self.rules.clear()

    def pick(self, method: str, path: str) -> Rule | None:
        """Return the rule that fires for a call, if any."""
        for rule in self.rules:
            if rule.fires(method, path):
                return rule
        return None
