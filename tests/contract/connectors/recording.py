"""What the suite needs of a connector's source: content that is known, and seams to change it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import orjson

from services.common.connections import Connection
from services.extractor.connector import CallGate, Connector, ConnectorContext, FrozenPage, Refusal
from services.extractor.http import GetOnlyTransport
from services.extractor.registry import CONNECTORS
from tests.fixtures.stel_order.world import LeapingClock

HOSTILE_NAMES = (
    "Robert'); DROP TABLE clients;--",
    '<script>alert("x")</script>',
    "Ñandú & Søn's \u202eevil\u202c 株式会社 شركة 👩‍👩‍👧",
    "null",
    " leading, trailing and\ttabs ",
    "n" * 300,
    "",
)


@dataclass
class CountingGate:
    """Lets everything through and counts."""

    call_count: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    outages: list[str] = field(default_factory=list)

    async def enter(self) -> None:
        self.call_count += 1

    async def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    async def outage(self, attempt: int, problem: str) -> None:
        self.outages.append(problem)
        assert attempt < 20, "the connector would repeat for ever"


@dataclass
class MemoryFrozen:
    """Pages frozen so far, in this extraction and in those before."""

    pages: list[tuple[int, str, FrozenPage]] = field(default_factory=list)
    extraction: int = 1

    def freeze(self, entity: str, envelopes: list[dict[str, Any]]) -> None:
        self.pages.append((self.extraction, entity, FrozenPage(len(self.pages) + 1, orjson.loads(orjson.dumps(envelopes)))))

    async def read(self, entity: str, *, from_sequence: int = 0, of_all_extractions: bool = False) -> AsyncIterator[FrozenPage]:
        for extraction, name, page in list(self.pages):
            if name == entity and page.sequence >= from_sequence and (of_all_extractions or extraction == self.extraction):
                yield page


class Recorder(httpx.AsyncBaseTransport):
    """Notes what is sent, and when on the clock."""

    def __init__(self, inner: httpx.AsyncBaseTransport, recording: Recording) -> None:
        self._inner = inner
        self._recording = recording

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._recording.requests.append(request)
        self._recording.times.append(self._recording.clock.now())
        response = await self._inner.handle_async_request(request)
        response.request = request
        return response


@dataclass
class Recording:
    """A source with content, and the seams the suite needs."""

    connector: str
    expected_ids: Mapping[str, set[str]]
    """By entity; entities not named are expected empty."""
    base_url: str
    http_transport: httpx.AsyncBaseTransport | None = None
    """None: nothing is called, the source is a folder."""
    key: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the connection holds besides; the part that the key stands for is empty."""
    options: Mapping[str, Any] = field(default_factory=dict)
    paged_entity: str = ""
    """An entity with more than one page; it holds the `HOSTILE_NAMES`."""
    has_small_pages: bool = False
    """Pages hold fewer rows than the source's own do, so what reading costs is not what is planned."""
    reading_calls: frozenset[str] = frozenset()
    """Calls that are no GET and only read: method and path."""
    uncertain: frozenset[str] = frozenset()
    """Entities whose ids are not known beforehand."""
    always: frozenset[str] = frozenset()
    """Entities that an empty account holds too."""
    repeat_first_page: Callable[[], None] | None = None
    """Makes the source give its first page for ever."""
    disturb: Callable[[], set[str]] | None = None
    """Lets people change the paged entity while it is read; answers the ids that are gone and those that are new."""
    is_stopped_by_changes: bool = False
    """Reading ends with a refusal when the source is changed under it, as a file that is overwritten."""
    delete: Callable[[], str] | None = None
    """Deletes a record of the paged entity, so that a delta learns of it; answers its id."""
    clear: Callable[[], None] | None = None
    """Empties the account."""
    refuse: Callable[[], None] | None = None
    """Makes the source refuse the next call for a limit."""
    gate: CallGate = field(default_factory=CountingGate)
    frozen: MemoryFrozen = field(default_factory=MemoryFrozen)
    clock: LeapingClock = field(default_factory=LeapingClock)
    requests: list[httpx.Request] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Calls that passed the gate."""
        assert isinstance(self.gate, CountingGate)
        return self.gate.call_count

    def connect(self, key: str = "") -> AbstractAsyncContextManager[Connector]:
        """Open the connector, as a new process does."""
        given = key or self.key
        connection = Connection("source", self.base_url, given, {name: value or given for name, value in self.parts.items()})
        context = ConnectorContext(connection, self.options, self.gate, self.frozen, self.clock, self.client)
        return CONNECTORS[self.connector].connect(context)

    def client(self, headers: Mapping[str, str], *, follow_redirects: bool = False, platform: str = "") -> httpx.AsyncClient:
        """Make the client that the connector is given."""
        assert self.http_transport is not None, "nothing can be called here"
        transport = GetOnlyTransport(Recorder(self.http_transport, self), platform)
        return httpx.AsyncClient(transport=transport, headers=dict(headers), follow_redirects=follow_redirects)
