"""What happened in a simulation, in order: virtual time, process, what. Kept as text only when somebody wants to read it, as a digest always."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, TextIO

from tests.simulation.processes import OWNER

if TYPE_CHECKING:
    from collections.abc import Callable


class Trace:
    """Takes notes.

    Attributes:
        count: notes taken so far.
    """

    def __init__(self, now: Callable[[], float], *, output: TextIO | None = None) -> None:
        self._now = now
        self._output = output
        self._hash = hashlib.sha256()
        self.count = 0

    def note(self, what: str, who: object = None) -> None:
        """Note what somebody does; without `who` it is whoever runs now."""
        owner = who if who is not None else OWNER.get()
        line = f"{self._now():10.3f}  {owner or 'world'!s:<15}  {what}"
        self._hash.update(line.encode("utf-8", "replace"))
        self.count += 1
        if self._output is not None:
            self._output.write(line + "\n")

    def show(self, text: str) -> None:
        """Show what helps a reader but is no part of what happened."""
        if self._output is not None:
            self._output.write(text + "\n")

    @property
    def is_read(self) -> bool:
        """Whether somebody reads along."""
        return self._output is not None

    def digest(self) -> str:
        """Answer the digest of all notes: two runs of one seed have the same one."""
        return self._hash.hexdigest()


class LogNotes(logging.Handler):
    """Brings the services' logs into the trace."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        """Note one line of a log."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        words = " ".join(f"{name}={value}" for name, value in fields.items())
        self._trace.note(f"log {record.getMessage()} {words}")
        if record.exc_info and self._trace.is_read:
            self._trace.show(logging.Formatter().formatException(record.exc_info))
