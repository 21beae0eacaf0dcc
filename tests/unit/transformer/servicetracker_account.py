"""A generated ServiceTracker org as the records its connector reads, and its mapping as the audit proposes it. No service runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from services.transformer.mapping.reading import connector_mapping_text, load_mapping
from services.transformer.names import NamedView, Names
from services.transformer.propose import propose
from services.transformer.snapshot.envelope import Envelope
from services.transformer.snapshot.link_fields import link_values
from tests.fixtures.servicetracker.org import Org, org
from tests.unit.extractor.servicetracker.reading import reading
from tests.unit.transformer.support import TARGET, Result, Snapshot, map_all, plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence


class OrgSnapshot(Snapshot):
    """The records of an org, with the references their pages name."""

    def __init__(self, made: Org, records: dict[str, list[dict[str, Any]]]) -> None:
        super().__init__()
        self.org = made
        self._links: dict[tuple[str, str, str], list[str]] = {}
        for entity, rows in records.items():
            self._records[entity] = {}
            for position, row in enumerate(rows):
                data = row["data"] | ({"file": row["file"]} if "file" in row else {})
                self._records[entity][row["id"]] = Envelope(entity, row["id"], data, row["is_deleted"], row["is_archived"], 1, position)
                for name, parent_id in link_values(data, row["references"]):
                    self._links.setdefault((entity, name, parent_id), []).append(row["id"])

    def children(self, entity: str | Sequence[str], field_name: str, parent_id: str) -> list[Envelope]:
        names = [entity] if isinstance(entity, str) else list(entity)
        return [self.one(name, one) for name in names for one in sorted(self._links.get((name, field_name, parent_id), []))]


def read_org(made: Org | None = None, **options: Any) -> OrgSnapshot:
    """Read an org through the connector."""
    return asyncio.run(_read(made or org(customers=8, is_clean=False), options))


async def _read(made: Org, options: dict[str, Any]) -> OrgSnapshot:
    found: dict[str, list[dict[str, Any]]] = {}
    async with reading(made, **options) as source:
        for entity in await source.connector.list_entities():
            await source.freeze(entity.name)
            rows = found.setdefault(entity.name, [])
            async for page in source.frozen.read(entity.name):
                rows.extend(dict(one) for one in page.envelopes)
            if entity.has_files:
                for row in rows:
                    size = int(row["data"].get("BodyLength") or row["data"].get("ContentSize") or 100)
                    problem = "FILE_TOO_LARGE" if size > 25 * 1024 * 1024 else None
                    row["file"] = {
                        "name": row["data"]["name"],
                        "byte_count": size,
                        "content_type": "image/png",
                        "digest": "ab" * 32,
                        "problem": problem,
                    }
    return OrgSnapshot(made, found)


def proposal(snapshot: OrgSnapshot, overrides: str = "") -> str:
    """Propose the mapping of an org."""
    return propose(connector_mapping_text("servicetracker"), snapshot, TARGET, overrides)


def mapped(snapshot: OrgSnapshot, *entities: str, overrides: str = "") -> Result:
    """Map all records of some entities by the proposal and some wishes."""
    text = proposal(snapshot, overrides)
    mapping = load_mapping(text)
    view = NamedView(snapshot, Names(mapping))  # type: ignore[arg-type]
    return map_all(plan_of(text), view, *(one for entity in entities for one in view.iterate(entity)))
