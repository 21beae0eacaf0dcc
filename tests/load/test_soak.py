"""Migrations into two companies at once: a minute of what `make soak` does for half an hour."""

from __future__ import annotations

import pytest

from bench.soak import soak


@pytest.mark.slow
async def test_two_companies_do_not_touch_each_other() -> None:
    # So short a run is spent on getting warm: growth is looked at by the long one.
    run = await soak(1.0, each=2, clients=2, growth_max=2.0)
    assert not run.problems, "\n".join(run.problems)
    assert run.figures["rich, requests"] > 0
    assert run.figures["poor, requests"] > 0
