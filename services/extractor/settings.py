"""Settings of the extractor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from services.common.settings import EnvReader, GrpcSettings, StagingSettings, TelemetrySettings


@dataclass(frozen=True, slots=True)
class ExtractorSettings:
    """What the extractor reads from its environment."""

    grpc: GrpcSettings
    telemetry: TelemetrySettings
    staging: StagingSettings
    ledger_address: str
    """`TRANSLOAD_LEDGER_ADDRESS`: host:port of the ledger. Required."""
    http_timeout_seconds: float = 45.0
    """`TRANSLOAD_EXTRACTOR_HTTP_TIMEOUT_SECONDS`: longest wait for a source to connect or to send the next bytes, 1 to 600."""
    outage_tries: int = 4
    """`TRANSLOAD_EXTRACTOR_OUTAGE_TRIES`: quick repeats of a failed call before people are told, 0 to 20; each costs a call of the budget."""
    outage_pause_seconds: float = 10.0
    """`TRANSLOAD_EXTRACTOR_OUTAGE_PAUSE_SECONDS`: first pause between tries after people were told, doubled each time, 1 to 600."""
    outage_pause_seconds_max: float = 600.0
    """`TRANSLOAD_EXTRACTOR_OUTAGE_PAUSE_SECONDS_MAX`: longest pause between tries in an outage, 1 to 3600."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read all settings. Raises ConfigurationError naming the variable that is missing, malformed or unknown."""
        reader = EnvReader(environ)
        settings = cls(
            grpc=GrpcSettings.from_env(reader),
            telemetry=TelemetrySettings.from_env(reader),
            staging=StagingSettings.from_env(reader),
            ledger_address=reader.str("LEDGER_ADDRESS"),
            http_timeout_seconds=reader.float("EXTRACTOR_HTTP_TIMEOUT_SECONDS", 45.0, minimum=1, maximum=600),
            outage_tries=reader.int("EXTRACTOR_OUTAGE_TRIES", 4, minimum=0, maximum=20),
            outage_pause_seconds=reader.float("EXTRACTOR_OUTAGE_PAUSE_SECONDS", 10.0, minimum=1, maximum=600),
            outage_pause_seconds_max=reader.float("EXTRACTOR_OUTAGE_PAUSE_SECONDS_MAX", 600.0, minimum=1, maximum=3600),
        )
        reader.refuse_unknown("extractor")
        return settings
