"""Deals (API.md 5.1)."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.loader import canonical
from services.loader.entities.base import Entity, Found, stamp
from services.loader.pipedrive import lists

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from datetime import datetime

    from services.loader.pipedrive.client import CallContext, PipedriveClient

# Fields Pipedrive takes only together with the status they belong to.
_CLOSING: Final = frozenset({"won_time", "lost_time", "close_time", "lost_reason"})
# Pipedrive neither takes null for these nor keeps them: they go when the deal takes another status.
_STATUS_OF: Final = {"won_time": "won", "lost_time": "lost"}
# An archived list costs twice a plain one (20 tokens); below so many missing deals one by one is cheaper.
_ARCHIVED_LIST_FROM: Final = 20


@dataclass(frozen=True, slots=True)
class DealEntity(Entity):
    """Deals: archived ones stand in a listing of their own and refuse changes until they are taken out of the archive."""

    def patch_body(self, changes: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Answers the smallest body; closing times go with their status, a pipeline with its stage."""
        body = Entity.patch_body(self, changes, wanted)
        if _CLOSING & body.keys() and wanted.get("status"):
            body["status"] = wanted["status"]
        for name in _STATUS_OF:
            if name in body and body[name] is None:
                del body[name]
        if "pipeline_id" in body and wanted.get("stage_id"):
            body["stage_id"] = wanted["stage_id"]
        return body

    def can_clear(self, name: str, wanted: Mapping[str, Any]) -> bool:
        """Answers whether a field can be emptied; the time of a status is, by any other status."""
        if name in _STATUS_OF:
            return bool(wanted.get("status") != _STATUS_OF[name])
        return Entity.can_clear(self, name, wanted)

    async def update(self, client: PipedriveClient, context: CallContext, found: Found, body: Mapping[str, Any]) -> None:
        """Changes fields; an archived deal is taken out of the archive for it and put back."""
        if not found.image.get("is_archived") or body.get("is_archived") is False:
            await Entity.update(self, client, context, found, body)
            return
        await Entity.update(self, client, context, found, {"is_archived": False})
        await Entity.update(self, client, context, found, body)
        restored = {"is_archived": True} | ({"archive_time": found.raw["archive_time"]} if found.raw.get("archive_time") else {})
        await Entity.update(self, client, context, found, restored)

    async def read(self, client: PipedriveClient, context: CallContext, target_ids: Sequence[str]) -> dict[str, Found]:
        """Reads deals by id; those missing from the plain listing may be archived."""
        found = await Entity.read(self, client, context, target_ids)
        missing = [target_id for target_id in target_ids if target_id not in found]
        if not missing or len(target_ids) < lists.IDS_MAX // 10:
            return found
        if len(missing) < _ARCHIVED_LIST_FROM:
            for target_id in missing:
                if (record := await self.read_one(client, context, target_id)) is not None:
                    found[target_id] = record
            return found
        async for page in lists.by_ids(client, "deals.list_archived", context, missing):
            found.update({str(raw["id"]): self.found(raw) for raw in page if self.is_live(raw)})
        return found

    async def scan_archived(self, client: PipedriveClient, context: CallContext, *, since: datetime) -> AsyncGenerator[list[Found], None]:
        """Yields archived deals changed at or after `since`, newest first."""
        query: dict[str, str | int] = {"sort_by": "id", "sort_direction": "desc", "updated_since": stamp(since)}
        async with aclosing(lists.by_cursor(client, "deals.list_archived", context, query)) as pages:
            async for page in pages:
                yield [self.found(raw) for raw in page if self.is_live(raw)]


DEAL: Final = DealEntity(
    name="deal",
    operations="deals",
    fields={
        "title": canonical.text,
        "owner_id": canonical.reference,
        "person_id": canonical.reference,
        "org_id": canonical.reference,
        "pipeline_id": canonical.reference,
        "stage_id": canonical.reference,
        "value": canonical.number,
        "currency": canonical.text,
        "status": canonical.text,
        "won_time": canonical.time,
        "lost_time": canonical.time,
        "close_time": canonical.time,
        "lost_reason": canonical.text,
        "probability": canonical.number,
        "expected_close_date": canonical.date,
        "visible_to": canonical.number,
        "label_ids": canonical.ids,
        "is_archived": canonical.boolean,
        "archive_time": canonical.time,
    },
    cleared={"label_ids": [], "value": 0},
    unclearable=frozenset(
        {"title", "owner_id", "pipeline_id", "stage_id", "currency", "status", "visible_to", "expected_close_date", "archive_time"}
    ),
    companions={**dict.fromkeys(sorted(_CLOSING), "status"), "pipeline_id": "stage_id"},
    falls_with={**dict.fromkeys(sorted(_CLOSING), "status"), "archive_time": "is_archived"},
)
"""The creation time cannot be set in version 2; `expected_close_date` cannot be cleared (API.md 10, pitfalls 5 and 9)."""
