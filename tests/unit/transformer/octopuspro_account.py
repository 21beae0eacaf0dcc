"""A generated OctopusPro bundle, read by its connector into a snapshot in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import orjson

from sandbox.bundles.writer import BundleWriter
from sandbox.octopuspro.account import Tenant
from sandbox.octopuspro.generator import generate
from sandbox.octopuspro.writing import write_bundle
from services.common.connections import Connection
from services.extractor.connector import START, ConnectorContext, ReadScope
from services.extractor.connectors.octopuspro.connector import OctopusPro
from services.transformer.mapping.reading import connector_mapping_text
from services.transformer.plan import MappingPlan
from services.transformer.propose import propose
from services.transformer.snapshot.envelope import Envelope
from tests.fakes.clock import FakeClock
from tests.fixtures.bundle.toy import EVERYTHING, Frozen, NoGate
from tests.unit.transformer.support import Snapshot, plan_of

EMAILS = ("lucia.garcia@example.com", "mateo.ruiz@example.com", "ines.soto@example.com", "tomas.vega@example.com")
TARGET = {"users": [{"id": number, "email": email, "active_flag": True} for number, email in enumerate(EMAILS, start=1)], "fields": {}, "caps": {}}


class BundleSnapshot(Snapshot):
    """The records of a bundle."""

    def __init__(self, records: Mapping[str, Sequence[Envelope]]) -> None:
        super().__init__()
        self._records = {entity: {one.id: one for one in rows} for entity, rows in records.items()}

    def children(self, entity: str | Sequence[str], field_name: str, parent_id: str) -> list[Envelope]:
        names = [entity] if isinstance(entity, str) else list(entity)
        return [one for name in names for one in self._records.get(name, {}).values() if str(one.data.get(field_name)) == parent_id]

    def all(self, *entities: str) -> list[Envelope]:
        """Return the records of entities."""
        return [one for entity in entities for one in self.iterate(entity)]


def write(folder: Path, *, tenant: Tenant | None = None, size: int = 14, is_xlsx: bool = False, is_zip: bool = False) -> Path:
    """Write a bundle without the large file."""
    account = generate(1, size, tenant=tenant, has_large_file=False)
    return write_bundle(account, BundleWriter(folder / "bundle", is_zip=is_zip, is_xlsx=is_xlsx))


def read(place: Path) -> BundleSnapshot:
    """Read a bundle."""
    return asyncio.run(_read(place))


async def _read(place: Path) -> BundleSnapshot:
    def no_client(headers: Mapping[str, str], *, follow_redirects: bool = False, platform: str = "") -> httpx.AsyncClient:
        raise AssertionError("a bundle needs no network")

    found: dict[str, list[Envelope]] = {}
    context = ConnectorContext(Connection("source", str(place)), {}, NoGate(), Frozen(), FakeClock(), no_client)
    scope: ReadScope = EVERYTHING
    async with OctopusPro.connect(context) as connector:
        for entity in await connector.list_entities():
            rows = found.setdefault(entity.name, [])
            async for page in connector.read(entity.name, START, scope):
                for one in page.records:
                    data = orjson.loads(orjson.dumps(dict(one.data)))
                    if entity.has_files:
                        data["file"] = {
                            "name": data["file_name"],
                            "byte_count": data.get("size", 1),
                            "content_type": "image/jpeg",
                            "digest": "ab" * 32,
                        }
                    rows.append(Envelope(entity.name, one.source_id, data, one.is_deleted, one.is_archived, 1, len(rows)))
    return BundleSnapshot(found)


def proposal(snapshot: BundleSnapshot, overrides: str = "") -> str:
    """Propose the mapping of an account."""
    return propose(connector_mapping_text("octopuspro"), snapshot, TARGET, overrides)


def plan(snapshot: BundleSnapshot, overrides: str = "") -> MappingPlan:
    """Compile it."""
    return plan_of(proposal(snapshot, overrides))
