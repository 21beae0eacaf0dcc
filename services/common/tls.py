"""TLS of our servers and channels, with certificates that may change while we run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

import grpc
from grpc import aio

from services.common import telemetry
from services.common.errors import ConfigurationError
from transload.security import ChannelSecurity, SecurityError, TlsFiles, TlsMaterial, credentials
from transload.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_LOG = telemetry.get_logger(__name__)

# A certificate is only looked at when a connection begins, so connections end after a while: calls in hand finish, later ones open another.
MAX_CONNECTION_AGE: Final[tuple[tuple[str, Any], ...]] = (("grpc.max_connection_age_ms", 30 * 60 * 1000),)
# Long enough for every call; streams that watch are opened again by their callers.
OLD_CHANNEL_GRACE_SECONDS: Final = 600.0


def server_credentials(files: TlsFiles, *, wants_client_certificates: bool) -> grpc.ServerCredentials:
    """Answers what a server listens with. Every new connection gets what the files hold then; what is broken leaves the last good in force.

    Raises:
        ConfigurationError: the files cannot be used now, or no authority is named though clients must show a certificate.
    """
    if wants_client_certificates and files.ca is None:
        raise ConfigurationError(
            "TRANSLOAD_TLS_CA_FILE: the authorities that may vouch for callers must be named in a file", metadata={"setting": "TRANSLOAD_TLS_CA_FILE"}
        )
    watched = _watched(files, "server")
    known = watched.current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal known
        material = watched.current()
        if material is known:
            return None
        known = material
        return _configuration(material)

    return grpc.dynamic_ssl_server_credentials(_configuration(known), fetch, wants_client_certificates)  # type: ignore[arg-type]  # None: no change


def _configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    pair = (material.key or b"", material.certificate or b"")
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=material.ca)


class PeerChannels:
    """A channel to one address that is opened anew when certificates change: gRPC reads those of a client only once.

    Use `async with`.
    """

    def __init__(self, address: str, files: TlsFiles, options: Sequence[tuple[str, Any]]) -> None:
        """Prepares. Raises ConfigurationError when the files cannot be used."""
        self._address = address
        self._options = list(options)
        self._watched = _watched(files, "client")
        self._material = self._watched.current()
        self._channel: aio.Channel | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._channel = self._open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close(None)

    def current(self) -> aio.Channel:
        """Answers the channel with the certificates of now; calls on the one before end in peace."""
        material = self._watched.current()
        if self._channel is None or material is not self._material:
            old, self._material = self._channel, material
            self._channel = self._open()
            if old is not None:
                closing = asyncio.get_running_loop().create_task(_close(old))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
        return self._channel

    def _open(self) -> aio.Channel:
        # Channels to one address share connections unless told otherwise: the new one would go on with the old certificate.
        return aio.secure_channel(self._address, credentials(self._material), options=[*self._options, ("grpc.use_local_subchannel_pool", 1)])


async def _close(channel: aio.Channel) -> None:
    try:
        await channel.close(OLD_CHANNEL_GRACE_SECONDS)
    except asyncio.CancelledError:
        await channel.close(None)
        raise


def check_token_way(security: ChannelSecurity, address: str) -> None:
    """Raises ConfigurationError when our token would travel readable."""
    try:
        security.check(address)
    except SecurityError as error:
        raise ConfigurationError(str(error), metadata={"setting": "TRANSLOAD_SERVICE_TOKEN"}) from error


def _watched(files: TlsFiles, side: str) -> Watched[TlsMaterial]:
    try:
        return Watched(
            files.paths,
            files.read,
            on_broken=lambda error: _LOG.error("tls.files_broken", side=side, problem=str(error), effect="the certificates read last stay in force"),
            on_changed=lambda: _LOG.info("tls.files_read", side=side),
        )
    except SecurityError as error:
        raise ConfigurationError(str(error), metadata={"setting": "TRANSLOAD_TLS_CERT_FILE"}) from error
