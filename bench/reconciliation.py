"""Tokens of reading everything back, against the tokens of the load it verifies (goal: at most 1 %); sampled bytes and relations stand apart."""

from __future__ import annotations

from functools import partial

from bench.installation import installation

CLIENT_COUNTS = (40, 150, 300, 600)
"""Clients of the accounts; everything else in proportion. Below a size the lists that are read in any case outweigh."""
NONE = -2


async def run() -> dict[str, float]:
    """Load accounts of several sizes and reconcile each with and without samples."""
    figures: dict[str, float] = {}
    for count in CLIENT_COUNTS:
        async with installation(client_count=count) as bench:
            await bench.prepare()
            load = await bench.step(bench.client.start_load)
            lists = await bench.step(partial(bench.client.reconcile, file_sample_size=NONE, relation_sample_size=NONE))
            whole = await bench.step(bench.client.reconcile)
        figures[f"{count} clients: tokens of the load"] = load.token_count
        figures[f"{count} clients: tokens of the lists"] = lists.token_count
        figures[f"{count} clients: % of the load (goal 1)"] = lists.token_count / load.token_count * 100
        figures[f"{count} clients: tokens of samples beside it"] = whole.token_count - lists.token_count
    return figures
