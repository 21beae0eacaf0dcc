"""`python -m sandbox.results`: writes the bundle of a made-up account."""

import sys

from sandbox.bundles.command_line import wanted
from sandbox.results.build import Plan
from sandbox.results.generator import DAYS_LATER, generate
from sandbox.results.writing import write_bundle


def main() -> None:
    """Write it, and say where it lies."""
    order = wanted("python -m sandbox.results", "The export of a made-up Results account.")
    account = generate(Plan(order.seed, order.size), order.changes)
    place = write_bundle(account, order.writer(), days_later=DAYS_LATER if order.changes else 0)
    sys.stdout.write(f"{place}\n")


if __name__ == "__main__":
    main()
