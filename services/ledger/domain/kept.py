"""What rollbacks left in Pipedrive, or met there."""

from dataclasses import dataclass
from datetime import datetime

from services.ledger.kinds import KeptReason

__all__ = ["Kept"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Something a rollback left in Pipedrive, and why. Names fields and ids, never values."""

    migration_id: str
    key: str
    """The record; of a person's own record `theirs:{target entity}/{target id}`."""
    target_entity: str
    target_id: str
    reason: KeptReason
    run_id: str
    keep_time: datetime
    fields: tuple[str, ...] = ()
    """Fields that differ from what was loaded, or that could not be given back."""
    references: tuple[str, ...] = ()
    """What it refers to in Pipedrive, `{target entity}/{target id}`."""
    message: str = ""
