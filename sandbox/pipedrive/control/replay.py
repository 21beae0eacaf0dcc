"""Plays a complete recording again: `python -m sandbox.pipedrive.control.replay FILE [DIGEST]`.

Everything that changed the recorded account is done to a new one made of the same, in the same order and at the same moments of its
clock. What was refused or failed before its effect is left out; what failed after its effect is not. The visible state is then the same
byte for byte.
"""

import base64
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import orjson

from sandbox.common.asgi import Request
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.export import export_state
from sandbox.pipedrive.control.moves import ControlError
from sandbox.pipedrive.gateway.engine import Engine
from sandbox.pipedrive.options import Options
from sandbox.pipedrive.store.store import Record

FORMAT = 1
_SECRET = ("token", "control_key", "oauth_client", "oauth_secret")
_OF_THE_MACHINE = ("users_file", "database", "faults_file", "people_file", "recording_file")
_DERIVED = frozenset({"deal", "field", "conversion"})
"""Kinds that the account keeps something derived of."""


def recording_beginning(engine: Engine) -> Record:
    """Return what a complete recording begins with: what the account was made of, without secrets, and its state now."""
    account = engine.account
    origin = account.store.meta["origin"]
    users = [{name: value for name, value in user.items() if name != "token"} for user in origin["users"]]
    options = {name: value for name, value in asdict(account.options).items() if name not in (*_SECRET, *_OF_THE_MACHINE)}
    return {"format": FORMAT, "origin": {**origin, "users": users}, "options": options, "digest": export_state(account)[1]}


def replay(engine: Engine, path: Path) -> Record:
    """Reset an account and do to it what was recorded; return its digest and what was done.

    Raises:
        ControlError: When the file is no complete recording of an account made of the same.
    """
    lines = _lines(path)
    beginning = _beginning(lines, path)
    if beginning["origin"] != recording_beginning(engine)["origin"]:
        raise ControlError(f"{path} is a recording of another account; play it on a new one with python -m sandbox.pipedrive.control.replay")
    engine.reset()
    if export_state(engine.account)[1] != beginning["digest"]:
        raise ControlError(f"{path} was begun when the account had been changed already, or with other options; reset before recording")
    player = _Player(engine)
    with _unheard(engine):
        for number, line in lines:
            try:
                player.play(line)
            except (LookupError, TypeError, ValueError) as error:
                raise ControlError(f"{path} line {number} cannot be played: {error!r}") from error
    engine.account.store.commit()
    return {"digest": export_state(engine.account)[1], "requests": player.requests, "events": player.events, "different_answers": player.different}


@contextmanager
def _unheard(engine: Engine) -> Iterator[None]:
    """Keep from webhooks what they were told when it happened first."""
    observers = engine.account.store.observers
    observers.remove(engine.webhooks.observe)
    try:
        yield
    finally:
        observers.append(engine.webhooks.observe)
        engine.webhooks.refresh()


class _Player:
    """Does what lines say."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.requests = 0
        self.events = 0
        self.different: list[Record] = []
        """Requests that were answered with another status than in the recording."""

    def play(self, line: Record) -> None:
        if "event" in line:
            self.events += 1
            self._event(line)
        elif line["is_performed"]:
            self.requests += 1
            self._request(line)

    def _request(self, line: Record) -> None:
        account = self._engine.account
        user = account.store["user"].get(line["user_id"])
        path, _, query = line["path"].partition("?")
        headers = {b"content-type": line["content_type"].encode("latin-1")}
        request = Request(line["method"], path, query.encode("latin-1"), headers, base64.b64decode(line["body"]))
        if user is None:
            raise LookupError(f"there is no user {line['user_id']}")
        with account.clock.held(line["at"]):
            response = self._engine.effects.request(request, user, line["source"])
        if response is None:
            raise LookupError(f"there is no operation {line['method']} {path}")
        if response.status != line["status"]:
            self.different.append({"method": line["method"], "path": path, "recorded": line["status"], "now": response.status})

    def _event(self, line: Record) -> None:
        engine = self._engine
        match line["event"]:
            case "time":
                engine.effects.work_of_time(line["at"], purges=line["purges"])
            case "change":
                engine.account.store.put(line["kind"], line["record"])
                if line["kind"] in _DERIVED:
                    engine.account.attach()
            case "reset":
                engine.reset()
            case name:
                raise ValueError(f"unknown event {name}")


def _lines(path: Path) -> Iterator[tuple[int, Record]]:
    """Yield the lines of a recording with their numbers.

    Raises:
        ControlError: When the file cannot be read, or a line is no JSON object.
    """
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                line = orjson.loads(text)
                if not isinstance(line, dict):
                    raise ControlError(f"{path} line {number} is no JSON object")
                yield number, line
    except OSError as error:
        raise ControlError(f"cannot read the recording {path}: {error.strerror or error}") from error
    except orjson.JSONDecodeError as error:
        raise ControlError(f"{path} is no recording: {error}") from error


def _beginning(lines: Iterator[tuple[int, Record]], path: Path) -> Record:
    _, line = next(lines, (0, {}))
    if line.get("event") != "beginning":
        raise ControlError(f"{path} is no complete recording; record with is_complete")
    if line.get("format") != FORMAT or not {"origin", "options", "digest"} <= line.keys():
        raise ControlError(f"{path} is a recording of format {line.get('format')}; this simulator plays {FORMAT}")
    return line


def play_on_a_new_account(path: Path) -> Record:
    """Make an account of what a recording begins with, play the recording on it, and return what `replay` returns.

    Raises:
        ControlError: When the file is no complete recording.
    """
    beginning = _beginning(_lines(path), path)
    try:
        account = Account(Options(**beginning["options"]))
    except TypeError as error:
        raise ControlError(f"{path} has options this simulator does not know: {error}") from error
    account.store.set_meta("origin", beginning["origin"])
    return replay(Engine(account), path)


def main() -> None:
    """Play a recording and print its digest; exit with 1 when it is not the one given."""
    arguments = sys.argv[1:]
    if not 1 <= len(arguments) <= 2 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python -m sandbox.pipedrive.control.replay FILE [DIGEST]\n")
        sys.exit(2)
    try:
        result = play_on_a_new_account(Path(arguments[0]))
    except ControlError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{result['digest']} {result['requests']} requests {result['events']} events\n")
    for difference in result["different_answers"]:
        sys.stderr.write(f"{difference['method']} {difference['path']}: {difference['recorded']} recorded, {difference['now']} now\n")
    if arguments[1:] and arguments[1] != result["digest"]:
        sys.exit(f"the digest is not {arguments[1]}")


if __name__ == "__main__":
    main()
