"""One installation per test file; every test brings its own pair of simulators and its own migration."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.harness import Installation, installation

IMPATIENT = {
    "TRANSLOAD_LOADER_GRACE_SECONDS": "1",
    "TRANSLOAD_EXTRACTOR_OUTAGE_PAUSE_SECONDS": "1",
    "TRANSLOAD_LEDGER_REANNOUNCE_SECONDS": "8",
}
"""Shorter waits than in production: the same way, in less of a test's time."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("fault")
    async with installation(folder, IMPATIENT) as running:
        yield running
