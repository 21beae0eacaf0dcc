"""The command line of every generator of bundles: `python -m sandbox.<source> --out FOLDER --seed N --size N [--zip] [--xlsx] [--changes N]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.bundles.writer import BundleWriter
from sandbox.common.command_line import CommandLine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be generated.

    Attributes:
        out: the bundle's folder, or its ZIP's name without `.zip`.
        seed: same seed, same account.
        size: clients or what comes closest; everything else in proportion.
        changes: 0: the account as it is first; else as it is some days later, changed by this seed.
        is_zip: pack it.
        is_xlsx: tables as workbooks.
    """

    out: Path
    seed: int
    size: int
    changes: int
    is_zip: bool
    is_xlsx: bool

    def writer(self) -> BundleWriter:
        """Begin the bundle."""
        return BundleWriter(self.out, is_zip=self.is_zip, is_xlsx=self.is_xlsx)


def wanted(prog: str, description: str, argv: list[str] | None = None, *, more: Callable[[argparse.ArgumentParser], object] | None = None) -> Wanted:
    """Read the command line; `more` may add options of its own, which it reads itself."""
    parser = CommandLine(prog=prog, description=description)
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle; with --zip its name without .zip")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same account")
    parser.add_argument("--size", type=int, default=150, help="number of clients; all else follows in proportion")
    parser.add_argument("--changes", type=int, default=0, help="the same account some days later, changed by this seed; 0: as it is first")
    parser.add_argument("--zip", action="store_true", help="pack the bundle")
    parser.add_argument("--xlsx", action="store_true", help="write tables as workbooks")
    if more is not None:
        more(parser)
    found = parser.parse_args(argv)
    return Wanted(found.out, found.seed, found.size, found.changes, found.zip, found.xlsx)
