"""One journey through a whole migration, taken once and looked at by many tests."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.bundle_journey import BundleJourney
from tests.e2e.harness import installation
from tests.e2e.journey import Journey, travel


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def journey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Journey]:
    folder: Path = tmp_path_factory.mktemp("journey")
    async with installation(folder) as installed, installed.rehearsal(source=("--clients", "40")) as rehearsal:
        yield await travel(rehearsal)


@pytest.fixture(params=["load", "delta"])
def world(journey: BundleJourney, request: pytest.FixtureRequest) -> Any:
    """Both sides of an export bundle's account after the load, and after the delta; for modules whose journey is a bundle's."""
    return journey.world(str(request.param))
