from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.common import jetstream
from services.common.jetstream import Bus
from services.common.settings import NatsSettings
from tests.fakes.consuming import Recorder
from tests.fakes.nats_server import NatsServer


@pytest.fixture
async def bus(own_nats_server: NatsServer) -> AsyncIterator[Bus]:
    async with jetstream.connect(NatsSettings(own_nats_server.url)) as connected:
        yield connected


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
