"""How a caller opens a channel: TLS with the certificates of files, and who it is by client certificate or bearer token.

Secrets come from the environment or from files, never from arguments, which every process of the machine can read.
Files are read again when they change.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import grpc
from grpc import aio

from transload.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

SYSTEM_ROOTS: Final = "system"
"""Value of `TRANSLOAD_TLS_CA_FILE` for the authorities the world trusts, as gRPC ships them."""
AUTHORIZATION: Final = "authorization"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})

Call = TypeVar("Call")


class SecurityError(Exception):
    """Certificates, keys or tokens cannot be used, or would be given away. The message names the file or setting, never what is in it."""


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What the files hold, in PEM."""

    ca: bytes | None
    certificate: bytes | None = None
    key: bytes | None = None

    def __repr__(self) -> str:
        """Says nothing of the key."""
        return f"TlsMaterial(certificate={self.certificate is not None})"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificates are.

    Attributes:
        ca: the authorities that are trusted; None: those the world trusts.
        certificate: our own, with what links it to its authority after it.
        key: its private key.
    """

    ca: Path | None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files there are."""
        return tuple(path for path in (self.ca, self.certificate, self.key) if path is not None)

    def read(self) -> TlsMaterial:
        """Reads the files and checks that they are what they should be and belong together.

        Raises:
            SecurityError: a file cannot be read, holds something else, or the key is not that of the certificate.
        """
        material = TlsMaterial(*(_read(path) if path is not None else None for path in (self.ca, self.certificate, self.key)))
        self._check(material)
        return material

    def _check(self, material: TlsMaterial) -> None:
        # Takes 30 ms to import, which callers without TLS need not pay.
        from cryptography import x509  # noqa: PLC0415
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

        if material.ca is not None:
            try:
                x509.load_pem_x509_certificates(material.ca)
            except ValueError as error:
                raise SecurityError(f"{self.ca} holds no certificates in PEM") from error
        if (material.certificate is None) != (material.key is None):
            raise SecurityError("certificate and private key belong together: set TRANSLOAD_TLS_CERT_FILE and TRANSLOAD_TLS_KEY_FILE, or neither")
        if material.certificate is None or material.key is None:
            return
        try:
            certificate = x509.load_pem_x509_certificates(material.certificate)[0]
        except ValueError as error:
            raise SecurityError(f"{self.certificate} holds no certificate in PEM") from error
        try:
            key = serialization.load_pem_private_key(material.key, password=None)
        except (ValueError, TypeError) as error:
            raise SecurityError(f"{self.key} holds no private key in PEM without a password") from error
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        if certificate.public_key().public_bytes(encoding, form) != key.public_key().public_bytes(encoding, form):
            raise SecurityError(f"the private key in {self.key} does not belong to the certificate in {self.certificate}")


@dataclass(frozen=True, slots=True)
class ChannelSecurity:
    """What a channel is opened with.

    Attributes:
        tls: None: without TLS.
        token: answers the bearer token in force; None: none is sent.
        allows_clear_token: the token may leave this machine without TLS.
    """

    tls: TlsFiles | None = None
    token: Callable[[], str] | None = None
    allows_clear_token: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, token_name: str = "TRANSLOAD_TOKEN") -> Self:  # noqa: S107 - the name of a setting
        """Reads `TRANSLOAD_TLS_{CA,CERT,KEY}_FILE`, the token by `token_name` or `{token_name}_FILE`, and `TRANSLOAD_ALLOW_OPEN`.

        Raises:
            SecurityError: a file cannot be used.
        """
        ca, certificate, key = (environ.get(f"TRANSLOAD_TLS_{part}_FILE", "").strip() for part in ("CA", "CERT", "KEY"))
        tls = None
        if ca or certificate or key:
            tls = TlsFiles(_path(ca) if ca != SYSTEM_ROOTS else None, _path(certificate), _path(key))
            tls.read()
        return cls(tls, _token(environ, token_name), environ.get("TRANSLOAD_ALLOW_OPEN", "").strip().lower() in _TRUE)

    def check(self, address: str) -> None:
        """Raises SecurityError when the token would leave this machine readable for everyone on the way."""
        if self.token is not None and self.tls is None and not self.allows_clear_token and not is_loopback(address):
            raise SecurityError(
                f"the token is not sent to {address} without TLS, where anyone on the way could read it: set TRANSLOAD_TLS_CA_FILE,"
                " or TRANSLOAD_ALLOW_OPEN=1 where something else encrypts the way"
            )

    def headers(self) -> list[tuple[str, str]]:
        """Answers the metadata that says who calls."""
        return [(AUTHORIZATION, f"Bearer {self.token()}")] if self.token is not None else []

    def channel(self, address: str, *, options: Sequence[tuple[str, Any]] = ()) -> aio.Channel:
        """Opens a channel to `host:port` with what the files hold now; the token is read at each call. Close it after use.

        Raises:
            SecurityError: a file cannot be used, or the token would be given away.
        """
        self.check(address)
        extra: dict[str, Any] = {"interceptors": [_UnaryToken(self), _StreamToken(self)]} if self.token is not None else {}
        if self.tls is None:
            return aio.insecure_channel(address, options=list(options), **extra)
        return aio.secure_channel(address, credentials(self.tls.read()), options=list(options), **extra)


PLAIN: Final = ChannelSecurity()
"""Without TLS and token, as on one machine."""


def credentials(material: TlsMaterial) -> grpc.ChannelCredentials:
    """Answers what gRPC wants for a client."""
    return grpc.ssl_channel_credentials(material.ca, material.key, material.certificate)


def is_loopback(address: str) -> bool:
    """Whether `host:port` can only be reached from this machine."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _path(name: str) -> Path | None:
    return Path(name).expanduser().absolute() if name else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SecurityError(f"{path} cannot be read: {error.strerror or type(error).__name__}") from error


def _token(environ: Mapping[str, str], name: str) -> Callable[[], str] | None:
    if value := environ.get(name, "").strip():
        _check_token(value, name)
        return lambda: value
    if not (file_name := environ.get(f"{name}_FILE", "").strip()):
        return None
    path = Path(file_name).expanduser().absolute()

    def load() -> str:
        text = _read(path).decode("utf-8", "replace").strip()
        _check_token(text, str(path))
        return text

    return Watched((path,), load).current


def _check_token(value: str, where: str) -> None:
    # Metadata takes visible ASCII only; what else is in it would be told as a bug of ours, with the token in the text.
    if not value or not all("!" <= character <= "~" for character in value):
        raise SecurityError(f"{where} holds no token: visible ASCII characters without blanks are expected")


class _TokenInterceptor:
    def __init__(self, security: ChannelSecurity) -> None:
        self._security = security

    def _with_token(self, details: aio.ClientCallDetails) -> aio.ClientCallDetails:
        metadata = aio.Metadata(*_pairs(details.metadata), *self._security.headers())
        return aio.ClientCallDetails(
            method=details.method,
            timeout=details.timeout,
            metadata=metadata,
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )


class _UnaryToken(_TokenInterceptor, aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_unary(self, continuation: Any, client_call_details: aio.ClientCallDetails, request: Any) -> Any:
        """Adds the token to a call."""
        return await continuation(self._with_token(client_call_details), request)


class _StreamToken(_TokenInterceptor, aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_stream(self, continuation: Any, client_call_details: aio.ClientCallDetails, request: Any) -> Any:
        """Adds the token to a stream."""
        return await continuation(self._with_token(client_call_details), request)


def _pairs(metadata: Any) -> Iterator[tuple[str, str | bytes]]:
    for pair in metadata or ():
        key, value = pair
        yield key, value
