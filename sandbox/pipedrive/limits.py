"""Rate limits: the company's daily token budget and the rolling 2-second windows of each token."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

from sandbox.common.asgi import Headers
from sandbox.pipedrive.clock import SandboxClock
from sandbox.pipedrive.options import Options
from sandbox.pipedrive.store import Store

WINDOW_SECONDS = 2.0
SEARCH_BURST = 10
_LIFTED_BURST = 1_000_000
_LIFTED_BUDGET = 1_000_000_000
_BLOCK_SECONDS = 60.0


class Window:
    """Grants at most `limit` requests in any 2 seconds. A refused request does not count (assumed)."""

    __slots__ = ("_granted", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._granted: deque[float] = deque()

    def admit(self, now: float) -> bool:
        """Take a place in the window if there is one."""
        granted = self._granted
        while granted and now - granted[0] > WINDOW_SECONDS:
            granted.popleft()
        if len(granted) >= self.limit:
            return False
        granted.append(now)
        return True

    @property
    def remaining(self) -> int:
        """Places left, as of the last `admit`."""
        return self.limit - len(self._granted)

    def reset_seconds(self, now: float) -> int:
        """Whole seconds until a place that is taken becomes free, 0 to 2."""
        if not self._granted:
            return 0
        return max(0, math.ceil(self._granted[0] + WINDOW_SECONDS - now))


@dataclass(slots=True)
class Credential:
    """One way a request was authenticated."""

    token: str
    user_id: int
    is_oauth: bool
    label: str
    """Name in the journal: user id and kind, never the token."""


class Limits:
    """Decides whether a request may pass and what the rate headers say."""

    def __init__(self, options: Options, clock: SandboxClock, store: Store) -> None:
        self._options = options
        self._clock = clock
        self._store = store
        self._windows: dict[tuple[str, bool], Window] = {}
        self._searches: dict[str, Window] = {}
        self._refusals: dict[str, deque[float]] = {}
        self._blocked_until: dict[str, float] = {}
        self._midnight = 0.0

    def is_blocked(self, credential: Credential) -> bool:
        """Whether the token is shut out after ignoring too many 429s."""
        return self._clock.monotonic() < self._blocked_until.get(credential.token, -math.inf)

    def admit_burst(self, credential: Credential, now: float) -> bool:
        """Take a place in the token's window at a monotonic time of the account."""
        return not self._options.limits or self._window(credential).admit(now)

    def admit_search(self, credential: Credential) -> bool:
        """Take a place in the token's search window: 10 on every plan."""
        if not self._options.limits:
            return True
        return self._searches.setdefault(credential.token, Window(SEARCH_BURST)).admit(self._clock.monotonic())

    def can_spend(self, tokens: int) -> bool:
        """Whether the day's budget still covers `tokens`; it is never exceeded."""
        self._renew()
        return not self._options.limits or self.used + tokens <= self.budget

    def spend(self, tokens: int) -> None:
        """Take tokens from the day's budget."""
        self._store.set_meta("tokens_used", self.used + tokens)

    def refused(self, credential: Credential) -> None:
        """Note a 429; too many within a minute block the token."""
        if self._options.cloudflare_after <= 0:
            return
        now = self._clock.monotonic()
        refusals = self._refusals.setdefault(credential.token, deque(maxlen=self._options.cloudflare_after))
        refusals.append(now)
        if len(refusals) == self._options.cloudflare_after and now - refusals[0] < _BLOCK_SECONDS:
            self._blocked_until[credential.token] = now + _BLOCK_SECONDS

    @property
    def used(self) -> int:
        """Tokens spent today."""
        return int(self._store.meta.get("tokens_used", 0))

    @property
    def budget(self) -> int:
        """Tokens the company may spend today."""
        return self._options.daily_budget + int(self._store.meta.get("extra_tokens", 0))

    def headers(self, credential: Credential, *, budget_refused: bool = False) -> Headers:
        """Return the rate headers of an answer. After a refusal for budget the rest is announced as 0 (assumed)."""
        if self._options.limits:
            window = self._window(credential)
            limit, remaining, reset = window.limit, max(0, window.remaining), window.reset_seconds(self._clock.monotonic())
            budget, left = self.budget, 0 if budget_refused else max(0, self.budget - self.used)
        else:
            limit = remaining = _LIFTED_BURST
            reset, budget = 2, _LIFTED_BUDGET
            left = max(1, _LIFTED_BUDGET - self.used)
        headers: Headers = [
            (b"x-ratelimit-limit", b"%d" % limit),
            (b"x-ratelimit-remaining", b"%d" % remaining),
            (b"x-ratelimit-reset", b"%d" % reset),
        ]
        if self._options.daily_headers:
            headers.append((b"x-daily-ratelimit-token-limit", b"%d" % budget))
            headers.append((b"x-daily-ratelimit-token-remaining", b"%d" % left))
        return headers

    def state(self) -> dict[str, Any]:
        """Return budget and use, for the control interface."""
        self._renew()
        return {"budget": self.budget, "used": self.used, "remaining": max(0, self.budget - self.used), "limits": self._options.limits}

    def clear(self) -> None:
        """Forget windows and blocks."""
        self._windows.clear()
        self._searches.clear()
        self._refusals.clear()
        self._blocked_until.clear()
        self._midnight = 0.0

    def _window(self, credential: Credential) -> Window:
        key = (credential.token, credential.is_oauth)
        window = self._windows.get(key)
        if window is None:
            plan = self._options.limits_of_plan
            window = self._windows[key] = Window(plan.burst_oauth if credential.is_oauth else plan.burst_api)
        return window

    def _renew(self) -> None:
        now = self._clock.epoch()
        if now < self._midnight:
            return
        zone = self._options.reset_zone
        self._midnight = now + self._clock.seconds_to_midnight(zone)
        today = self._clock.today(zone).isoformat()
        if self._store.meta.get("budget_day") != today:
            self._store.set_meta("budget_day", today)
            self._store.set_meta("tokens_used", 0)
            self._store.set_meta("extra_tokens", 0)
