"""Review items: what a person decides or should see."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from services.ledger.kinds import Resolution

__all__ = ["ReviewFilter", "ReviewItem", "review_item_id"]


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """Something a person decides or should see."""

    review_item_id: str
    """Deterministic, see `review_item_id`."""
    migration_id: str
    reason: str
    source_key: str
    key: str
    is_blocking: bool
    message: str
    """In words; may name values, can be erased."""
    create_time: datetime
    order: int = 0
    """Order of opening; given by the ledger."""
    resolution: Resolution = Resolution.NONE
    actor: str = ""
    resolve_time: datetime | None = None


def review_item_id(migration_id: str, source_key: str, key: str, reason: str) -> str:
    """Answer the id of the review item for a record and a reason: the same matter found twice is one item."""
    return hashlib.sha256(f"{migration_id}\n{source_key}\n{key}\n{reason}".encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which review items to list; empty fields do not restrict."""

    review_item_ids: tuple[str, ...] = ()
    reason: str = ""
    source_key: str = ""
    includes_resolved: bool = False
