"""Injected faults: rules that make chosen requests fail in ways a real network and a real server do.

Both simulators speak this language; each names its own kinds of faults and plays them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Generic, TypeVar


class FaultRuleError(Exception):
    """A rule makes no sense; the message says why."""


@dataclass(slots=True)
class Rule:
    """When and how requests fail. A rule that narrows nothing fires on every match."""

    KINDS: ClassVar[tuple[str, ...]] = ()
    """The kinds of faults that a simulator plays."""

    kind: str
    method: str = ""
    """Method to match, any when empty."""
    path: str = ""
    """Regular expression searched in the path, any when empty."""
    nth: tuple[int, ...] = ()
    """Positions among the matching requests, from 1."""
    every: int = 0
    """Every so many of the matching requests; 0 for all."""
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
        if self.kind not in self.KINDS:
            raise FaultRuleError(f"kind must be one of {', '.join(self.KINDS)}")
        for name in ("method", "path"):
            if not isinstance(getattr(self, name), str):
                raise FaultRuleError(f"{name} must be a text")
        try:
            self.pattern = re.compile(self.path)
        except re.error as error:
            raise FaultRuleError(f"path is not a regular expression: {error}") from error
        positions: Any = self.nth
        self.nth = tuple(positions) if isinstance(positions, list | tuple) else (positions,)
        if not all(type(position) is int for position in self.nth):
            raise FaultRuleError("nth must be a whole number or a list of them")
        for name in ("seconds", "status", "every", "times", "probability"):
            value = getattr(self, name, None)
            if value is not None and (type(value) not in (int, float) or value < 0):
                raise FaultRuleError(f"{name} must be a number and not negative")
        if not isinstance(self.headers, dict) or not all(isinstance(value, str) for value in self.headers.values()):
            raise FaultRuleError("headers must be an object of texts")

    def fires(self, method: str, path: str) -> bool:
        """Count a request that matches and say whether it fails."""
        if (self.method and self.method != method) or not self.pattern.search(path):
            return False
        self.matched += 1
        if self.times is not None and self.fired >= self.times:
            return False
        if (self.nth and self.matched not in self.nth) or (self.every and self.matched % self.every) or not self.is_drawn():
            return False
        self.fired += 1
        return True

    def is_drawn(self) -> bool:
        """Say whether chance lets a matching request fail; asked last, once for each request that every other option lets fail."""
        return True

    def describe(self) -> dict[str, Any]:
        """Return the rule and its counts as JSON."""
        return {option.name: getattr(self, option.name) for option in fields(self) if option.init}


R = TypeVar("R", bound=Rule)


class Faults(Generic[R]):
    """The rules in force. The first that fires decides.

    Args:
        rule_type: the simulator's kind of rule.
    """

    def __init__(self, rule_type: type[R]) -> None:
        self._rule_type = rule_type
        self.rules: list[R] = []

    def add(self, wanted: Any) -> None:
        """Add rules given as JSON: a list of them, an object with the list `rules`, or one rule.

        Raises:
            FaultRuleError: When one of them makes no sense; none is added then.
        """
        rules = wanted.get("rules", [wanted]) if isinstance(wanted, Mapping) else wanted
        if not isinstance(rules, list):
            raise FaultRuleError("give a rule, or a list of rules")
        try:
            self.rules += [self.make(rule) for rule in rules]
        except TypeError as error:
            raise FaultRuleError(str(error)) from error

    def make(self, wanted: Mapping[str, Any]) -> R:
        """Make a rule that is not in force.

        Raises:
            FaultRuleError: When it makes no sense.
        """
        known = [option.name for option in fields(self._rule_type) if option.init and option.name not in {"matched", "fired"}]
        if not isinstance(wanted, Mapping) or "kind" not in wanted:
            raise FaultRuleError("a rule must be an object with a kind")
        if unknown := [name for name in wanted if name not in known]:
            raise FaultRuleError(f"a rule has no {unknown[0]}; known are: {', '.join(known)}")
        try:
            return self._rule_type(**wanted)
        except TypeError as error:
            raise FaultRuleError(str(error)) from error

    def clear(self) -> None:
        """Take all rules back."""
        self.rules.clear()

    def describe(self) -> dict[str, Any]:
        """Return the rules and their counts as JSON."""
        return {"rules": [rule.describe() for rule in self.rules]}

    def pick(self, method: str, path: str) -> R | None:
        """Return the rule that fires for a request. Rules after it do not count the request."""
        for rule in self.rules:
            if rule.fires(method, path):
                return rule
        return None
