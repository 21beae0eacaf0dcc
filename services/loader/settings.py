"""What the loader may be told by its environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from services.common.settings import EnvReader, GrpcSettings, NatsSettings, StagingSettings, TelemetrySettings
from services.loader.quota.settings import QuotaSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    """Settings of the loader; its own names stand in the environment with `TRANSLOAD_LOADER_` in front."""

    nats: NatsSettings
    """Where the streams are."""
    grpc: GrpcSettings
    """Where we listen."""
    telemetry: TelemetrySettings
    """Who we are; the replica's name is the first part of the claim holder."""
    staging: StagingSettings
    """Where files lie."""
    quota: QuotaSettings
    """Rules of the arbiter in this process."""
    environ: Mapping[str, str]
    """The environment, in which connections are looked up at each use."""
    ledger_address: str
    """`TRANSLOAD_LEDGER_ADDRESS`: host:port of the ledger."""
    quota_address: str = ""
    """`TRANSLOAD_QUOTA_ADDRESS`: host:port of the loader whose arbiter serves us, or of several with commas, of which one at a time has the
    budget; empty: our own arbiter."""
    consumer_concurrency: int = 4
    """`CONSUMER_CONCURRENCY`: batches in hand at once for one Pipedrive company, 1 to 64."""
    in_flight_max: int = 16
    """`IN_FLIGHT_MAX`: records of one Pipedrive company worked on at once over all batches, and so requests in flight to it, 1 to 256."""
    call_timeout_seconds: float = 30.0
    """`CALL_TIMEOUT_SECONDS`: longest silence of Pipedrive in one call, seconds, 1 to 300; must stay below the quota's `CALL_SECONDS`."""
    grace_seconds: float = 5.0
    """`GRACE_SECONDS`: a record in doubt counts as absent only so long after its call may have been sent, seconds."""
    margin_seconds: float = 120.0
    """`MARGIN_SECONDS`: listing for records in doubt begins so long before the intent, for clocks that differ, seconds."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Reads the environment. Raises ConfigurationError naming the variable."""
        reader = EnvReader(environ)
        settings = cls(
            nats=NatsSettings.from_env(reader),
            grpc=GrpcSettings.from_env(reader),
            telemetry=TelemetrySettings.from_env(reader),
            staging=StagingSettings.from_env(reader),
            quota=QuotaSettings.from_env(reader),
            environ=environ,
            ledger_address=reader.str("LEDGER_ADDRESS"),
            quota_address=reader.str("QUOTA_ADDRESS", ""),
            consumer_concurrency=reader.int("LOADER_CONSUMER_CONCURRENCY", 4, minimum=1, maximum=64),
            in_flight_max=reader.int("LOADER_IN_FLIGHT_MAX", 16, minimum=1, maximum=256),
            call_timeout_seconds=reader.float("LOADER_CALL_TIMEOUT_SECONDS", 30.0, minimum=1, maximum=300),
            grace_seconds=reader.float("LOADER_GRACE_SECONDS", 5.0, minimum=0, maximum=600),
            margin_seconds=reader.float("LOADER_MARGIN_SECONDS", 120.0, minimum=0, maximum=3600),
        )
        reader.refuse_unknown("loader")
        return settings
