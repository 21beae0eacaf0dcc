"""Rate limits: the company's daily token budget, the rolling 2-second windows of each token, and the headers that tell of them."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

from sandbox.common.asgi import Headers
from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.limits.budget import Budget
from sandbox.pipedrive.limits.windows import Window
from sandbox.pipedrive.options import Options
from sandbox.pipedrive.store.store import Store

SEARCH_BURST = 10
WRITES_A_DAY = 10_000
"""POST and PUT calls a user may make in a UTC day by the rule of 2019, which is announced and not enforced."""
IDLE_SECONDS = 60.0
_LIFTED_BURST = 1_000_000
_LIFTED_BUDGET = 1_000_000_000
_BLOCK_SECONDS = 60.0
_WRITES = "writes:"


@dataclass(slots=True)
class Credential:
    """One way a request was authenticated."""

    token: str
    user_id: int
    is_oauth: bool
    label: str
    """Name in the journal: user id, kind and, from the user's second token on, its number; never the token."""
    scopes: frozenset[str] | None = None
    """What an OAuth token is good for; None for everything."""


class Limits:
    """Decides whether a request may pass and what the rate headers say."""

    def __init__(self, options: Options, clock: SandboxClock, store: Store) -> None:
        self._options = options
        self._clock = clock
        self._store = store
        self.budget = Budget(options, clock, store)
        self._windows: dict[str, Window] = {}
        self._searches: dict[str, Window] = {}
        self._refusals: dict[str, deque[float]] = {}
        self._blocked_until: dict[str, float] = {}
        self._idle: dict[str, tuple[float, int]] = {}

    def window_name(self, credential: Credential) -> str:
        """Name of the window a credential draws from: its own, or its user's."""
        if self._options.window_of == "user":
            return f"user:{credential.user_id}:{'oauth' if credential.is_oauth else 'api'}"
        return credential.label

    def is_blocked(self, credential: Credential) -> bool:
        """Whether the token is shut out after ignoring too many 429s."""
        return bool(self._blocked_until) and self._clock.monotonic() < self._blocked_until.get(credential.token, -math.inf)

    def admit_burst(self, credential: Credential, now: float) -> bool:
        """Take a place in the token's window at a steady time of the account."""
        if self._options.idle_headers:
            self._note_idle(credential, now)
        return not self._options.limits or self._window(credential).admit(now)

    def admit_search(self, credential: Credential, now: float) -> bool:
        """Take a place in the token's search window: 10 on every plan."""
        if not self._options.limits:
            return True
        return self._searches.setdefault(self.window_name(credential), Window(SEARCH_BURST)).admit(now)

    def can_spend(self, tokens: int) -> bool:
        """Whether the day's budget still covers `tokens`; it is never exceeded."""
        return not self._options.limits or tokens <= self.budget.remaining

    def spend(self, tokens: int, date: str | None = None) -> None:
        """Take tokens from the budget of today or of another day; a negative number gives them back."""
        self.budget.add("used", tokens, date)

    def refused(self, credential: Credential) -> None:
        """Note a 429; too many within a minute block the token."""
        if self._options.cloudflare_after <= 0:
            return
        now = self._clock.monotonic()
        refusals = self._refusals.setdefault(credential.token, deque(maxlen=self._options.cloudflare_after))
        refusals.append(now)
        if len(refusals) == self._options.cloudflare_after and now - refusals[0] < _BLOCK_SECONDS:
            self._blocked_until[credential.token] = now + _BLOCK_SECONDS

    def note_write(self, credential: Credential, method: str) -> None:
        """Count a POST or PUT for the legacy rule, where it is announced."""
        if self._options.daily_requests_header and not credential.is_oauth and method in {"POST", "PUT"}:
            name = _WRITES + self._clock.today().isoformat()
            counts = self._store.meta.get(name, {})
            user = str(credential.user_id)
            self._store.set_meta(name, {**counts, user: counts.get(user, 0) + 1})

    def headers(self, credential: Credential, *, refused: str = "") -> Headers:
        """Return the rate headers of an answer.

        Args:
            credential: Who asked.
            refused: What refused the request, `window` or `budget`; what is left of it is then announced as 0 (assumed).
        """
        options = self._options
        headers: Headers = self._window_headers(credential, refused) if options.rate_headers else []
        if options.daily_headers and not self._is_silent(credential):
            total, left = self._day()
            headers.append((b"x-daily-ratelimit-token-limit", b"%d" % total))
            headers.append((b"x-daily-ratelimit-token-remaining", b"%d" % (0 if refused == "budget" else left)))
        if options.daily_requests_header and not credential.is_oauth:
            counts = self._store.meta.get(_WRITES + self._clock.today().isoformat(), {})
            headers.append((b"x-daily-requests-left", b"%d" % max(0, WRITES_A_DAY - counts.get(str(credential.user_id), 0))))
        if refused and options.retry_after in {"always", refused}:
            headers.append((b"retry-after", b"2"))  # small even when the day's budget is gone, as seen in reality
        return headers

    def _window_headers(self, credential: Credential, refused: str) -> Headers:
        if self._options.limits:
            window = self._window(credential)
            limit, remaining, reset = window.limit, max(0, window.remaining), window.reset_seconds(self._clock.monotonic())
        else:
            limit, remaining, reset = _LIFTED_BURST, _LIFTED_BURST, 2
        return [
            (b"x-ratelimit-limit", b"%d" % limit),
            (b"x-ratelimit-remaining", b"%d" % (0 if refused == "window" else remaining)),
            (b"x-ratelimit-reset", b"%d" % reset),
        ]

    def _day(self) -> tuple[int, int]:
        total, left, spent = self.budget.figures()
        return (total, left) if self._options.limits else (_LIFTED_BUDGET, max(1, _LIFTED_BUDGET - spent))

    def _note_idle(self, credential: Credential, now: float) -> None:
        last, missing = self._idle.get(credential.token, (-math.inf, 0))
        missing = self._options.idle_headers if now - last > IDLE_SECONDS else max(0, missing - 1)
        self._idle[credential.token] = (now, missing)

    def _is_silent(self, credential: Credential) -> bool:
        return self._idle.get(credential.token, (0.0, 0))[1] > 0

    def state(self) -> dict[str, Any]:
        """Return budget and use, for the control interface."""
        budget = self.budget
        return {
            "date": budget.look(),
            "budget": budget.total,
            "used": budget.used,
            "others": budget.others,
            "remaining": budget.remaining,
            "limits": self._options.limits,
        }

    def windows_state(self) -> dict[str, Any]:
        """Return the windows as they are now, for the control interface."""
        now = self._clock.monotonic()

        def shown(windows: dict[str, Window]) -> dict[str, Any]:
            return {name: {"limit": window.limit, "taken": window.taken(now)} for name, window in sorted(windows.items())}

        blocked = [until - now for until in self._blocked_until.values() if until > now]
        return {"monotonic": now, "bursts": shown(self._windows), "searches": shown(self._searches), "blocked_seconds": sorted(blocked)}

    def clear(self) -> None:
        """Forget windows and blocks."""
        for forgotten in (self._windows, self._searches, self._refusals, self._blocked_until, self._idle):
            forgotten.clear()
        self.budget.clear()

    def _window(self, credential: Credential) -> Window:
        name = self.window_name(credential)
        window = self._windows.get(name)
        if window is None:
            plan = self._options.limits_of_plan
            window = self._windows[name] = Window(plan.burst_oauth if credential.is_oauth else plan.burst_api)
        return window
