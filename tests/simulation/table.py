"""`python -m tests.simulation.table --count 100`: which faults were drawn, and which really hit, over many seeds."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.simulation.simulation import Verdict

HASH_SEED = "0"


def table(verdicts: Iterable[Verdict]) -> str:
    """Write the table: kind, seeds that drew it, seeds in which it hit, hits. A kind with several faults has a line for each below it."""
    from tests.simulation.faults import KINDS  # noqa: PLC0415 - only with the hash seed set

    drawn: Counter[str] = Counter()
    seeds: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    count = 0
    for verdict in verdicts:
        count += 1
        facts: dict[str, Any] = dict(verdict.facts)
        found: Counter[str] = Counter(facts.get("hits", {}))
        drawn.update(facts.get("drawn", []))
        hits.update(found)
        seeds.update(found.keys() | {name.partition(":")[0] for name in found})
    for name, number in list(hits.items()):
        if ":" in name:
            hits[name.partition(":")[0]] += number
    lines = [f"| Fault | drawn in {count} seeds | hit in seeds | hits |", "|---|---|---|---|"]
    for kind in sorted(KINDS):
        lines.append(f"| {kind} | {drawn[kind]} | {seeds[kind]} | {hits[kind]} |")
        parts = sorted(name for name in hits if name.startswith(f"{kind}: "))
        lines += [f"| - {name.partition(': ')[2]} | | {seeds[name]} | {hits[name]} |" for name in parts]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate and print."""
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation.table", *sys.argv[1:]])  # noqa: S606 - ourselves
    from tests.simulation.simulation import simulate  # noqa: PLC0415 - only with the hash seed set

    parser = argparse.ArgumentParser(prog="python -m tests.simulation.table", description="Count which faults were drawn and which hit.")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    with ProcessPoolExecutor(given.workers) as pool:
        verdicts = list(pool.map(simulate, range(given.first, given.first + given.count)))
    sys.stdout.write(table(verdicts) + "\n")
    failed = [verdict.seed for verdict in verdicts if verdict.problems]
    sys.stdout.write(f"\n{len(verdicts)} seeds, {len(failed)} failed {failed[:20]}\n")


if __name__ == "__main__":
    main()
