"""L-13: what a sample says about the whole, and how it is drawn so that anybody can draw it again. Pure.

Sampling is without replacement from a known number, so the hypergeometric distribution is exact. The rule of three (none wrong in n: at most 3/n,
with 95 % confidence) is its limit for a large whole and a small share.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass
from math import ceil, exp, lgamma
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIDENCE: Final = 0.95
SHARE: Final = 0.01
ALL: Final = -1
NONE: Final = -2
_CLOSE: Final = 1e-10


@dataclass(frozen=True, slots=True)
class Draw:
    """A sample that was drawn: the `size` records with the lowest ranks.

    Attributes:
        population: records it was drawn from.
        size: records drawn.
        seed: with it and the keys anybody draws the same.
        cut: the highest rank drawn; empty: none is.
    """

    population: int
    size: int
    seed: str
    cut: str

    def holds(self, key: str) -> bool:
        """Say whether a record was drawn."""
        return bool(self.cut) and rank(self.seed, key) <= self.cut


def rank(seed: str, key: str) -> str:
    """Answer a record's place in the order of drawing: SHA-256 (hex) of seed, line end and key."""
    return hashlib.sha256(f"{seed}\n{key}".encode()).hexdigest()


def draw(keys: Iterable[str], population: int, *, asked: int, seed: str) -> Draw:
    """Draw a sample.

    Args:
        keys: all of them; passed once, and no more than the sample is kept.
        population: how many they are.
        asked: records wanted; 0: as many as `sample_size` says, `ALL`, `NONE`.
        seed: decides who is drawn.
    """
    size = population if asked == ALL else 0 if asked == NONE else min(population, asked) if asked else sample_size(population)
    lowest = heapq.nsmallest(size, (rank(seed, key) for key in keys))
    return Draw(population, len(lowest), seed, lowest[-1] if lowest else "")


def sample_size(population: int, *, share: float = SHARE, confidence: float = CONFIDENCE) -> int:
    """Answer the smallest sample that, when none of it is wrong, says with `confidence` that fewer than `share` of all are wrong."""
    if population <= 0:
        return 0
    wrong = max(1, ceil(share * population - _CLOSE))
    low, high = 1, population
    while low < high:
        middle = (low + high) // 2
        if chance(population, wrong, middle, 0) <= 1 - confidence + _CLOSE:
            high = middle
        else:
            low = middle + 1
    return low


def wrong_at_most(population: int, size: int, wrong: int, *, confidence: float = CONFIDENCE) -> int:
    """Answer how many of all may be wrong, with `confidence`, when `wrong` of a sample of `size` are."""
    low, high = wrong, population - (size - wrong)
    while low < high:
        middle = (low + high + 1) // 2
        if chance(population, middle, size, wrong) > 1 - confidence + _CLOSE:
            low = middle
        else:
            high = middle - 1
    return low


def chance(population: int, wrong: int, size: int, found: int) -> float:
    """Answer how likely a sample holds at most `found` of the `wrong` ones."""
    all_ways = _ways(population, size)
    return sum(
        exp(_ways(wrong, count) + _ways(population - wrong, size - count) - all_ways)
        for count in range(min(found, wrong, size) + 1)
        if size - count <= population - wrong
    )


def words(population: int, size: int, wrong: int) -> str:
    """Say what a sample says about the whole."""
    if size >= population:
        return f"{wrong:,} wrong in all {population:,}"
    if not size:
        return f"none of {population:,} looked at"
    most = wrong_at_most(population, size, wrong)
    confidence = f"{CONFIDENCE:.0%}".replace("%", " %")
    if not wrong and most + 1 <= ceil(SHARE * population - _CLOSE):
        return f"0 wrong in {size:,} of {population:,}: with {confidence} confidence fewer than {SHARE * 100:g} % are wrong"
    return f"{wrong:,} wrong in {size:,} of {population:,}: with {confidence} confidence at most {most:,} ({most / population * 100:.3g} %) are wrong"


def _ways(count: int, chosen: int) -> float:
    """Answer the logarithm of the number of ways to choose."""
    return lgamma(count + 1) - lgamma(chosen + 1) - lgamma(count - chosen + 1)
