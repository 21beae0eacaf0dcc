"""What deltas do with conflicts and deletions."""

from __future__ import annotations

from typing import Literal, TypeAlias

from services.transformer.mapping.base import Model

ConflictWord: TypeAlias = Literal["ask", "source", "target"]
DeletionWord: TypeAlias = Literal["keep", "flag", "ask", "delete"]


class EntityDelta(Model):
    """What a target entity does differently in deltas."""

    conflicts: ConflictWord | None = None
    deletions: DeletionWord | None = None
    fields: dict[str, ConflictWord] = {}
    """Who decides on single fields: fields as Pipedrive names them, or ids of custom fields."""


class Delta(Model):
    """What deltas do with fields that changed in the source and in Pipedrive, and with records the source has no more.

    Deltas alone go by it, so it is no part of the mapping's digest: changing it takes no confirmation and no approval back.
    """

    conflicts: ConflictWord | None = None
    """None: as the migration's option says."""
    deletions: DeletionWord | None = None
    """None: flag."""
    entities: dict[str, EntityDelta] = {}
