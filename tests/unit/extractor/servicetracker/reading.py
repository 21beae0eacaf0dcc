"""A connector on an org in this process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from services.common.connections import Connection
from services.extractor.connector import START, ConnectorContext, ReadScope
from services.extractor.connectors.servicetracker.connector import ServiceTracker
from services.extractor.http import GetOnlyTransport
from tests.contract.connectors.recording import CountingGate, MemoryFrozen
from tests.fixtures.servicetracker.org import PARTS, URL, Org
from tests.fixtures.stel_order.world import LeapingClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from services.extractor.connector import Cursor, RawRecord, SourcePage

ALL = ReadScope(includes_archived=True, includes_deleted=True)


@dataclass
class Reading:
    """A connector and what stands around it."""

    org: Org
    connector: ServiceTracker
    gate: CountingGate
    frozen: MemoryFrozen = field(default_factory=MemoryFrozen)

    async def pages(self, entity: str, cursor: Cursor = START, scope: ReadScope = ALL) -> list[SourcePage]:
        """Read an entity to its end."""
        return [page async for page in self.connector.read(entity, cursor, scope)]

    async def rows(self, entity: str, scope: ReadScope = ALL) -> list[RawRecord]:
        """Read the records of an entity."""
        return [record for page in await self.pages(entity, scope=scope) for record in page.records]

    async def freeze(self, *entities: str) -> None:
        """Read entities and keep their pages, as an extraction does."""
        for entity in entities:
            for page in await self.pages(entity):
                self.frozen.freeze(entity, [envelope(record) for record in page.records])


def envelope(record: RawRecord) -> dict[str, Any]:
    """Return a record as a page holds it."""
    found = {"id": record.source_id, "is_deleted": record.is_deleted, "is_archived": record.is_archived, "data": record.data}
    plain: dict[str, Any] = orjson.loads(orjson.dumps(found | {"references": record.references}))
    return plain


@asynccontextmanager
async def reading(
    org: Org, *, parts: Mapping[str, str] | None = None, url: str = URL, frozen: MemoryFrozen | None = None, **options: Any
) -> AsyncIterator[Reading]:
    """Open a connector on an org."""

    def client(headers: Mapping[str, str], *, follow_redirects: bool = False, platform: str = "") -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=GetOnlyTransport(org.transport, platform), headers=dict(headers), follow_redirects=follow_redirects)

    gate, kept = CountingGate(), frozen or MemoryFrozen()
    connection = Connection("source", url, "", parts or PARTS)
    async with ServiceTracker.connect(ConnectorContext(connection, options, gate, kept, LeapingClock(), client)) as connector:
        yield Reading(org, connector, gate, kept)
