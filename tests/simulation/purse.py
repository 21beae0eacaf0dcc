"""The company's tokens and windows as others use them, with a list of what they did: the judge has to tell their part from ours."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sandbox.pipedrive.control.moves import change_budget
from sandbox.pipedrive.limits.limits import Credential

if TYPE_CHECKING:
    from sandbox.pipedrive.gateway.app import PipedriveApp
    from tests.simulation.trace import Trace

MADE_UP: Final = 1_000_000
"""Tokens bought when it is calm again: what binds then is no longer what is looked at."""


@dataclass(slots=True)
class Purse:
    """Budget and windows of the simulated company, seen from outside.

    Attributes:
        changes: (time, tokens) of what others spent or took away; bought tokens are not in it.
        shared: times at which another program sent a request with our token.
    """

    app: PipedriveApp
    trace: Trace
    changes: list[tuple[float, int]] = field(default_factory=list)
    shared: list[float] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Tokens of the day."""
        return self.app.limits.budget.total

    @property
    def remaining(self) -> int:
        """Tokens left today."""
        return self.app.limits.budget.remaining

    def others_spend(self, tokens: int) -> int:
        """Let others spend so many tokens, at most what is left; answers how many they spent."""
        tokens = max(0, min(tokens, self.remaining))
        if tokens:
            change_budget(self.app.limits.budget, {"spend": tokens})
            self.changes.append((_now(), tokens))
            self.trace.note(f"others spend {tokens} tokens, {self.remaining} are left", "weather")
        return tokens

    def buy(self, tokens: int) -> None:
        """Change the day's limit; with a negative number it falls, at most by what is left."""
        tokens = max(tokens, -self.remaining)
        change_budget(self.app.limits.budget, {"top_up": tokens})
        if tokens < 0:
            self.changes.append((_now(), -tokens))
        self.trace.note(f"the day's limit changes by {tokens} tokens, {self.remaining} are left", "weather")

    def make_up(self) -> None:
        """Let there be plenty again where something was taken."""
        if self.changes:
            self.buy(MADE_UP)

    def fill_window(self, requests: int) -> int:
        """Let another program send requests with the latest token; answers how many found a place."""
        tokens = self.app.account.store.meta["tokens"]
        token = next(reversed(tokens), None)
        if token is None:
            return 0
        kind = self.app.account.options.token_kind
        label = self.app._labels.get((token, kind == "oauth"))  # its window has no public name
        if label is None:
            return 0
        now = self.app.account.clock.monotonic()
        credential = Credential(token, tokens[token], kind == "oauth", label)
        count = sum(self.app.limits.admit_burst(credential, now) for _ in range(requests))
        if count:
            self.shared.append(now)
            self.trace.note(f"another program takes {count} places in the window", "weather")
        return count


def _now() -> float:
    return asyncio.get_running_loop().time()
