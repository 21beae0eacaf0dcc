"""`python -m sandbox.novo_work_order`: writes the export bundle of a made-up account."""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING

from sandbox.bundles.command_line import wanted
from sandbox.novo_work_order.changes import later
from sandbox.novo_work_order.generator import TODAY, Plan, generate
from sandbox.novo_work_order.writing import write_account

if TYPE_CHECKING:
    import argparse


def main() -> None:
    """Write it, and say where it lies."""
    prog = "python -m sandbox.novo_work_order"
    parsers: list[argparse.ArgumentParser] = []
    given = wanted(prog, "The export of a made-up Novo Work Order account.", more=lambda parser: _add_options(parser, parsers))
    own = parsers[0].parse_args()
    account = generate(Plan(given.seed, given.size, own.today, own.clean))
    if given.changes:
        account = later(account, given.changes).account
    sys.stdout.write(f"{write_account(account, given.writer(), is_renamed=own.renamed)}\n")


def _add_options(parser: argparse.ArgumentParser, parsers: list[argparse.ArgumentParser]) -> None:
    parser.add_argument("--today", type=date.fromisoformat, default=TODAY, help="day of the export, YYYY-MM-DD")
    parser.add_argument("--clean", action="store_true", help="leave the deliberate defects out")
    parser.add_argument("--renamed", action="store_true", help="lists and columns under a tenant's own names, with a layout.yaml")
    parsers.append(parser)


if __name__ == "__main__":
    main()
