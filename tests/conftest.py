"""What all tests share. Nothing here is slow at import."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # `pytest` alone, unlike `python -m pytest`, does not look for `tests.fakes` from here
    sys.path.insert(0, str(ROOT))

# How long one example takes says something about the machine, not about the code; and the same code gets the same examples, so that a change is not
# judged by what chance found elsewhere. TRANSLOAD_TEST_CHANCE=1 looks for new ones.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("chance", deadline=None)
hypothesis.settings.load_profile("chance" if os.environ.get("TRANSLOAD_TEST_CHANCE") == "1" else "repeatable")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.common.staging import Staging
    from tests.fakes.clock import FakeClock
    from tests.fakes.nats_server import NatsServer


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell reaches a test."""
    for name in os.environ:
        if name.startswith(("TRANSLOAD_", "OTEL_")):
            monkeypatch.delenv(name)


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still until advanced."""
    from tests.fakes.clock import FakeClock  # noqa: PLC0415 - the path above comes first

    return FakeClock()


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Answers a port nobody listens on now, another one at each call."""
    from tests.fakes import nats_server  # noqa: PLC0415 - the path above comes first

    return nats_server.free_port


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    """An empty staging store in a folder."""
    from services.common.staging import Staging  # noqa: PLC0415 - only tests that stage something pay for the import

    return Staging.open((tmp_path / "staging").as_uri())


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A real NATS server for the whole session. Tests that share it use migration ids of their own; who kills or wipes it takes `own_nats_server`."""
    from tests.fakes.nats_server import NatsServer  # noqa: PLC0415 - the path above comes first

    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A real NATS server of the test's own, running, to be killed, wiped and started again."""
    from tests.fakes.nats_server import NatsServer  # noqa: PLC0415 - the path above comes first

    folder = tmp_path / "nats"
    folder.mkdir()
    server = NatsServer(folder)
    server.start()
    yield server
    server.kill()
