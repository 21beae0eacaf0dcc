"""Records requests with their bodies on demand: to send the very same writes again, to check what was sent, or to play everything again.

A complete recording also holds what changed the account without a request: people in the web application, due jobs, background
deliveries, resets. It begins with what the account was made of, so that it can be played again on another one.
"""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from sandbox.common.asgi import Request
from sandbox.pipedrive.store.store import Record, Store

_WRITING = frozenset({"POST", "PATCH", "PUT", "DELETE"})


class Performing:
    """A block that may be entered again inside itself, at next to no cost."""

    __slots__ = ("depth",)

    def __init__(self) -> None:
        self.depth = 0

    def __enter__(self) -> None:
        """Begin."""
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        """End."""
        self.depth -= 1


class Recorder:
    """Appends one JSON line a request to a file while one is named."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path: Path | None = None
        self._takes_reads = False
        self._is_complete = False
        self._has_changed = False
        self.performing = Performing()
        """While a block of it runs, changes of the store belong to what is carried out, and need no line of their own."""

    @property
    def is_on(self) -> bool:
        """Whether anything is recorded."""
        return self._path is not None

    def start(self, path: Path | None, *, is_emptied: bool, takes_reads: bool = False, beginning: Record | None = None) -> None:
        """Record to a file from now on, or stop with None.

        Args:
            path: The file.
            is_emptied: Whether what it holds is thrown away first.
            takes_reads: Whether requests that read are recorded too.
            beginning: What the account was made of and what it is now, for a complete recording.

        Raises:
            OSError: When the file cannot be written.
        """
        self.stop()
        if path is None:
            return
        with path.open("wb" if is_emptied else "ab"):
            self._path = path
        self._takes_reads = takes_reads
        self._is_complete = beginning is not None
        if beginning is not None:
            self._store.observers.append(self._observe)
            self.event("beginning", **beginning)

    def stop(self) -> None:
        """Record nothing any more."""
        self._path = None
        if self._is_complete:
            self._store.observers.remove(self._observe)
        self._is_complete = False

    def performed(self, request: Request, *, status: int, tokens: int, at: float, user_id: int, source: str, credential: str) -> None:
        """Record a request that was carried out, whatever the caller is told of it."""
        changed, self._has_changed = self._has_changed, False
        if self._takes_reads or request.method in _WRITING or (self._is_complete and changed):
            more = {"at": at, "user_id": user_id, "source": source, "credential": credential, "is_performed": True}
            self._write(_line(request, status, tokens) | more)

    def refused(self, request: Request, *, status: int, tokens: int) -> None:
        """Record a request that was not carried out."""
        if self.is_on and (self._takes_reads or request.method in _WRITING):
            self._write(_line(request, status, tokens) | {"is_performed": False})

    def event(self, name: str, **values: Any) -> None:
        """Record something other than a request, if the recording is complete."""
        if self._is_complete:
            self._write({"event": name, **values})

    def _observe(self, kind: str, before: Record | None, after: Record) -> None:
        """Notice what changes; a change that no operation makes is recorded as it is."""
        del before
        if self.performing.depth:
            self._has_changed = True
        else:
            self.event("change", kind=kind, record=after)

    def _write(self, line: Record) -> None:
        assert self._path is not None  # noqa: S101 - asked for before
        with self._path.open("ab") as file:
            file.write(orjson.dumps(line) + b"\n")


def _line(request: Request, status: int, tokens: int) -> Record:
    query = request.query_string.decode("latin-1")
    if "api_token=" in query:
        query = urlencode([(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "api_token"])
    return {
        "method": request.method,
        "path": request.path + (f"?{query}" if query else ""),
        "content_type": request.header(b"content-type"),
        "body": base64.b64encode(request.body).decode(),
        "status": status,
        "tokens": tokens,
    }
