"""Runs seeds: one with its trace, many over several processes, or as many as it takes to find a bug put in on purpose."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter
from contextlib import nullcontext
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.journey import Plan
from tests.simulation.mutants.catalogue import MUTANTS, SEEDS_MAX, mutated, plan_with
from tests.simulation.simulation import Verdict, simulate
from tests.simulation.workers import in_forks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


PROGRESS_EVERY = 100
"""Seeds between two words on how far it has come."""


def run_one(seed: int, *, is_quiet: bool, mutant: str = "", is_matched: bool = False) -> int:
    """Replay a seed; answers the exit code."""
    with mutated(mutant) if mutant else nullcontext():
        verdict = simulate(seed, plan=plan_with(seed, mutant) or _plan(seed, is_matched=is_matched), output=None if is_quiet else sys.stdout)
    sys.stdout.write(f"\nseed {seed}: {'; '.join(verdict.problems) or 'all is well'}\n")
    sys.stdout.write(
        f"{verdict.virtual_seconds:g} virtual s, {verdict.cpu_seconds:g} s of a core, {verdict.steps} steps, trace {verdict.digest[:16]}\n"
    )
    sys.stdout.write("\n".join(f"  {name}: {fact}" for name, fact in verdict.facts.items()) + "\n")
    return 1 if verdict.problems else 0


def run_many(seeds: Sequence[int], *, workers: int, seconds_max: float = 0.0, is_matched: bool = False) -> int:
    """Run many seeds, at most for so long; answers the exit code."""
    began = time.monotonic()
    _warm_up()
    verdicts = []
    work = partial(_simulate_until, until=began + seconds_max if seconds_max else 0.0, is_matched=is_matched)
    for _, verdict in in_forks(work, seeds, workers=workers):
        if verdict is None:
            continue
        verdicts.append(verdict)
        if verdict.problems:
            again = f"make simulate SEED={verdict.seed}{' MATCHED=1' if is_matched else ''}"
            sys.stdout.write(f"seed {verdict.seed}: {'; '.join(verdict.problems)[:600]}\n  replay it with: {again}\n")
            sys.stdout.flush()
        if len(verdicts) % PROGRESS_EVERY == 0:
            sys.stderr.write(f"{len(verdicts)} of {len(seeds)} seeds after {time.monotonic() - began:.0f} s\n")
    sys.stdout.write(figures(verdicts, time.monotonic() - began) + "\n")
    return 1 if any(verdict.problems for verdict in verdicts) else 0


def find_mutants(names: Sequence[str], *, first: int, workers: int, seeds_max: int = SEEDS_MAX) -> int:
    """Look how many seeds it takes to find each mutant; answers the exit code."""
    _warm_up()
    results = []
    for name in names:
        began = time.monotonic()
        seed, problem = _find(name, range(first, first + seeds_max), workers)
        results.append(bool(problem))
        found = f"| `{name}` | {seed - first + 1} | {problem[:160]} |" if problem else f"| `{name}` | **not found** with {seeds_max} seeds | |"
        sys.stdout.write(f"{found} {time.monotonic() - began:.0f} s |\n")
        sys.stdout.flush()
    return 0 if all(results) else 1


def _find(name: str, seeds: Sequence[int], workers: int) -> tuple[int, str]:
    """Answer the first seed that finds a mutant, and what it finds; all seeds below it have been run."""
    found: dict[int, str] = {}
    open_seeds = set(seeds)
    for seed, problem in in_forks(partial(_hunt, name), seeds, workers=workers):
        open_seeds.discard(seed)
        if problem:
            found[seed] = problem
        if found and min(found) < min(open_seeds, default=sys.maxsize):
            return min(found), found[min(found)]
    return seeds[-1], ""


def _hunt(name: str, seed: int) -> str:
    """Answer the first thing that a seed finds wrong with a mutant in; it has to go well without."""
    plan = plan_with(seed, name)
    with mutated(name):
        verdict = simulate(seed, plan=plan, buries=False)
    return verdict.problems[0] if verdict.problems and not simulate(seed, plan=plan, buries=False).problems else ""


def _simulate_until(seed: int, *, until: float, is_matched: bool) -> Verdict | None:
    """Simulate a seed unless it is too late."""
    return None if until and time.monotonic() > until else simulate(seed, plan=_plan(seed, is_matched=is_matched), buries=False)


def _plan(seed: int, *, is_matched: bool) -> Plan | None:
    """Answer the plan of a seed that has to match; None: as the seed draws it."""
    return Plan.drawn(Random(seed), is_matched=True) if is_matched else None


def _warm_up() -> None:
    """Run one calm migration with all steps, so that every process begins with what is remembered from one to the next."""
    simulate(0, plan=Plan(deltas=1, rollback="at the end"))
    gc.collect()
    gc.freeze()


def all_mutants() -> Iterator[str]:
    """Answer the names of all mutants."""
    yield from MUTANTS


def figures(verdicts: Sequence[Verdict], seconds: float) -> str:
    """Sum up."""
    if not verdicts:
        return "no seed was run"
    failed = sorted(verdict.seed for verdict in verdicts if verdict.problems)
    kinds = Counter(problem.partition(":")[0] for verdict in verdicts for problem in verdict.problems)
    cpu = sorted(verdict.cpu_seconds for verdict in verdicts)
    return (
        f"{len(verdicts)} seeds in {seconds:.0f} s, {len(failed)} failed {failed[:20]} {dict(kinds)}; "
        f"{1000 * sum(cpu) / len(cpu):.0f} ms of a core a seed (median {1000 * cpu[len(cpu) // 2]:.0f}), "
        f"{sum(verdict.virtual_seconds for verdict in verdicts) / 3600:.1f} virtual hours"
    )
