"""What stands in files and is read again when they change: certificates, tokens, lists of callers."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")
Stamp = tuple[tuple[int, int, int] | None, ...]

LOOK_SECONDS: Final = 1.0
"""A change is seen at the first use so long after it at the latest."""


class Watched(Generic[T]):
    """A value made of files. Files are looked at when the value is used, at most once a second, so nothing runs in between.

    What is broken when it changes leaves the last good value in force and is told once per change. Safe to use from several threads.

    Attributes:
        generation: grows by one with every value that took the place of another.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        load: Callable[[], T],
        *,
        on_broken: Callable[[Exception], None] = lambda _: None,
        on_changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Loads the first value. Whatever `load` raises is raised here.

        Args:
            paths: files whose change means that `load` is called again; symbolic links are followed, as Kubernetes swaps them.
            load: reads them.
            on_broken: told what `load` raised for a change.
            on_changed: told that another value is in force.
        """
        self._paths = tuple(paths)
        self._load = load
        self._on_broken = on_broken
        self._on_changed = on_changed
        self._lock = threading.Lock()
        self.generation = 0
        # The stamp is taken before the reading: what changes in between is read once more.
        self._stamp = self._look()
        self._next_look = monotonic() + LOOK_SECONDS
        self._value = load()

    def current(self) -> T:
        """Answers the value in force now."""
        if monotonic() >= self._next_look:
            with self._lock:
                if monotonic() >= self._next_look:
                    self._refresh()
        return self._value

    def _refresh(self) -> None:
        self._next_look = monotonic() + LOOK_SECONDS
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._value = self._load()
        except Exception as error:  # noqa: BLE001 - whatever a half-written file makes of the reader, the last good value stays
            self._on_broken(error)
            return
        self.generation += 1
        self._on_changed()

    def _look(self) -> Stamp:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
