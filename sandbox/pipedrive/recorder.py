"""Records requests with their bodies on demand, so that a benchmark can send the very same writes again and a test can check what was sent."""

import base64
from pathlib import Path

import orjson

from sandbox.common.asgi import Request

_WRITING = frozenset({"POST", "PATCH", "PUT", "DELETE"})


class Recorder:
    """Appends one JSON line a request to a file while one is named."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._takes_reads = False

    def start(self, path: Path | None, *, is_emptied: bool, takes_reads: bool = False) -> None:
        """Record what writes to `path` from now on, and what reads too where wanted; stop with None."""
        self._path = path
        self._takes_reads = takes_reads
        if path is not None and is_emptied:
            path.write_bytes(b"")

    def note(self, request: Request, *, status: int, tokens: int) -> None:
        """Record one request, if recording is on and takes it."""
        if self._path is None or not (self._takes_reads or request.method in _WRITING):
            return
        line = {
            "method": request.method,
            "path": request.path + (f"?{request.query_string.decode('latin-1')}" if request.query_string else ""),
            "content_type": request.header(b"content-type"),
            "body": base64.b64encode(request.body).decode(),
            "status": status,
            "tokens": tokens,
        }
        with self._path.open("ab") as file:
            file.write(orjson.dumps(line) + b"\n")
