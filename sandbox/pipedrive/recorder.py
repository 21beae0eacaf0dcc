"""Records every writing request with its body on demand, so that a benchmark can send the very same writes again."""

import base64
from pathlib import Path

import orjson

from sandbox.common.asgi import Request

_WRITING = frozenset({"POST", "PATCH", "PUT", "DELETE"})


class Recorder:
    """Appends one JSON line a write to a file while one is named."""

    def __init__(self) -> None:
        self._path: Path | None = None

    def start(self, path: Path | None, *, is_emptied: bool) -> None:
        """Record to `path` from now on, or stop with None."""
        self._path = path
        if path is not None and is_emptied:
            path.write_bytes(b"")

    def note(self, request: Request, *, status: int, tokens: int) -> None:
        """Record one request, if it writes and recording is on."""
        if self._path is None or request.method not in _WRITING:
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
