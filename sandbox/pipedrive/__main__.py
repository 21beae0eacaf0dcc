"""Starts the Pipedrive simulator: `python -m sandbox.pipedrive --port 8090 --plan ultimate --seats 5 --token T`."""

import gc
import signal
import sys
from dataclasses import replace
from types import FrameType

from sandbox.common.asgi import application
from sandbox.common.serve import base_url, bind, serve
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.control.replay import recording_beginning
from sandbox.pipedrive.gateway.app import PipedriveApp
from sandbox.pipedrive.gateway.engine import RulesFileError
from sandbox.pipedrive.options import parse
from sandbox.pipedrive.seed.fill import UsersFileError
from sandbox.pipedrive.store.state_file import StoreError


def main() -> None:
    """Serve one account until stopped."""
    options, given = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    listener = bind(given.host, given.port)
    try:
        account = Account(options)
        if given.is_token_made_up and (kept := _first_token(account)):
            account.options = options = replace(options, token=kept)
        app = PipedriveApp(account)
        if options.recording_file is not None:
            app.engine.recorder.start(options.recording_file, is_emptied=True, beginning=recording_beginning(app.engine))
    except OSError as error:
        sys.exit(f"cannot write the recording {options.recording_file}: {error.strerror or error}")
    except (RulesFileError, StoreError, UsersFileError) as error:
        sys.exit(str(error))
    except (LookupError, TypeError) as error:
        if options.database is None:
            raise
        sys.exit(f"the state file {options.database} is damaged ({error!r}); move it away to start with a new account")
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # records live long; looking at them often finds no garbage
    token = "" if given.token_file is not None else f" token {options.token}"
    sys.stderr.write(f"Pipedrive sandbox at {base_url(listener)} plan {options.plan} seats {options.seats}{token}\n")
    try:
        serve(application(app.handle, app.webhooks.running), listener, given.address_file)
    finally:
        account.store.close()


def _first_token(account: Account) -> str:
    """The token that an account kept from an earlier start gave its first user, empty for a new account."""
    return next((token for token, user_id in account.store.meta.get("tokens", {}).items() if user_id == 1), "")


def _end(signal_number: int, frame: FrameType | None) -> None:
    """Stop as asked; the server has let its requests end before."""
    del signal_number, frame
    sys.exit(0)


if __name__ == "__main__":
    main()
