"""Serves an ASGI application on one address, with one-line errors and the address written to a file."""

import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.common.asgi import TRANSPORT, Receive, Scope, Send

_BACKLOG = 1024


class SandboxProtocol(HttpToolsProtocol):
    """HTTP with access to the transport, so that a simulator can cut a connection."""

    def on_message_begin(self) -> None:
        """Leave the transport where the application finds it."""
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]


def bind(host: str, port: int) -> socket.socket:
    """Listen on `host:port` (port 0 takes any free one).

    Raises:
        SystemExit: With one clear line when the address is taken or not ours.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        sys.exit(f"cannot listen on {host}:{port}: {error.strerror or error}")
    listener.listen(_BACKLOG)
    listener.settimeout(0.0)
    return listener


def base_url(listener: socket.socket) -> str:
    """Return `http://host:port` of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def serve(app: Callable[[Scope, Receive, Send], Awaitable[None]], listener: socket.socket, address_file: Path | None = None) -> None:
    """Serve until SIGINT or SIGTERM. The base URL is written to `address_file` once requests are accepted.

    Raises:
        SystemExit: With one clear line when that file cannot be written.
    """
    if address_file is not None:
        draft = address_file.with_name(address_file.name + ".part")
        try:
            draft.write_text(base_url(listener) + "\n", encoding="utf-8")
            draft.replace(address_file)
        except OSError as error:
            sys.exit(f"cannot write the address file {address_file}: {error.strerror or error}")
    config = uvicorn.Config(
        app,
        http=SandboxProtocol,
        loop="uvloop",
        lifespan="auto",
        access_log=False,
        log_level="error",
        proxy_headers=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[listener])
