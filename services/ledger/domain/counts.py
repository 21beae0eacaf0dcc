"""Sums over records."""

from dataclasses import dataclass
from datetime import datetime

from services.ledger.kinds import RecordState

__all__ = ["EntityCount", "PhaseCount", "TargetCount", "UndoCount"]


@dataclass(frozen=True, slots=True)
class EntityCount:
    """Source records of one entity, by state (X-04). The states sum up to `extracted_count`."""

    source_entity: str
    extracted_count: int = 0
    loaded_count: int = 0
    matched_count: int = 0
    skipped_count: int = 0
    rejected_count: int = 0
    waiting_count: int = 0
    pending_count: int = 0


@dataclass(frozen=True, slots=True)
class TargetCount:
    """Mapped records of one target entity, by state."""

    target_entity: str
    expected_count: int = 0
    loaded_count: int = 0
    matched_count: int = 0
    skipped_count: int = 0
    rejected_count: int = 0
    waiting_count: int = 0
    undone_count: int = 0
    pending_count: int = 0


@dataclass(frozen=True, slots=True)
class PhaseCount:
    """Mapped records of one phase that stand alike."""

    phase: int
    state: RecordState
    count: int
    oldest_intent: datetime | None = None
    """Of creates among them that were announced and have no outcome, when the first was."""


@dataclass(frozen=True, slots=True)
class UndoCount:
    """What a rollback would do to one target entity of one phase."""

    phase: int
    target_entity: str
    delete_count: int
    restore_count: int
    in_doubt_count: int
