"""What the customer's other apps spend: the part of the company's tokens that went and was not ours."""

from __future__ import annotations

from collections import deque
from typing import Final

_HOUR: Final = 3600.0
_KEPT_SECONDS: Final = 3 * _HOUR
_SAMPLE_SECONDS: Final = 60.0
_LEAST_SECONDS: Final = 600.0
"""A rate is told from so long a time on."""


class OtherApps:
    """Learns a rate from headers.

    A header tells what remained when its call was served; what was ours of the difference to an earlier one lies between what had been answered when
    the call was granted and what had been granted when it was answered. Only the sure part counts as others'.
    """

    def __init__(self) -> None:
        # What remained at the first header with what was ours by then, at least and at most, and with what others had spent before it.
        self._base: tuple[int, int] | None = None
        self._spent = 0
        self._samples: deque[tuple[float, int]] = deque()

    def learn(self, now: float, *, remaining: int, ours_least: int, ours_most: int) -> None:
        """Take in a header.

        Args:
            now: monotonic seconds.
            remaining: tokens left, by the header.
            ours_least: tokens of ours, since the start, that the header must count.
            ours_most: tokens of ours it may count.
        """
        if self._base is None or self._base[1] - remaining - ours_least < self._spent:
            # The first header, or tokens were added: a new day or a top-up.
            self._base = remaining + ours_least + self._spent, remaining + ours_most + self._spent
        self._spent = max(self._spent, self._base[0] - remaining - ours_most)
        if not self._samples or now - self._samples[-1][0] >= _SAMPLE_SECONDS:
            self._samples.append((now, self._spent))
            while self._samples[0][0] < now - _KEPT_SECONDS:
                self._samples.popleft()

    @property
    def spent(self) -> int:
        """Tokens others were seen to spend since the first header."""
        return self._spent

    def per_hour(self, now: float) -> int:
        """Answer tokens an hour over the last hours; 0 as long as too little was seen."""
        if not self._samples:
            return 0
        begun, spent = self._samples[0]
        seconds = now - begun
        return round((self._spent - spent) / seconds * _HOUR) if seconds >= _LEAST_SECONDS else 0
