"""What a sample says about the whole: held against exact fractions, and against drawing."""

from __future__ import annotations

import random
from fractions import Fraction
from math import ceil, comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.sampling import ALL, NONE, chance, draw, rank, sample_size, words, wrong_at_most

pytestmark = pytest.mark.requirement("L-13")
KEYS = [f"file:attachment/{number}" for number in range(500)]


def exact(population: int, wrong: int, size: int, found: int) -> Fraction:
    """Probability that a sample holds at most `found` of the wrong ones."""
    ways = sum(comb(wrong, count) * comb(population - wrong, size - count) for count in range(min(found, size) + 1))
    return Fraction(ways, comb(population, size))


@given(st.integers(1, 60), st.data())
def test_the_chance_is_the_exact_hypergeometric_one(population: int, data: st.DataObject) -> None:
    wrong, size = data.draw(st.integers(0, population)), data.draw(st.integers(0, population))
    found = data.draw(st.integers(0, size))
    assert chance(population, wrong, size, found) == pytest.approx(float(exact(population, wrong, size, found)), abs=1e-9)


@given(st.integers(1, 900))
def test_the_size_is_the_smallest_that_says_it(population: int) -> None:
    wrong = max(1, ceil(population / 100))
    size = sample_size(population)
    assert exact(population, wrong, size, 0) <= Fraction(5, 100)
    assert size == 1 or exact(population, wrong, size - 1, 0) > Fraction(5, 100)


@given(st.integers(1, 80), st.data())
def test_the_bound_is_the_highest_number_not_ruled_out(population: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, population))
    wrong = data.draw(st.integers(0, size))
    most = wrong_at_most(population, size, wrong)
    assert wrong <= most <= population - (size - wrong)
    assert most == wrong or exact(population, most, size, wrong) > Fraction(5, 100)
    assert most == population - (size - wrong) or exact(population, most + 1, size, wrong) <= Fraction(5, 100)


def test_a_large_whole_comes_near_the_rule_of_three() -> None:
    assert sample_size(12_000) == 295
    assert sample_size(1_000_000) == 299
    assert wrong_at_most(1_000_000, 300, 0) / 1_000_000 == pytest.approx(3 / 300, rel=0.01)
    assert (sample_size(0), sample_size(1), sample_size(10), sample_size(100)) == (0, 1, 10, 95)


def test_it_is_said_in_words() -> None:
    assert words(12_000, 300, 0) == "0 wrong in 300 of 12,000: with 95 % confidence fewer than 1 % are wrong"
    assert words(12, 12, 0) == "0 wrong in all 12"
    assert words(12_000, 30, 0) == "0 wrong in 30 of 12,000: with 95 % confidence at most 1,139 (9.49 %) are wrong"
    assert words(1_000, 300, 2).startswith("2 wrong in 300 of 1,000: with 95 % confidence at most ")
    assert words(5, 0, 0) == "none of 5 looked at"


def test_the_same_seed_draws_the_same_in_any_order_and_another_draws_others() -> None:
    drawn = draw(KEYS, len(KEYS), asked=40, seed="aa")
    shuffled = KEYS[:]
    random.Random(1).shuffle(shuffled)
    assert draw(shuffled, len(KEYS), asked=40, seed="aa") == drawn
    held = {key for key in KEYS if drawn.holds(key)}
    assert len(held) == drawn.size == 40
    assert held == set(sorted(KEYS, key=lambda key: rank("aa", key))[:40])
    other = draw(KEYS, len(KEYS), asked=40, seed="bb")
    assert held != {key for key in KEYS if other.holds(key)}


@pytest.mark.parametrize(("asked", "size"), [(ALL, 500), (NONE, 0), (0, sample_size(500)), (7, 7), (9_000, 500)])
def test_as_many_are_drawn_as_asked(asked: int, size: int) -> None:
    drawn = draw(KEYS, len(KEYS), asked=asked, seed="aa")
    assert sum(map(drawn.holds, KEYS)) == drawn.size == size
