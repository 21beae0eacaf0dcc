"""Starts the simulators as programs of their own (`python -m <module>`), known only by their address, as the real systems would be."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from transload.embedded.errors import StackError
from transload.embedded.process import tethered
from transload.embedded.stand_ins import StandIn, find_stand_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

START_SECONDS_MAX: Final = 60.0
CONTROL_SECONDS_MAX: Final = 120.0
CONTROL_HEADER: Final = "x-sandbox-key"
_JOURNAL_PAGE: Final = 20_000
_POLL_SECONDS: Final = 0.05
_LOG_TAIL_BYTES: Final = 4_000


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator and its control interface."""

    name: str
    url: str
    process: asyncio.subprocess.Process
    _http: httpx.AsyncClient

    async def control(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Calls `/_sandbox/<path>`; answers the decoded JSON.

        Raises:
            httpx.HTTPStatusError: the simulator refused.
        """
        response = await self._http.request(method, f"{self.url}/_sandbox/{path}", json=body, params=params)
        response.raise_for_status()
        return response.json() if response.content else None

    async def faults(self, *rules: Mapping[str, Any]) -> None:
        """Adds fault rules."""
        await self.control("POST", "faults", {"rules": list(rules)})

    async def clear_faults(self) -> None:
        """Takes all fault rules back."""
        await self.control("DELETE", "faults")

    async def export(self) -> bytes:
        """The account's visible state in canonical form (Pipedrive only)."""
        response = await self._http.get(f"{self.url}/_sandbox/export")
        response.raise_for_status()
        return response.content

    async def journal(self) -> list[dict[str, Any]]:
        """Every request received, as far as it is kept (Pipedrive only)."""
        entries: list[dict[str, Any]] = []
        while True:
            page = (await self.control("GET", "journal", start=len(entries), limit=_JOURNAL_PAGE))["entries"]
            entries += page
            if len(page) < _JOURNAL_PAGE:
                return entries

    async def stop(self) -> None:
        """Ends the process; stopping twice is harmless."""
        if self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()


@contextlib.asynccontextmanager
async def simulator(name: str, *arguments: str, data_dir: Path, connection: str) -> AsyncIterator[Simulator]:
    """Runs a simulator while the block runs, and writes the connection's folder, so that the services find it.

    The key goes through a file, as keys do. The log is `<data_dir>/logs/sandbox-<connection>.log`.

    Raises:
        StackError: there is none of this name, or it did not start; the message holds what it said.
    """
    kind = find_stand_in(name)
    folder = data_dir / "connections" / connection
    logs = data_dir / "logs"
    for path in (folder, logs):
        path.mkdir(parents=True, exist_ok=True)
    for part, value in kind.secret.others.items():
        (folder / part).write_text(value)
    key_file = folder / kind.secret.part
    key_file.write_text(secrets.token_hex(20))
    key_file.chmod(0o600)
    control_key = secrets.token_hex(16)
    address_file = data_dir / f"{connection}.address"
    address_file.unlink(missing_ok=True)
    with (logs / f"sandbox-{connection}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *tethered(sys.executable, "-m", kind.module, "--port", "0", "--address-file", str(address_file)),
            *(kind.secret.option, str(key_file), "--control-key", control_key, *arguments),
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C in the terminal reaches us only; we stop it when nobody needs it any more
        )
    async with httpx.AsyncClient(headers={CONTROL_HEADER: control_key}, timeout=CONTROL_SECONDS_MAX, trust_env=False) as http:
        try:
            url = await _address(kind, address_file, process, logs / f"sandbox-{connection}.log")
            (folder / "url").write_text(url + kind.url_path)
            started = Simulator(name, url, process, http)
            yield started
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


async def _address(kind: StandIn, address_file: Path, process: asyncio.subprocess.Process, log: Path) -> str:
    """Waits until the simulator has written where it listens."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.returncode is None:
        if url := _read(address_file):
            return url
        await asyncio.sleep(_POLL_SECONDS)
    if process.returncode is None:
        raise StackError(f"the {kind.name} simulator did not start within {START_SECONDS_MAX:g} s; see {log}")
    said = _last_line(log).removeprefix(f"python -m {kind.module}: ")
    raise StackError(f"the {kind.name} simulator did not start: {said or f'it ended with {process.returncode}, see {log}'}")


def _last_line(log: Path) -> str:
    """What a program said last: of a traceback the error, of a refused option the reason."""
    lines = log.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _read(address_file: Path) -> str:
    """The base URL in a file, empty while it is not written."""
    return address_file.read_text().strip() if address_file.exists() else ""
