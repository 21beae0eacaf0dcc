from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from services.common.backoff import Backoff

SECONDS = st.floats(min_value=0.001, max_value=1e6)


@given(SECONDS, SECONDS, st.integers(min_value=-5, max_value=10**9), st.integers())
def test_a_delay_stays_between_half_and_whole_of_its_ceiling(base: float, cap: float, attempt: int, seed: int) -> None:
    delay = Backoff(base, cap, random.Random(seed)).delay_seconds(attempt)
    assert min(base, cap) / 2 <= delay <= cap


@given(st.integers(min_value=1, max_value=30), st.integers())
def test_delays_do_not_shrink_but_for_the_jitter(attempt: int, seed: int) -> None:
    backoff = Backoff(0.5, 60.0, random.Random(seed))
    assert backoff.delay_seconds(attempt + 1) >= backoff.delay_seconds(attempt) / 2
