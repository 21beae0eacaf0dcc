"""Simulated accounts for the tests of the Pipedrive simulator."""

from typing import Any

import pytest

from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.options import Options
from tests.unit.sandbox_pipedrive.driver import CONTROL_KEY, TOKEN, Driver, Start


@pytest.fixture
def start() -> Start:
    """Start an account with options of choice."""

    def make(clock: SandboxClock | None = None, **options: Any) -> Driver:
        return Driver(Options(**{"token": TOKEN, "control_key": CONTROL_KEY, "seed": 7, "limits": False, **options}), clock)

    return make


@pytest.fixture
def api(start: Start) -> Driver:
    """An account with its customer's records and without limits."""
    return start()
