"""One watched process: started, logged to a file, started again with growing pauses whenever it ends, stopped cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

RESTART_SECONDS_MIN: Final = 0.2
RESTART_SECONDS_MAX: Final = 10.0
# A process that lived this long had started well; its next failure counts as the first.
STEADY_SECONDS: Final = 20.0
STOP_SECONDS: Final = 20.0
LOG_BYTES_MAX: Final = 20 * 1024 * 1024
LOG_TAIL_BYTES: Final = 4_000
EXIT_MISCONFIGURED: Final = 2
"""Exit status by which a service says that its settings are wrong, so that starting it again is no use."""

_TETHER: Final = Path(__file__).with_name("tether.py")


class ManagedProcess:
    """Keeps one command running.

    Attributes:
        name: e.g. `ledger`.
        pid: of the running process, None between two.
        restart_count: how often it had to be started again.
        is_misconfigured: its last exit said so.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], log_path: Path, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self.name = name
        self.pid: int | None = None
        self.restart_count = 0
        self.is_misconfigured = False
        self._command = tuple(command)
        self._env = dict(env)
        self._log_path = log_path
        self._on_change = on_change
        self._may_start = asyncio.Event()
        self._may_start.set()
        self._has_ended = asyncio.Event()
        self._has_ended.set()
        self._is_stopping = False
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts it and keeps it running until `stop`."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())

    async def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Sends SIGTERM, and SIGKILL to what still runs after `timeout_seconds`; waits for the end."""
        self._is_stopping = True
        if self._keeping is None:
            return
        self._send(signal.SIGTERM)
        self._may_start.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._has_ended.wait()
        except TimeoutError:
            self._send(signal.SIGKILL)
            await self._has_ended.wait()
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        self._keeping = None

    @contextlib.asynccontextmanager
    async def held_down(self) -> AsyncIterator[None]:
        """Kills it (SIGKILL) and keeps it from starting again until the block ends."""
        self._may_start.clear()
        try:
            self._send(signal.SIGKILL)
            await self._has_ended.wait()
            yield
        finally:
            self._may_start.set()

    def log_tail(self) -> str:
        """Answers the end of its log."""
        with contextlib.suppress(OSError), self._log_path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - LOG_TAIL_BYTES))
            return log.read().decode("utf-8", "replace")
        return ""

    async def _keep(self) -> None:
        failures = 0
        while not self._is_stopping:
            await self._may_start.wait()
            if self._is_stopping:
                return
            started = time.monotonic()
            status = await self._run_once()
            if self._is_stopping:
                return
            self.is_misconfigured = status == EXIT_MISCONFIGURED
            self.restart_count += 1
            failures = 1 if time.monotonic() - started > STEADY_SECONDS else failures + 1
            if self._may_start.is_set():
                await asyncio.sleep(_pause_seconds(failures))

    async def _run_once(self) -> int:
        """Starts the command, waits for its end and answers its exit status."""
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        if self._log_path.exists() and self._log_path.stat().st_size > LOG_BYTES_MAX:
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        with self._log_path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *tethered(*self._command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                start_new_session=True,  # Ctrl-C in the terminal reaches the supervisor only, which stops its processes in order
            )
        self.pid = process.pid
        self._has_ended.clear()
        if self._is_stopping or not self._may_start.is_set():
            self._send(signal.SIGKILL)
        self._on_change()
        try:
            return await process.wait()
        finally:
            self.pid = None
            self._has_ended.set()
            self._on_change()

    def _send(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def tethered(*command: str) -> tuple[str, ...]:
    """Answers the command that runs `command` and that the kernel ends when this process ends, for whatever reason."""
    return (sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *command)


def _pause_seconds(failures: int) -> float:
    longest = min(RESTART_SECONDS_MAX, RESTART_SECONDS_MIN * 2.0 ** min(failures - 1, 16))
    return longest * random.uniform(0.75, 1.0)
