"""`python -m sandbox.servicetracker`: generates an org and serves it."""

import argparse
import sys
from pathlib import Path

from sandbox.common.asgi import application
from sandbox.common.clock import Clock
from sandbox.common.command_line import CommandLine, read_secret
from sandbox.common.serve import base_url, bind, serve
from sandbox.servicetracker.application import Options, ServiceTracker
from sandbox.servicetracker.control import Control
from sandbox.servicetracker.generator import Plan, generate
from sandbox.servicetracker.generator.build import DEFAULT_CUSTOMERS
from sandbox.servicetracker.sessions import Sessions


def _arguments() -> argparse.Namespace:
    parser = CommandLine(prog="python -m sandbox.servicetracker", description="A ServiceTracker org to rehearse against.")
    parser.add_serving(port=8092)
    parser.add_argument("--client-id", default="transload", help="consumer key of the connected app")
    parser.add_argument("--client-secret", default="", help="its secret")
    parser.add_argument("--client-secret-file", type=Path, help="file that holds the secret")
    parser.add_argument("--refresh-token", default="", help="a refresh token that is good; none when empty")
    parser.add_argument("--refresh-token-file", type=Path, help="file that holds the refresh token")
    parser.add_argument("--namespace", default="st", help="prefix of the managed package's objects and fields")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same org")
    parser.add_argument("--customers", type=int, default=DEFAULT_CUSTOMERS, help="number of customers; all else follows in proportion")
    parser.add_argument("--clean", action="store_true", help="leave the deliberate defects out")
    parser.add_argument("--daily-limit", type=int, default=115_000, help="calls in 24 hours")
    parser.add_argument("--page-size", type=int, default=2000, help="most rows in a page of a query")
    parser.add_argument("--deny", default="", help="objects the user does not see, separated by commas")
    return parser.parse_args()


def main() -> None:
    """Generate, then serve until told to stop."""
    arguments = _arguments()
    secret = read_secret(arguments.client_secret_file, arguments.client_secret)
    if not secret:
        sys.exit("a client secret is needed: --client-secret or --client-secret-file")
    refresh_token = read_secret(arguments.refresh_token_file, arguments.refresh_token)
    listener = bind(arguments.host, arguments.port)
    account = generate(Plan(arguments.seed, arguments.customers, arguments.namespace, arguments.clean))
    denied = {name for name in arguments.deny.split(",") if name}
    options = Options(daily_max=arguments.daily_limit, page_size=arguments.page_size, denied=denied)
    simulator = ServiceTracker(account, options, Sessions(arguments.client_id, secret, refresh_token), Clock())
    sys.stderr.write(f"ServiceTracker sandbox on {base_url(listener)}, namespace {arguments.namespace}\n")
    serve(application(Control(simulator, arguments.control_key)), listener, arguments.address_file)


if __name__ == "__main__":
    main()
