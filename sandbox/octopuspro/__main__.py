"""`python -m sandbox.octopuspro`: writes the bundle of a made-up account."""

import argparse
import sys

from sandbox.bundles.command_line import wanted
from sandbox.octopuspro.account import Tenant
from sandbox.octopuspro.generator import SIZE_MIN, generate
from sandbox.octopuspro.writing import write_bundle


def main() -> None:
    """Write it, and say where it lies."""
    more = argparse.ArgumentParser(add_help=False)
    _options(more)
    own, _ = more.parse_known_args()
    found = wanted("python -m sandbox.octopuspro", "The export of a made-up OctopusPro account; a size counts customers.", more=_options)
    tenant = Tenant(time_zone=own.time_zone, date_format=own.date_format, time_format=own.time_format, currency=own.currency)
    account = generate(found.seed, max(SIZE_MIN, found.size), changes=found.changes, tenant=tenant, has_large_file=not own.small_files)
    sys.stdout.write(f"{write_bundle(account, found.writer())}\n")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--time-zone", default="Australia/Sydney", help="the tenant's time zone")
    parser.add_argument("--date-format", default="DD/MM/YYYY", choices=("DD/MM/YYYY", "MM/DD/YYYY", "YYYY-MM-DD"))
    parser.add_argument("--time-format", default="24", choices=("24", "12"), help="hours of the clock")
    parser.add_argument("--currency", default="AUD")
    parser.add_argument("--small-files", action="store_true", help="leave out the file that is larger than Pipedrive takes")


if __name__ == "__main__":
    main()
