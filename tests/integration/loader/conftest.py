"""The Pipedrive simulator as a process of its own, spoken to over real sockets."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from services.common.clock import SystemClock
from services.common.connections import Connections
from services.loader.pipedrive.client import CallContext
from services.loader.pipedrive.http import http_client
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.client import LocalSource
from services.loader.quota.leases import Priority
from services.loader.quota.settings import QuotaSettings
from services.loader.targets import Targets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

START_SECONDS_MAX = 20.0
CONTROL_KEY = "control-of-the-test"
TOKEN = "token-of-the-test"


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulator process."""

    url: str

    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(method, f"{self.url}/_sandbox/{path}", json=body, headers={"x-sandbox-key": CONTROL_KEY}, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def fault(self, kind: str, **rule: Any) -> None:
        self.control("POST", "faults", {"kind": kind, **rule})

    @asynccontextmanager
    async def targets(
        self, *, settings: QuotaSettings | None = None, connections_max: int = 32, timeout_seconds: float = 10.0
    ) -> AsyncIterator[Targets]:
        environ = {"TRANSLOAD_CONNECTION_CRM_URL": self.url, "TRANSLOAD_CONNECTION_CRM_KEY": TOKEN}
        clock = SystemClock()
        arbiter = Arbiter(settings=settings or QuotaSettings(restart_wait_seconds=0.0), clock=clock)
        async with http_client(connections_max=connections_max, timeout_seconds=timeout_seconds) as http:
            targets = Targets(http=http, connections=Connections.from_env(environ), source=LocalSource(arbiter), clock=clock)
            yield targets
            await targets.aclose()


def context() -> CallContext:
    """Answers a context for reads and writes outside a batch."""
    return CallContext(priority=Priority.BULK)


@pytest.fixture
def simulator(tmp_path: Path) -> Callable[..., AbstractContextManager[Simulator]]:
    """Starts simulators with the options given."""

    @contextmanager
    def start(*options: str) -> Iterator[Simulator]:
        address = tmp_path / "address"
        address.unlink(missing_ok=True)
        arguments = ["--port", "0", "--address-file", str(address), "--token", TOKEN, "--control-key", CONTROL_KEY, *options]
        with (tmp_path / "simulator.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "sandbox.pipedrive", *arguments], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_SECONDS_MAX
            while not (address.exists() and address.read_text().strip()):
                assert process.poll() is None, (tmp_path / "simulator.log").read_text()
                assert time.monotonic() < deadline, "the simulator did not start"
                time.sleep(0.05)
            yield Simulator(address.read_text().strip())
        finally:
            process.terminate()
            process.wait(timeout=10)

    return start
