"""Other applications of the same company that spend its daily budget: so many tokens an hour, by the account's clock."""

import random

_MINUTES_AN_HOUR = 60


class OtherApps:
    """Tokens that others spend in whole minutes of the account's time; always the same for the same minutes.

    Args:
        tokens_per_hour: What they spend on average.
        jitter: How much a minute differs from the average at most, as a share of it (0 to 1).
        seed: Decides by how much each minute differs.
    """

    def __init__(self, tokens_per_hour: int, jitter: float = 0.0, seed: int = 0) -> None:
        self.tokens_per_hour = tokens_per_hour
        self._jitter = jitter
        self._seed = seed

    def spent(self, begin_minute: int, end_minute: int) -> int:
        """Tokens spent from one minute since 1970 (included) to another (left out)."""
        if self._jitter == 0.0:
            return self._level(end_minute) - self._level(begin_minute)
        return sum(self._in(minute) for minute in range(begin_minute, end_minute))

    def _level(self, minute: int) -> int:
        return self.tokens_per_hour * minute // _MINUTES_AN_HOUR

    def _in(self, minute: int) -> int:
        plain = self._level(minute + 1) - self._level(minute)
        draw = random.Random(f"{self._seed}:{minute}").uniform(-1.0, 1.0)
        return round(plain * (1.0 + self._jitter * draw))
