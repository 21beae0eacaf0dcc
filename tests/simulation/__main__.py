"""`python -m tests.simulation --seed 7` replays one seed with its trace; `--count 2000` runs many; `--mutants` looks for bugs put in on purpose."""

from __future__ import annotations

import argparse
import os
import sys

HASH_SEED = "0"
"""Sets of texts have the same order in every process only with a fixed hash seed."""


def main() -> None:
    """Run what the command line says."""
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])  # noqa: S606 - ourselves
    sys.unraisablehook = lambda _: None  # the dead of a simulation protest when they are buried
    from tests.simulation.runner import all_mutants, find_mutants, run_many, run_one  # noqa: PLC0415 - only with the hash seed set

    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Simulate whole migrations, each from one seed.")
    parser.add_argument("--seed", type=int, help="replay this seed with its trace")
    parser.add_argument("--quiet", action="store_true", help="only the verdict of the seed")
    parser.add_argument("--mutant", default="", help="replay the seed with this bug put in")
    parser.add_argument("--mutants", nargs="*", help="look for bugs put in on purpose, all of them when none is named")
    parser.add_argument("--matched", action="store_true", help="every seed matches with what is in Pipedrive, else a part of them")
    parser.add_argument("--first", type=int, default=1, help="first of many seeds")
    parser.add_argument("--count", type=int, default=100, help="how many seeds, at most")
    parser.add_argument("--seconds", type=float, default=0.0, help="begin no seed after so many seconds; 0: no limit")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side")
    given = parser.parse_args()
    if given.seed is not None:
        sys.exit(run_one(given.seed, is_quiet=given.quiet, mutant=given.mutant, is_matched=given.matched))
    if given.mutants is not None:
        sys.exit(find_mutants(given.mutants or list(all_mutants()), first=given.first, workers=given.workers, seeds_max=given.count))
    sys.exit(run_many(range(given.first, given.first + given.count), workers=given.workers, seconds_max=given.seconds, is_matched=given.matched))


if __name__ == "__main__":
    main()
