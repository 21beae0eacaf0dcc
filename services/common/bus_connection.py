"""The connection to NATS: who we are, TLS, and coming back whatever ended it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from typing import TYPE_CHECKING, Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.common import telemetry
from services.common.backoff import Backoff
from services.common.errors import ConfigurationError

if TYPE_CHECKING:
    from services.common.bus_users import BusUser
    from services.common.clock import Clock
    from services.common.jetstream import Bus
    from services.common.settings import NatsSettings

_LOG = telemetry.get_logger(__name__)

CONNECT_TIMEOUT_SECONDS: Final = 2
RECONNECT_WAIT_SECONDS: Final = 0.25
# A dead peer behind a live address is noticed after two missed pings.
PING_INTERVAL_SECONDS: Final = 10
DRAIN_SECONDS: Final = 5
COMPLAINT_SECONDS: Final = 30.0
"""While no server takes us, people are told this often of each trouble."""
OUTAGES: Final = (NatsError, asyncio.TimeoutError, OSError, EOFError)
"""What the client raises when the servers or the way to them are at fault."""
# The client gives these no class of their own.
_PERMISSIONS: Final = "permissions violation"
_AUTHORIZATION: Final = "authorization violation"


class Connection:
    """Opens a connection that comes back by itself, and another one when it does not.

    The client gives up for good when a server sends it away, as it does when its key was withdrawn: once that is put right, work shall go on.
    """

    def __init__(self, settings: NatsSettings, user: BusUser, clock: Clock) -> None:
        self._settings = settings
        self._user = user
        self._clock = clock
        self._tls = _tls_context(settings)
        self._client: Client | None = None
        self._was_closed = asyncio.Event()
        self._complained_times: dict[str, float] = {}

    async def open(self) -> Client:
        """Answers a connected client, however long it takes."""
        backoff = Backoff(0.2, 2.0)
        attempt = 0
        while True:
            attempt += 1
            client = Client()
            try:
                await client.connect(**self._options(client))
            except OUTAGES as error:
                _LOG.warning("nats.not_connected", problem=type(error).__name__, attempt=attempt)
            except BaseException:
                await _discard(client)
                raise
            else:
                self._client = client
                return client
            await _discard(client)
            await self._clock.sleep(backoff.delay_seconds(attempt))

    async def keep(self, bus: Bus) -> None:
        """Gives the bus a new client whenever the one before gave up, until cancelled."""
        while True:
            await self._was_closed.wait()
            self._was_closed.clear()
            _LOG.warning("nats.closed", problem="a server sent us away")
            bus.use(await self.open())
            _LOG.info("nats.reconnected")

    async def drain(self, client: Client) -> None:
        """Sends what is on its way and closes."""
        try:
            if client.is_connected:
                await client.drain()
            else:
                await client.close()
        except OUTAGES as error:
            _LOG.warning("nats.not_drained", problem=type(error).__name__)

    def _options(self, client: Client) -> dict[str, Any]:
        async def on_disconnected() -> None:
            if not (client.is_closed or client.is_draining):
                _LOG.warning("nats.disconnected")

        async def on_closed() -> None:
            if client is self._client:  # not one that never was of use, which we close ourselves
                self._was_closed.set()

        addresses = self._settings.url.split(",")
        options: dict[str, Any] = {
            # In an order of our own, which the client keeps: it comes back to the server it left when it has tried all others.
            "servers": random.SystemRandom().sample(addresses, len(addresses)),
            "dont_randomize": True,
            "name": self._user.name,
            "inbox_prefix": self._user.inbox,
            "allow_reconnect": True,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": RECONNECT_WAIT_SECONDS,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "ping_interval": PING_INTERVAL_SECONDS,
            "drain_timeout": DRAIN_SECONDS,
            "error_cb": self._on_error,
            "disconnected_cb": on_disconnected,
            "reconnected_cb": _on_reconnected,
            "closed_cb": on_closed,
        }
        if self._settings.key is not None:
            # The client's own way to read seeds needs two more packages.
            client._public_nkey = self._settings.key.public  # noqa: SLF001
            options["signature_cb"] = self._settings.key.sign
        if self._tls is not None:
            # Encrypted from the first byte: a server, or somebody in its place, that offers no TLS is told nothing.
            options |= {"tls": self._tls, "tls_handshake_first": True}
        return options

    async def _on_error(self, error: Exception) -> None:
        if _PERMISSIONS in str(error).lower():
            # Names the subject, which holds no data of anybody.
            _LOG.error("nats.refused", problem=str(error))
            return
        is_ours = _AUTHORIZATION in str(error).lower()
        problem = "NATS does not know our key (TRANSLOAD_NATS_NKEY_SEED)" if is_ours else type(error).__name__
        now = self._clock.monotonic()
        if now - self._complained_times.get(problem, float("-inf")) >= COMPLAINT_SECONDS:
            self._complained_times[problem] = now
            _LOG.warning("nats.error", problem=problem)


def _tls_context(settings: NatsSettings) -> ssl.SSLContext | None:
    if settings.ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except OSError as error:
        name = "TRANSLOAD_NATS_TLS_CA_FILE"
        raise ConfigurationError(f"{name}: {settings.ca_file} cannot be used ({type(error).__name__})", metadata={"setting": name}) from error


async def _discard(client: Client) -> None:
    """Closes what never was of use. A client whose address was wrong has not even begun, and says so by an assertion."""
    with contextlib.suppress(AssertionError, *OUTAGES):
        await client.close()


async def _on_reconnected() -> None:
    _LOG.info("nats.reconnected")
