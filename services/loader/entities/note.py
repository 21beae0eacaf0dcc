"""Notes, version 1 only (API.md 5.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.loader import canonical
from services.loader.entities.base import OffsetEntity

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class NoteEntity(OffsetEntity):
    """Notes: times are written as `YYYY-MM-DD HH:MM:SS`."""

    def body(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Answers the body of a create in version 1's spelling."""
        return _spelled(OffsetEntity.body(self, payload))

    def patch_body(self, changes: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Answers the smallest body in version 1's spelling."""
        return _spelled(OffsetEntity.patch_body(self, changes, wanted))


def _spelled(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("add_time"):
        body["add_time"] = canonical.time(body["add_time"]).replace("T", " ").removesuffix("Z")
    return body


NOTE: Final = NoteEntity(
    name="note",
    operations="notes",
    fields={
        "content": canonical.html,
        "deal_id": canonical.reference,
        "person_id": canonical.reference,
        "org_id": canonical.reference,
        "lead_id": canonical.text,
        "project_id": canonical.reference,
        "user_id": canonical.reference,
        "add_time": canonical.time,
    },
    unclearable=frozenset({"content", "add_time", "user_id"}),
    fingerprint=("content", "deal_id", "person_id", "org_id", "add_time"),
    has_ids_filter=False,
)
"""The time may be set, the author by an admin."""
