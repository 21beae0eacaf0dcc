"""Runs seeds: one with its trace, or many over several processes."""

from __future__ import annotations

import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from tests.simulation.simulation import Verdict, simulate

if TYPE_CHECKING:
    from collections.abc import Sequence


def run_one(seed: int, *, is_quiet: bool) -> int:
    """Replay a seed; answers the exit code."""
    verdict = simulate(seed, output=None if is_quiet else sys.stdout)
    sys.stdout.write(f"\nseed {seed}: {'; '.join(verdict.problems) or 'all is well'}\n")
    sys.stdout.write(f"{verdict.virtual_seconds:g} virtual s, {verdict.cpu_seconds:g} s of a core, {verdict.steps} steps, trace {verdict.digest[:16]}\n")
    sys.stdout.write(f"{verdict.facts}\n")
    return 1 if verdict.problems else 0


def run_many(seeds: Sequence[int], *, workers: int) -> int:
    """Run many seeds; answers the exit code."""
    began = time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        verdicts = []
        for verdict in pool.map(simulate, seeds):
            verdicts.append(verdict)
            if verdict.problems:
                sys.stdout.write(f"seed {verdict.seed}: {'; '.join(verdict.problems)[:600]}\n")
                sys.stdout.flush()
    sys.stdout.write(figures(verdicts, time.monotonic() - began) + "\n")
    return 1 if any(verdict.problems for verdict in verdicts) else 0


def figures(verdicts: Sequence[Verdict], seconds: float) -> str:
    """Sum up."""
    failed = [verdict.seed for verdict in verdicts if verdict.problems]
    kinds = Counter(problem.partition(":")[0] for verdict in verdicts for problem in verdict.problems)
    cpu = sorted(verdict.cpu_seconds for verdict in verdicts)
    return (
        f"{len(verdicts)} seeds in {seconds:.0f} s, {len(failed)} failed {failed[:20]} {dict(kinds)}; "
        f"{1000 * sum(cpu) / len(cpu):.0f} ms of a core a seed (median {1000 * cpu[len(cpu) // 2]:.0f}), "
        f"{sum(verdict.virtual_seconds for verdict in verdicts) / 3600:.1f} virtual hours"
    )
