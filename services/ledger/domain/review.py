"""Review items: what a person decides or should see."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from services.ledger.domain.records import Record
from services.ledger.kinds import Resolution

__all__ = ["ReviewFilter", "ReviewItem", "review_item", "review_item_id", "review_item_of"]


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


def review_item(migration_id: str, source_key: str, reason: str, message: str, now: datetime, *, key: str = "", is_blocking: bool) -> ReviewItem:
    """Answer a review item to be opened.

    Args:
        migration_id: the migration.
        source_key: the source record it is about.
        reason: name of an `ErrorReason` without prefix.
        message: in words, what a person decides or should see.
        now: time of opening.
        key: the mapped record it is about; empty: the source record as a whole.
        is_blocking: whether the record waits for the decision.
    """
    return ReviewItem(
        review_item_id=review_item_id(migration_id, source_key, key, reason),
        migration_id=migration_id,
        reason=reason,
        source_key=source_key,
        key=key,
        is_blocking=is_blocking,
        message=message,
        create_time=now,
    )


def review_item_of(record: Record, reason: str, message: str, now: datetime, *, is_blocking: bool) -> ReviewItem:
    """Answer a review item about a mapped record; arguments as in `review_item`."""
    return review_item(record.migration_id, record.source_key, reason, message, now, key=record.key, is_blocking=is_blocking)


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which review items to list; empty fields do not restrict."""

    review_item_ids: tuple[str, ...] = ()
    reason: str = ""
    source_key: str = ""
    includes_resolved: bool = False
