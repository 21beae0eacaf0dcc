"""A service in the shape of ours that does nothing: `python -m tests.fakes.service`; with `TRANSLOAD_TEST_EXIT` it refuses its configuration."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from services.common import jetstream, runtime
from services.common.errors import ConfigurationError
from services.common.settings import EnvReader, GrpcSettings, NatsSettings, TelemetrySettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


@dataclass(frozen=True)
class IdleSettings:
    """The groups every service has."""

    grpc: GrpcSettings
    telemetry: TelemetrySettings
    nats: NatsSettings

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Reads them."""
        if "TRANSLOAD_TEST_EXIT" in environ:
            raise ConfigurationError("TRANSLOAD_TEST_EXIT is set")
        reader = EnvReader(environ)
        return cls(GrpcSettings.from_env(reader), TelemetrySettings.from_env(reader), NatsSettings.from_env(reader))


@asynccontextmanager
async def build(settings: IdleSettings) -> AsyncIterator[runtime.Service]:
    """Connects and waits."""
    async with jetstream.connect(settings.nats) as bus:
        yield runtime.Service(name=os.environ["TRANSLOAD_REPLICA"], pings={"nats": bus.ping})


if __name__ == "__main__":
    runtime.main(os.environ["TRANSLOAD_REPLICA"].partition("-")[0], IdleSettings.from_env, build)
