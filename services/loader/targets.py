"""The clients of this process, one per target connection, made when first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.loader.pipedrive.client import PipedriveClient
from services.loader.quota.client import QuotaClient

if TYPE_CHECKING:
    from services.common.clock import Clock
    from services.common.connections import Connection, Connections
    from services.loader.pipedrive.http import Http
    from services.loader.quota.client import Source

# A corrected key is taken up after at most so long; reading it for every call would read two files each time.
_CONNECTION_SECONDS: Final = 1.0


class Targets:
    """Finds the client of a connection."""

    def __init__(self, *, http: Http, connections: Connections, source: Source, clock: Clock) -> None:
        self._http = http
        self._connections = connections
        self._source = source
        self._clock = clock
        self._clients: dict[str, PipedriveClient] = {}
        self._quotas: list[QuotaClient] = []

    def client(self, name: str) -> PipedriveClient:
        """Answers the client of a connection.

        Raises:
            ConfigurationError: the connection has no URL or key.
        """
        client = self._clients.get(name)
        if client is None:
            connection = _Cached(self._connections, name, self._clock)
            connection()
            quota = QuotaClient(connection=name, source=self._source, clock=self._clock)
            self._quotas.append(quota)
            client = self._clients[name] = PipedriveClient(http=self._http, connection=connection, quota=quota, clock=self._clock)
        return client

    async def aclose(self) -> None:
        """Stops waiting for leases."""
        for quota in self._quotas:
            await quota.aclose()


class _Cached:
    """A connection read again once a second."""

    def __init__(self, connections: Connections, name: str, clock: Clock) -> None:
        self._connections = connections
        self._name = name
        self._clock = clock
        self._read_at = float("-inf")
        self._connection: Connection | None = None

    def __call__(self) -> Connection:
        now = self._clock.monotonic()
        if self._connection is None or now - self._read_at >= _CONNECTION_SECONDS:
            self._connection = self._connections.get(self._name)
            self._read_at = now
        return self._connection
