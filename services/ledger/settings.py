"""Settings of the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from services.common import secrecy
from services.common.settings import EnvReader, GrpcSettings, NatsSettings, StagingSettings, TelemetrySettings


def database_url(reader: EnvReader) -> str:
    """Reads where the ledger's database is."""
    url = reader.secret("LEDGER_DATABASE_URL", f"sqlite:///{reader.path('DATA_DIR', Path('.transload')) / 'ledger.db'}")
    secrecy.remember_credentials(url)
    return url


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """What the ledger reads from its environment."""

    grpc: GrpcSettings
    nats: NatsSettings
    telemetry: TelemetrySettings
    staging: StagingSettings
    database_url: str
    """`TRANSLOAD_LEDGER_DATABASE_URL` or the file that `_FILE` names: `sqlite:///<file>` or `postgresql://...`; default: `ledger.db` in
    `TRANSLOAD_DATA_DIR`. It holds a password, so it is never logged."""
    extractor_address: str
    """`TRANSLOAD_EXTRACTOR_ADDRESS`: host:port of the extractor. Required."""
    transformer_address: str
    """`TRANSLOAD_TRANSFORMER_ADDRESS`: host:port of the transformer. Required."""
    loader_address: str
    """`TRANSLOAD_LOADER_ADDRESS`: host:port of the loader. Required."""
    signing_key_file: Path
    """`TRANSLOAD_LEDGER_SIGNING_KEY_FILE`: Ed25519 private key in PEM that signs the audit trail; made when it is not there;
    default: `ledger-signing-key.pem` in `TRANSLOAD_DATA_DIR`."""
    claim_seconds: float = 60.0
    """`TRANSLOAD_LEDGER_CLAIM_SECONDS`: how long a loader may work on a batch without an outcome before another may take it, 5 to 900."""
    reannounce_seconds: float = 60.0
    """`TRANSLOAD_LEDGER_REANNOUNCE_SECONDS`: work is announced again when nothing happened for that long, 1 to 3600."""
    restart_seconds: float = 5.0
    """`TRANSLOAD_LEDGER_RESTART_SECONDS`: the same right after the ledger's start, 0 to 3600."""
    tick_seconds: float = 1.0
    """`TRANSLOAD_LEDGER_TICK_SECONDS`: longest time between two looks at a run without a change, 0.05 to 60."""
    poll_seconds: float = 2.0
    """`TRANSLOAD_LEDGER_POLL_SECONDS`: pause between two questions whether the extractor is alive, 0.1 to 60."""
    retention_days: float = 0.0
    """`TRANSLOAD_LEDGER_RETENTION_DAYS`: what the ledger keeps of people is erased so many days after a migration was completed or taken back as a
    whole, 0 to 36500; 0: when somebody asks for it."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read all settings. Raises ConfigurationError naming the variable that is missing, malformed or unknown."""
        reader = EnvReader(environ)
        folder = reader.path("DATA_DIR", Path(".transload"))
        settings = cls(
            grpc=GrpcSettings.from_env(reader),
            nats=NatsSettings.from_env(reader),
            telemetry=TelemetrySettings.from_env(reader),
            staging=StagingSettings.from_env(reader),
            database_url=database_url(reader),
            extractor_address=reader.str("EXTRACTOR_ADDRESS"),
            transformer_address=reader.str("TRANSFORMER_ADDRESS"),
            loader_address=reader.str("LOADER_ADDRESS"),
            signing_key_file=reader.path("LEDGER_SIGNING_KEY_FILE", folder / "ledger-signing-key.pem"),
            claim_seconds=reader.float("LEDGER_CLAIM_SECONDS", 60.0, minimum=5, maximum=900),
            reannounce_seconds=reader.float("LEDGER_REANNOUNCE_SECONDS", 60.0, minimum=1, maximum=3600),
            restart_seconds=reader.float("LEDGER_RESTART_SECONDS", 5.0, minimum=0, maximum=3600),
            tick_seconds=reader.float("LEDGER_TICK_SECONDS", 1.0, minimum=0.05, maximum=60),
            poll_seconds=reader.float("LEDGER_POLL_SECONDS", 2.0, minimum=0.1, maximum=60),
            retention_days=reader.float("LEDGER_RETENTION_DAYS", 0.0, minimum=0, maximum=36_500),
        )
        reader.refuse_unknown("ledger")
        return settings
