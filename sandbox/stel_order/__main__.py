"""`python -m sandbox.stel_order`: generates an account and serves it."""

import argparse
import sys
from pathlib import Path

from sandbox.common.clock import Clock
from sandbox.common.command_line import CommandLine, read_secret
from sandbox.common.serve import base_url, bind, serve
from sandbox.stel_order.application import Options, StelOrder
from sandbox.stel_order.control import Control
from sandbox.stel_order.generator import Plan, generate
from sandbox.stel_order.quota import CallQuota
from sandbox.stel_order.schema import COLLECTIONS, PLAN_DAILY_LIMITS
from sandbox.stel_order.store import Store


def _arguments() -> argparse.Namespace:
    parser = CommandLine(prog="python -m sandbox.stel_order", description="A STEL Order account to rehearse against.")
    parser.add_serving(port=8091)
    parser.add_argument("--key", default="", help="API key")
    parser.add_argument("--key-file", type=Path, help="file that holds the API key")
    parser.add_argument("--plan", choices=sorted(PLAN_DAILY_LIMITS), default="pro", help="decides the calls a day")
    parser.add_argument("--calls-per-minute", type=int, default=60, help="0 for no limit")
    parser.add_argument("--daily-limit", type=int, help="calls a day in place of the plan's, 0 for no limit")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same account")
    parser.add_argument("--clients", type=int, default=150, help="number of clients; all else follows in proportion")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all numbers of records")
    parser.add_argument("--documents", type=float, default=1.0, help="multiplies the documents of each client")
    parser.add_argument("--lines", type=float, default=1.0, help="multiplies the lines of each document")
    parser.add_argument("--files", type=float, default=1.0, help="multiplies the files, images included")
    parser.add_argument("--clean", action="store_true", help="leave the deliberate defects out")
    parser.add_argument("--deny", default="", help="collections the key may not read, separated by commas")
    parser.add_argument("--quota-status", type=int, default=429, choices=(400, 403, 429), help="status of a refusal for the quota")
    parser.add_argument("--array-errors", action="store_true", help="answer errors as an array of one")
    parser.add_argument("--count-files", action="store_true", help="let downloads draw from the call budget")
    return parser.parse_args()


def _plan_of(arguments: argparse.Namespace) -> Plan:
    return Plan(
        arguments.seed,
        arguments.clients,
        arguments.scale,
        arguments.clean,
        documents=arguments.documents,
        lines=arguments.lines,
        files=arguments.files,
    )


def main() -> None:
    """Generate, then serve until told to stop."""
    arguments = _arguments()
    key = read_secret(arguments.key_file, arguments.key)
    if not key:
        sys.exit("an API key is needed: --key or --key-file")
    denied = {name for name in arguments.deny.split(",") if name}
    if unknown := denied - COLLECTIONS.keys():
        sys.exit(f"no such collection: {', '.join(sorted(unknown))}")
    listener = bind(arguments.host, arguments.port)
    account = generate(Store(), _plan_of(arguments))
    clock = Clock()
    daily_limit = PLAN_DAILY_LIMITS[arguments.plan] if arguments.daily_limit is None else arguments.daily_limit
    quota = CallQuota(clock, per_minute=arguments.calls_per_minute, per_day=daily_limit)
    options = Options(
        key=key, quota_status=arguments.quota_status, has_array_errors=arguments.array_errors, counts_files=arguments.count_files, denied=denied
    )
    app = Control(StelOrder(account, options, clock, quota), arguments.control_key)
    sys.stderr.write(f"STEL Order sandbox on {base_url(listener)}/app with {arguments.plan} plan\n")
    serve(app, listener, arguments.address_file)


if __name__ == "__main__":
    main()
