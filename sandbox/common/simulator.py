"""A whole simulator around one made-up account: command line, key, control interface, faults and the count of calls.

A simulator says what its account answers and how it changes; `run` does the rest:

    class Account:
        def __init__(self, seed: int, size: int) -> None: ...
        def answer(self, request: Request) -> Response: ...
        def change(self, seed: int) -> list[dict[str, Any]]: ...

    if __name__ == "__main__":
        run("python -m brook.simulator", Account)
"""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from sandbox.common.asgi import ConnectionCutError, Request, Response, application, json_response
from sandbox.common.command_line import CommandLine, read_secret
from sandbox.common.control import ControlInterface, fault_routes, mutate_routes
from sandbox.common.faults import Faults, Rule
from sandbox.common.serve import base_url, bind, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

JOURNAL_MAX: Final = 100_000


class Account(Protocol):
    """What a source holds."""

    def answer(self, request: Request) -> Response:
        """Answer a GET whose key is right."""
        ...

    def change(self, seed: int) -> list[dict[str, Any]]:
        """Change records as a day's work does; answers what was changed, as JSON."""
        ...


class Fault(Rule):
    """A request that fails: with a status, or with a connection that breaks."""

    KINDS: ClassVar[tuple[str, ...]] = ("status", "cut")


class Simulator:
    """Serves an account. Everything but GET is refused: a source is only read."""

    def __init__(self, account: Account, *, key: str, control_key: str = "", open_path: str = "") -> None:
        self.account = account
        self.calls: deque[str] = deque(maxlen=JOURNAL_MAX)
        """Method and path of every call, the control interface left out."""
        self.faults = Faults(Fault)
        self._key = key
        self._open_path = open_path
        self._control = ControlInterface(
            control_key,
            {
                **mutate_routes(account.change),
                **fault_routes(self.faults),
                ("GET", "journal"): lambda _: {"calls": list(self.calls)},
            },
        )

    @property
    def application(self) -> Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]:
        """The simulator as an ASGI application, for tests within one process."""
        return application(self.handle)

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        if self._control.is_meant(request):
            return self._control.answer(request)
        self.calls.append(f"{request.method} {request.path}")
        if request.method != "GET":
            return json_response(405, {"error": "this stand-in is only read"})
        if (fault := self.faults.pick(request.method, request.path)) is not None:
            if fault.kind == "cut":
                raise ConnectionCutError
            return json_response(fault.status, fault.body, [(name.encode(), value.encode()) for name, value in fault.headers.items()])
        is_open = self._open_path and request.path.startswith(self._open_path)
        if not is_open and request.header(b"authorization") != f"Bearer {self._key}":
            return json_response(401, {"error": "wrong key"})
        return self.account.answer(request)


def run(program: str, account: Callable[[int, int], Account], *, open_path: str = "") -> None:
    """Serve an account until told to stop.

    Args:
        program: how it is started, for messages: `python -m brook.simulator`.
        account: makes the account of a seed and a size; the same one each time.
        open_path: where what begins with it is answered without a key, as files are whose address is a secret.

    Raises:
        SystemExit: It cannot be served; one line says why.
    """
    parser = CommandLine(prog=program, description="A made-up account to rehearse against.")
    parser.add_serving(port=8092)
    parser.add_argument("--key-file", type=Path, required=True, help="file that holds the key")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same account")
    parser.add_argument("--size", type=int, default=150, help="how much it holds, in clients or what comes closest")
    given = parser.parse_args()
    key = read_secret(given.key_file)
    listener = bind(given.host, given.port)
    simulator = Simulator(account(given.seed, given.size), key=key, control_key=given.control_key, open_path=open_path)
    sys.stderr.write(f"{program} on {base_url(listener)}\n")
    serve(simulator.application, listener, given.address_file)
