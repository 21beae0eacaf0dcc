"""Which records the mapping leaves out as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.transformer.context import Context
    from services.transformer.links import Place
    from services.transformer.mapping.document import Mapping
    from services.transformer.snapshot.envelope import Envelope


def skip_reason(mapping: Mapping, envelope: Envelope) -> tuple[str, str] | None:
    """Say why the mapping leaves a whole record out, as (reason, message); None when it does not."""
    rule = mapping.entities.get(envelope.entity)
    if rule is None or rule.use == "not_moved":
        return "SKIPPED_NOT_MAPPED", f"the mapping does not move {envelope.entity} records; they are in the reference export"
    if rule.use == "part":
        return "SKIPPED_REFERENCE_DATA", f"{envelope.entity} records are moved as part of the record they belong to"
    if rule.use == "reference_data":
        return "SKIPPED_REFERENCE_DATA", f"{envelope.entity} records are looked up, not moved"
    if envelope.is_deleted and (rule.deleted or mapping.policies.deleted) == "skip":
        return "SKIPPED_DELETED", "deleted in the source"
    if envelope.is_archived and (rule.archived or mapping.policies.archived) == "skip":
        return "SKIPPED_ARCHIVED", "archived in the source"
    return None


def snapshot_moves(mapping: Mapping, place: Place, context: Context) -> bool:
    """Say whether the snapshot holds a record that the mapping moves."""
    found = context.lookup.get(place.entity, place.source_id)
    return found is not None and skip_reason(mapping, found) is None
