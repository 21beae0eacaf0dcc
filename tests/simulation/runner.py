"""Runs seeds: one with its trace, many over several processes, or as many as it takes to find a bug put in on purpose."""

from __future__ import annotations

import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.mutants.catalogue import MUTANTS, SEEDS_MAX, mutated, plan_with
from tests.simulation.simulation import Verdict, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def run_one(seed: int, *, is_quiet: bool, mutant: str = "") -> int:
    """Replay a seed; answers the exit code."""
    with mutated(mutant) if mutant else nullcontext():
        verdict = simulate(seed, plan=plan_with(seed, mutant), output=None if is_quiet else sys.stdout)
    sys.stdout.write(f"\nseed {seed}: {'; '.join(verdict.problems) or 'all is well'}\n")
    sys.stdout.write(
        f"{verdict.virtual_seconds:g} virtual s, {verdict.cpu_seconds:g} s of a core, {verdict.steps} steps, trace {verdict.digest[:16]}\n"
    )
    sys.stdout.write("\n".join(f"  {name}: {fact}" for name, fact in verdict.facts.items()) + "\n")
    return 1 if verdict.problems else 0


def run_many(seeds: Sequence[int], *, workers: int, seconds_max: float = 0.0) -> int:
    """Run many seeds, at most for so long; answers the exit code."""
    began = time.monotonic()
    verdicts = []
    with ProcessPoolExecutor(workers, initializer=_bury_in_silence) as pool:
        for verdict in pool.map(partial(_simulate_until, until=time.time() + seconds_max if seconds_max else 0.0), seeds):
            if verdict is None:
                continue
            verdicts.append(verdict)
            if verdict.problems:
                sys.stdout.write(f"seed {verdict.seed}: {'; '.join(verdict.problems)[:600]}\n  replay it with: make simulate SEED={verdict.seed}\n")
                sys.stdout.flush()
    sys.stdout.write(figures(verdicts, time.monotonic() - began) + "\n")
    return 1 if any(verdict.problems for verdict in verdicts) else 0


def find_mutants(names: Sequence[str], *, first: int, workers: int, seeds_max: int = SEEDS_MAX) -> int:
    """Look how many seeds it takes to find each mutant; answers the exit code."""
    with ProcessPoolExecutor(workers, initializer=_bury_in_silence) as pool:
        results = []
        for name, (seeds, found) in zip(names, pool.map(partial(_find, first=first, seeds_max=seeds_max), names), strict=True):
            results.append(bool(found))
            sys.stdout.write(f"{name}: {f'found with the {seeds}. seed ({found[:160]})' if found else f'NOT found with {seeds} seeds'}\n")
            sys.stdout.flush()
    return 0 if all(results) else 1


def _find(name: str, *, first: int, seeds_max: int) -> tuple[int, str]:
    """Answer how many seeds were run, and what the last one found."""
    for count, seed in enumerate(range(first, first + seeds_max), 1):
        with mutated(name):
            verdict = simulate(seed, plan=plan_with(seed, name))
        if verdict.problems:
            return count, f"seed {seed}: {verdict.problems[0]}"
    return seeds_max, ""


def _simulate_until(seed: int, *, until: float) -> Verdict | None:
    """Simulate a seed unless it is too late."""
    return None if until and time.time() > until else simulate(seed)


def _bury_in_silence() -> None:
    """The dead of a simulation protest when they are buried."""
    sys.unraisablehook = lambda _: None


def all_mutants() -> Iterator[str]:
    """Answer the names of all mutants."""
    yield from MUTANTS


def figures(verdicts: Sequence[Verdict], seconds: float) -> str:
    """Sum up."""
    if not verdicts:
        return "no seed was run"
    failed = [verdict.seed for verdict in verdicts if verdict.problems]
    kinds = Counter(problem.partition(":")[0] for verdict in verdicts for problem in verdict.problems)
    cpu = sorted(verdict.cpu_seconds for verdict in verdicts)
    return (
        f"{len(verdicts)} seeds in {seconds:.0f} s, {len(failed)} failed {failed[:20]} {dict(kinds)}; "
        f"{1000 * sum(cpu) / len(cpu):.0f} ms of a core a seed (median {1000 * cpu[len(cpu) // 2]:.0f}), "
        f"{sum(verdict.virtual_seconds for verdict in verdicts) / 3600:.1f} virtual hours"
    )
