"""Settings of the transformer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from services.common.settings import EnvReader, GrpcSettings, NatsSettings, StagingSettings, TelemetrySettings

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class TransformerSettings:
    """What the transformer reads from its environment."""

    nats: NatsSettings
    grpc: GrpcSettings
    telemetry: TelemetrySettings
    staging: StagingSettings
    ledger_address: str
    """`TRANSLOAD_LEDGER_ADDRESS`: host:port of the ledger. Required."""
    index_folder: Path
    """`index/` in `TRANSLOAD_DATA_DIR`: where snapshot indexes are built; may be emptied while the service is stopped."""
    concurrency: int = 2
    """`TRANSLOAD_TRANSFORMER_CONCURRENCY`: pages in hand at once, 1 to 64. Mapping is bound by the processor: more replicas help more than this."""
    index_migrations_max: int = 16
    """`TRANSLOAD_TRANSFORMER_INDEX_MIGRATIONS_MAX`: migrations whose index is kept on disk, 1 to 1000; others are built again when needed."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read all settings. Raises ConfigurationError naming the variable that is missing, malformed or unknown."""
        reader = EnvReader(environ)
        settings = cls(
            nats=NatsSettings.from_env(reader),
            grpc=GrpcSettings.from_env(reader),
            telemetry=TelemetrySettings.from_env(reader),
            staging=StagingSettings.from_env(reader),
            ledger_address=reader.str("LEDGER_ADDRESS"),
            index_folder=reader.path("DATA_DIR", Path(".transload")) / "index",
            concurrency=reader.int("TRANSFORMER_CONCURRENCY", 2, minimum=1, maximum=64),
            index_migrations_max=reader.int("TRANSFORMER_INDEX_MIGRATIONS_MAX", 16, minimum=1, maximum=1000),
        )
        reader.refuse_unknown("transformer")
        return settings
