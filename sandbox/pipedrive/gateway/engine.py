"""Everything of a running simulator but its HTTP side: the account, its limits, and what is done to it besides requests."""

from pathlib import Path
from typing import Any

import orjson

from sandbox.common.faults import FaultRuleError, Faults
from sandbox.pipedrive.account.account import NOBODY, Account
from sandbox.pipedrive.account.changes import ChangeLog
from sandbox.pipedrive.control.faults import Rule
from sandbox.pipedrive.control.journal import Journal
from sandbox.pipedrive.control.moves import ControlError
from sandbox.pipedrive.control.people import People
from sandbox.pipedrive.control.recorder import Recorder
from sandbox.pipedrive.gateway.effects import Effects
from sandbox.pipedrive.gateway.operations import build_routes
from sandbox.pipedrive.gateway.routes import Router
from sandbox.pipedrive.limits.limits import Limits
from sandbox.pipedrive.seed.fill import check_origin, fill
from sandbox.pipedrive.webhooks.delivery import Webhooks


class RulesFileError(Exception):
    """A file of rules cannot be used; the message is one line for a person."""


class Engine:
    """One account at work.

    Raises:
        RulesFileError: When a file of rules named in the options cannot be used.
        StoreError: When the kept account contradicts the options.
        UsersFileError: When the users file cannot be used.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        if "salt" not in account.store.meta:
            fill(account)
        else:
            check_origin(account)
            account.go_on()
        account.attach()
        self.webhooks = Webhooks(account)
        account.store.observers += [ChangeLog(account).observe, self.webhooks.observe]
        self._accept_token()
        self.limits = Limits(account.options, account.clock, account.store)
        self.journal = Journal(account.options.journal_max)
        self.faults = Faults(Rule)
        self.recorder = Recorder(account.store)
        self.router = Router(build_routes(account))
        self.effects = Effects(account, self.router, self.recorder)
        self.people = People(account, self.effects, self.limits.budget)
        self._take_rules()

    def reset(self) -> None:
        """Bring the account back to what it was when it was new, byte for byte; only the clock goes on."""
        self.account.actor = NOBODY
        with self.recorder.performing:
            self.account.restart()
            fill(self.account)
            self._accept_token()
        self.effects.clear()
        self.limits.clear()
        self.journal.clear()
        self.faults.clear()
        self.people.clear()
        self._take_rules()
        self.recorder.event("reset")

    def _accept_token(self) -> None:
        """Let the token given at start in, also when the account was kept from an earlier start with another."""
        store = self.account.store
        if self.account.options.token not in store.meta["tokens"]:
            store.set_meta("tokens", {**store.meta["tokens"], self.account.options.token: 1})
            store.commit()

    def _take_rules(self) -> None:
        """Put the rules of the files named in the options in force."""
        options = self.account.options
        try:
            if options.faults_file is not None:
                self.faults.add(_read(options.faults_file))
            if options.people_file is not None:
                self.people.add(_read(options.people_file))
        except (FaultRuleError, ControlError) as error:
            raise RulesFileError(
                f"the rules in {options.faults_file if isinstance(error, FaultRuleError) else options.people_file}: {error}"
            ) from error


def _read(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise RulesFileError(f"cannot read the rules in {path}: {error.strerror or error}") from error
    except orjson.JSONDecodeError as error:
        raise RulesFileError(f"the rules in {path} are not JSON: {error}") from error
