"""`python -m sandbox.results`: writes the bundle of a made-up account."""

import sys
from pathlib import Path

from sandbox.common.command_line import CommandLine
from sandbox.results.build import Plan
from sandbox.results.generator import generate
from sandbox.results.writing import write_bundle


def main() -> None:
    """Write it, and say where it lies."""
    parser = CommandLine(prog="python -m sandbox.results", description="The export of a made-up Results account.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle, `results-export-<tenant>-<yyyymmdd>` as a rule")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same account")
    parser.add_argument("--size", type=int, default=60, help="number of companies; all else follows in proportion")
    parser.add_argument("--changes", type=int, default=0, help="the same account some days later: so many records changed, some new, some gone")
    parser.add_argument("--clean", action="store_true", help="leave the deliberate defects out")
    parser.add_argument("--zip", action="store_true", help="write a ZIP beside the folder")
    arguments = parser.parse_args()
    account = generate(Plan(arguments.seed, arguments.size, arguments.clean), arguments.changes)
    sys.stdout.write(f"{write_bundle(account, arguments.out, is_zip=arguments.zip)}\n")


if __name__ == "__main__":
    main()
