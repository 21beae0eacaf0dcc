"""Starts the Pipedrive simulator: `python -m sandbox.pipedrive --port 8090 --plan ultimate --seats 5 --token T`."""

import gc
import sys

from sandbox.common.asgi import application
from sandbox.common.serve import base_url, bind, serve
from sandbox.pipedrive.account import Account
from sandbox.pipedrive.app import PipedriveApp
from sandbox.pipedrive.options import parse
from sandbox.pipedrive.seed import UsersFileError
from sandbox.pipedrive.store import StoreError


def main() -> None:
    """Serve one account until stopped."""
    options, given = parse(sys.argv[1:])
    listener = bind(given.host, given.port)
    try:
        account = Account(options)
        app = PipedriveApp(account)
    except (StoreError, UsersFileError) as error:
        sys.exit(str(error))
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # records live long; looking at them often finds no garbage
    token = "" if given.token_file is not None else f" token {options.token}"
    sys.stderr.write(f"Pipedrive sandbox at {base_url(listener)} plan {options.plan} seats {options.seats}{token}\n")
    try:
        serve(application(app.handle), listener, given.address_file)
    finally:
        account.store.close()


if __name__ == "__main__":
    main()
