"""Organization relationships, version 1 only (API.md 5.11)."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from services.loader import canonical
from services.loader.entities.base import Found, OffsetEntity
from services.loader.pipedrive import lists

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.loader.pipedrive.client import CallContext, PipedriveClient
    from services.loader.pipedrive.lists import Raw


@dataclass(frozen=True, slots=True)
class RelationEntity(OffsetEntity):
    """Relationships: there is no list over all organizations, only one per organization."""

    def found(self, raw: Raw) -> Found:
        """Answers a relationship; its parent is the owning organization."""
        image = self.image(raw)
        return Found(target_id=str(raw["id"]), image=image, raw=raw, parent_id=str(image.get("rel_owner_org_id", "")))

    async def of_parent(self, client: PipedriveClient, context: CallContext, org_id: str) -> AsyncGenerator[list[Found], None]:
        """Yields the relationships of one organization."""
        async with aclosing(lists.by_offset(client, "organization_relations.list", context, {"org_id": org_id})) as pages:
            async for page in pages:
                yield [self.found(raw) for raw in page if self.is_live(raw)]


ORGANIZATION_RELATION: Final = RelationEntity(
    name="organization_relation",
    operations="organization_relations",
    fields={"type": canonical.text, "rel_owner_org_id": canonical.reference, "rel_linked_org_id": canonical.reference},
    unclearable=frozenset({"type", "rel_owner_org_id", "rel_linked_org_id"}),
    fingerprint=("type", "rel_owner_org_id", "rel_linked_org_id"),
    has_ids_filter=False,
)
"""Type `parent` or `related`; the owner is the parent."""
