"""`python -m sandbox.novo_work_order`: writes the export bundle of a made-up account."""

import sys
from datetime import date
from pathlib import Path

from sandbox.common.command_line import CommandLine
from sandbox.novo_work_order.changes import later
from sandbox.novo_work_order.generator import TODAY, Plan, generate
from sandbox.novo_work_order.writing import Form, write_bundle


def main() -> None:
    """Write it, and say where it lies."""
    parser = CommandLine(prog="python -m sandbox.novo_work_order", description="The export of a made-up Novo Work Order account.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the bundle to")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same account")
    parser.add_argument("--size", type=int, default=18, help="number of accounts; all else follows in proportion")
    parser.add_argument("--today", type=date.fromisoformat, default=TODAY, help="day of the export, YYYY-MM-DD")
    parser.add_argument("--changes", type=int, default=0, help="the same account some days later: so many changes of each kind")
    parser.add_argument("--clean", action="store_true", help="leave the deliberate defects out")
    parser.add_argument("--encoding", default="utf-8-sig", help="encoding of the CSV files (cp1252 for old servers)")
    parser.add_argument("--xlsx", action="store_true", help="workbooks instead of CSV")
    parser.add_argument("--zip", action="store_true", help="a ZIP instead of a folder")
    parser.add_argument("--no-manifest", action="store_true", help="leave manifest.json out: time zone and date order are then asked for")
    given = parser.parse_args()
    account = generate(Plan(given.seed, given.size, given.today, given.clean))
    if given.changes:
        account = later(account, given.changes, given.seed).account
    form = Form(given.encoding, is_workbook=given.xlsx, has_manifest=not given.no_manifest, is_zipped=given.zip)
    sys.stdout.write(f"{write_bundle(account, given.out, form)}\n")


if __name__ == "__main__":
    main()
