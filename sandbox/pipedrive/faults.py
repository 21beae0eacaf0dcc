"""Injected faults: rules that make chosen requests fail in ways a real network and a real server do."""

import random
import re
from dataclasses import dataclass, field
from typing import Any

KINDS = ("error_before", "error_after", "cut_before", "cut_after", "slow", "status", "empty_200")


class FaultRuleError(Exception):
    """A rule makes no sense; the message says why."""


@dataclass(slots=True)
class Rule:
    """When and how requests fail. A rule that names no `nth` and no `probability` fires on every match."""

    kind: str
    method: str = ""
    """Method to match, any when empty."""
    path: str = ""
    """Regular expression searched in the path, any when empty."""
    nth: tuple[int, ...] = ()
    """Positions among the matching requests, from 1."""
    probability: float | None = None
    """Chance for each matching request, drawn from `seed`."""
    seed: int = 0
    times: int | None = None
    """How often the rule fires at most."""
    seconds: float = 0.0
    """Delay of "slow"; 0 for the others, which may be delayed as well."""
    status: int = 503
    """Answer of "status"."""
    body: Any = None
    """JSON value, or text that is sent as HTML, of "status"."""
    headers: dict[str, str] = field(default_factory=dict)
    """Extra headers of "status"."""
    matched: int = 0
    fired: int = 0
    pattern: re.Pattern[str] = field(init=False, repr=False)
    draw: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check and compile."""
        if self.kind not in KINDS:
            raise FaultRuleError(f"kind must be one of {', '.join(KINDS)}")
        try:
            self.pattern = re.compile(self.path)
        except re.error as error:
            raise FaultRuleError(f"path is not a regular expression: {error}") from error
        self.nth = (self.nth,) if isinstance(self.nth, int) else tuple(self.nth)
        self.draw = random.Random(self.seed)

    def fires(self, method: str, path: str) -> bool:
        """Count a request that matches and say whether it fails."""
        if (self.method and self.method != method) or not self.pattern.search(path):
            return False
        self.matched += 1
        if self.times is not None and self.fired >= self.times:
            return False
        if self.nth and self.matched not in self.nth:
            return False
        if self.probability is not None and self.draw.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def describe(self) -> dict[str, Any]:
        """Return the rule and its counts as JSON."""
        names = ("kind", "method", "path", "nth", "probability", "seed", "times", "seconds", "status", "body", "headers", "matched", "fired")
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

    def pick(self, method: str, path: str) -> Rule | None:
        """Return the rule that fires for a request. Rules after it do not count the request."""
        for rule in self.rules:
            if rule.fires(method, path):
                return rule
        return None
