"""Environment to frozen dataclasses: one reader with clear messages, and the groups every service shares."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeAlias, TypeVar

from services.common import secrecy
from services.common.errors import ConfigurationError
from transload.nkeys import KeyFormatError, NKey
from transload.security import PLAIN, ChannelSecurity, SecurityError, TlsFiles, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The reader's methods are named after the types they read and would hide the built-in names in annotations below them.
Text: TypeAlias = str
Whole: TypeAlias = int
Real: TypeAlias = float
Truth: TypeAlias = bool
Number = TypeVar("Number", int, float)

PREFIX: Final = "TRANSLOAD_"

SHARED_NAMES: Final = frozenset(
    {
        "NATS_URL",
        "NATS_URL_FILE",
        "NATS_REPLICAS",
        "NATS_NKEY_SEED",
        "NATS_NKEY_SEED_FILE",
        "NATS_TLS_CA_FILE",
        "GRPC_LISTEN",
        "ADDRESS_FILE",
        "LEDGER_ADDRESS",
        "EXTRACTOR_ADDRESS",
        "TRANSFORMER_ADDRESS",
        "LOADER_ADDRESS",
        "QUOTA_ADDRESS",
        "STAGING_URL",
        "DATA_DIR",
        "REPLICA",
        "LEDGER_DATABASE_URL",
        "CONNECTIONS_DIR",
        "LOG_LEVEL",
        "METRICS_LISTEN",
        "DRAIN_SECONDS",
        "TLS_CERT_FILE",
        "TLS_KEY_FILE",
        "TLS_CA_FILE",
        "TLS_CLIENT_CERTS",
        "ACCESS_FILE",
        "ALLOW_OPEN",
        "SERVICE_TOKEN",
        "SERVICE_TOKEN_FILE",
        "TOKEN",
        "TOKEN_FILE",
        "HEALTH_LISTEN",
        "REFLECTION",
    }
)
"""Names (without prefix) any process may find in its environment, whether or not it reads them."""

# Groups of names that belong to one program; every other program passes over them, because all may share one environment.
_OWNERS: Final = (
    "EXTRACTOR_",
    "TRANSFORMER_",
    "LOADER_",
    "LEDGER_",
    "QUOTA_",
    "CONNECTION_",
    "SANDBOX_",
    "CLI_",
    "TEST_",
    "BENCH_",
    "ACTOR",
    "MIGRATION",
)

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class EnvReader:
    """Reads typed settings and remembers which names it was asked for. Names are given without the prefix.

    Every method raises ConfigurationError naming the variable when the value is missing (no default) or malformed.
    """

    def __init__(self, environ: Mapping[Text, Text], prefix: Text = PREFIX) -> None:
        self.environ = environ
        self._prefix = prefix
        self._read: set[Text] = set()

    def str(self, name: Text, default: Text | None = None) -> Text:
        """Reads text; surrounding blanks are cut off, and empty counts as not set."""
        self._read.add(name)
        value = self.environ.get(self._prefix + name, "").strip()
        if value:
            return value
        if default is None:
            raise self._error(name, "is not set")
        return default

    def int(self, name: Text, default: Whole | None = None, *, minimum: Whole | None = None, maximum: Whole | None = None) -> Whole:
        """Reads a whole number within the bounds, both included."""
        return self._number(name, default, (minimum, maximum), Whole)

    def float(self, name: Text, default: Real | None = None, *, minimum: Real | None = None, maximum: Real | None = None) -> Real:
        """Reads a number within the bounds, both included."""
        return self._number(name, default, (minimum, maximum), Real)

    def bool(self, name: Text, default: Truth | None = None) -> Truth:
        """Reads 1/true/yes/on or 0/false/no/off."""
        text = self.str(name, None if default is None else ("1" if default else "0")).lower()
        if text not in _TRUE | _FALSE:
            raise self._error(name, "must be true or false")
        return text in _TRUE

    def secret(self, name: Text, default: Text | None = None) -> Text:
        """Reads a secret from the variable, or from the file that `{name}_FILE` names. Its value never enters a message."""
        self._read.add(f"{name}_FILE")
        if value := self.str(name, ""):
            secrecy.remember(value)
            return value
        file_name = self.environ.get(f"{self._prefix}{name}_FILE", "").strip()
        if file_name:
            try:
                value = Path(file_name).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise self._error(f"{name}_FILE", f"names a file that cannot be read ({type(error).__name__})") from error
            secrecy.remember(value)
            return value
        if default is None:
            raise self._error(name, f"is not set (nor {self._prefix}{name}_FILE)")
        return default

    def path(self, name: Text, default: Path | None = None) -> Path:
        """Reads a path and makes it absolute."""
        return Path(self.str(name, None if default is None else str(default))).expanduser().absolute()

    def refuse_unknown(self, service: Text = "") -> None:
        """Raises ConfigurationError when a variable with our prefix was neither read nor is known to belong to another program.

        Call it after all settings were read; `service` is the name of this service, whose own group of names is then checked too.
        """
        own = f"{service.upper()}_"
        for variable in sorted(self.environ):
            name = variable.removeprefix(self._prefix)
            if name == variable or name in self._read or name in SHARED_NAMES:
                continue
            if name.startswith(_OWNERS) and not (service and name.startswith(own)):
                continue
            close = difflib.get_close_matches(name, self._read | SHARED_NAMES, n=1)
            hint = f"; did you mean {self._prefix}{close[0]}?" if close else ""
            raise self._error(name, f"is not a setting{hint}")

    def _number(self, name: Text, default: Number | None, bounds: tuple[Number | None, Number | None], kind: Callable[[Text], Number]) -> Number:
        words = "a whole number" if kind is Whole else "a number"
        text = self.str(name, None if default is None else repr(default))
        try:
            value = kind(text)
        except ValueError as error:
            raise self._error(name, f"must be {words}") from error
        low, high = bounds
        if (low is not None and value < low) or (high is not None and value > high) or not math.isfinite(value):
            raise self._error(name, f"must be {words} from {'any' if low is None else low} to {'any' if high is None else high}")
        return value

    def _error(self, name: Text, problem: Text) -> ConfigurationError:
        variable = self._prefix + name
        return ConfigurationError(f"{variable} {problem}", metadata={"setting": variable})


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """How to reach NATS, and who we are there."""

    url: str = "nats://127.0.0.1:4222"
    """`TRANSLOAD_NATS_URL` or the file that `_FILE` names: one address or several with commas; credentials may stand in it, so it is never logged."""
    replicas: int = 1
    """`TRANSLOAD_NATS_REPLICAS`: copies of each stream, 1, 3 or 5; more than 1 needs a cluster of that many servers."""
    key: NKey | None = None
    """`TRANSLOAD_NATS_NKEY_SEED` or the file that `_FILE` names: the seed of our key, `SU...`; unset: NATS asks for none."""
    ca_file: Path | None = None
    """`TRANSLOAD_NATS_TLS_CA_FILE`: the authorities that vouch for the servers, in PEM; unset: without TLS."""

    @classmethod
    def from_env(cls, reader: EnvReader) -> Self:
        """Reads the group."""
        url = reader.secret("NATS_URL", "nats://127.0.0.1:4222")
        secrecy.remember_credentials(url)
        ca_file = reader.str("NATS_TLS_CA_FILE", "")
        return cls(
            url=url,
            replicas=reader.int("NATS_REPLICAS", 1, minimum=1, maximum=5),
            key=cls._key(reader.secret("NATS_NKEY_SEED", "")),
            ca_file=Path(ca_file).expanduser().absolute() if ca_file else None,
        )

    @staticmethod
    def _key(seed: Text) -> NKey | None:
        try:
            return NKey.from_seed(seed) if seed else None
        except KeyFormatError as error:
            raise ConfigurationError(f"{PREFIX}NATS_NKEY_SEED {error}", metadata={"setting": PREFIX + "NATS_NKEY_SEED"}) from error


@dataclass(frozen=True, slots=True)
class SecuritySettings:
    """Who may call us and how we call others; without any of it the service is open, which it may be on this machine only."""

    tls: TlsFiles | None = None
    """`TRANSLOAD_TLS_CERT_FILE`, `TRANSLOAD_TLS_KEY_FILE`, `TRANSLOAD_TLS_CA_FILE`: our certificate as server and as client, and the authorities
    that both sides are checked by; all three or none."""
    wants_client_certificates: bool = True
    """`TRANSLOAD_TLS_CLIENT_CERTS`: `required` (default) or `none`."""
    access_file: Path | None = None
    """`TRANSLOAD_ACCESS_FILE`: callers and their roles; unset: everybody may do everything."""
    allows_open: bool = False
    """`TRANSLOAD_ALLOW_OPEN`: listen beyond this machine without access control or TLS, and send tokens without TLS."""
    shows_contracts: bool = True
    """`TRANSLOAD_REFLECTION`: answer gRPC reflection; where callers have roles, from `viewer` on."""
    peers: ChannelSecurity = PLAIN
    """How we call the other services; the token is `TRANSLOAD_SERVICE_TOKEN` or `TRANSLOAD_SERVICE_TOKEN_FILE`."""

    @classmethod
    def from_env(cls, reader: EnvReader) -> Self:
        """Reads the group."""
        given = {
            "TLS_CERT_FILE": reader.str("TLS_CERT_FILE", ""),
            "TLS_KEY_FILE": reader.str("TLS_KEY_FILE", ""),
            "TLS_CA_FILE": reader.str("TLS_CA_FILE", ""),
        }
        if any(given.values()) and not all(given.values()):
            missing = ", ".join(PREFIX + name for name, value in given.items() if not value)
            raise ConfigurationError(f"{missing} is not set: certificate, key and authorities belong together", metadata={"setting": missing})
        wanted = reader.str("TLS_CLIENT_CERTS", "required").lower()
        if wanted not in {"required", "none"}:
            # gRPC for Python either requires a certificate or does not look at it.
            raise ConfigurationError(
                "TRANSLOAD_TLS_CLIENT_CERTS must be required or none; gRPC knows no certificate that a client may leave out",
                metadata={"setting": "TRANSLOAD_TLS_CLIENT_CERTS"},
            )
        access_file = reader.str("ACCESS_FILE", "")
        allows_open = reader.bool("ALLOW_OPEN", default=False)
        reader.secret("SERVICE_TOKEN", "")
        try:
            peers = ChannelSecurity.from_env(reader.environ, token_name=PREFIX + "SERVICE_TOKEN")
        except SecurityError as error:
            raise ConfigurationError(str(error), metadata={"setting": PREFIX + "SERVICE_TOKEN"}) from error
        return cls(
            tls=peers.tls,
            wants_client_certificates=wanted == "required",
            access_file=Path(access_file).expanduser().absolute() if access_file else None,
            allows_open=allows_open,
            shows_contracts=reader.bool("REFLECTION", default=True),
            peers=peers,
        )

    def check(self, listen: Text) -> None:
        """Raises ConfigurationError when `listen` would open the service to others than this machine."""
        if self.allows_open or is_loopback(listen):
            return
        missing = [name for name, value in (("TRANSLOAD_ACCESS_FILE", self.access_file), ("TRANSLOAD_TLS_CERT_FILE", self.tls)) if value is None]
        if missing:
            raise ConfigurationError(
                f"TRANSLOAD_GRPC_LISTEN: {listen} can be reached from other machines, and {' and '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} not set: set it, listen on 127.0.0.1, or set TRANSLOAD_ALLOW_OPEN=1 where the network"
                " itself keeps strangers out",
                metadata={"setting": "TRANSLOAD_GRPC_LISTEN"},
            )


OPEN: Final = SecuritySettings()
"""For this machine alone."""


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """Where the service listens, and to whom."""

    listen: str = "127.0.0.1:0"
    """`TRANSLOAD_GRPC_LISTEN`: host:port; port 0 takes a free one."""
    address_file: Path | None = None
    """`TRANSLOAD_ADDRESS_FILE`: the bound host:port is written here once the service listens; unset: nowhere."""
    drain_seconds: float = 10.0
    """`TRANSLOAD_DRAIN_SECONDS`: how long running calls and messages may take to end on stop, 0 to 600; below the pod's termination time."""
    health_listen: str = ""
    """`TRANSLOAD_HEALTH_LISTEN`: host:port that answers gRPC health and nothing else, without TLS, for probes that know none; empty: nowhere."""
    security: SecuritySettings = OPEN
    """Who may call."""

    @classmethod
    def from_env(cls, reader: EnvReader) -> Self:
        """Reads the group."""
        file_name = reader.str("ADDRESS_FILE", "")
        security = SecuritySettings.from_env(reader)
        listen = reader.str("GRPC_LISTEN", "127.0.0.1:0")
        security.check(listen)
        return cls(
            listen=listen,
            address_file=Path(file_name) if file_name else None,
            drain_seconds=reader.float("DRAIN_SECONDS", 10.0, minimum=0, maximum=600),
            health_listen=reader.str("HEALTH_LISTEN", ""),
            security=security,
        )


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Who we are in traces, metrics and logs. The collector's address is OpenTelemetry's own `OTEL_EXPORTER_OTLP_ENDPOINT`."""

    replica: str = "local"
    """`TRANSLOAD_REPLICA`: name of this process, unique among replicas and the same after a restart."""
    log_level: str = "INFO"
    """`TRANSLOAD_LOG_LEVEL`: DEBUG, INFO, WARNING or ERROR."""

    @classmethod
    def from_env(cls, reader: EnvReader) -> Self:
        """Reads the group."""
        level = reader.str("LOG_LEVEL", "INFO").upper()
        if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ConfigurationError("TRANSLOAD_LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR", metadata={"setting": "TRANSLOAD_LOG_LEVEL"})
        # `telemetry` looks at it where it looks at OpenTelemetry's own variables; read here, it is a setting that is known.
        reader.str("METRICS_LISTEN", "")
        return cls(replica=reader.str("REPLICA", "local"), log_level=level)


@dataclass(frozen=True, slots=True)
class StagingSettings:
    """Where pages and files are kept."""

    url: str
    """`TRANSLOAD_STAGING_URL`: file:///..., s3://bucket/prefix, gs://..., az://...; default: `staging/` in `TRANSLOAD_DATA_DIR`."""

    @classmethod
    def from_env(cls, reader: EnvReader) -> Self:
        """Reads the group."""
        folder = reader.path("DATA_DIR", Path(".transload")) / "staging"
        return cls(url=reader.str("STAGING_URL", folder.as_uri()))
