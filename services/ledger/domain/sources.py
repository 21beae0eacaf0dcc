"""Records of the source, and what was found about them in mapping."""

from dataclasses import dataclass
from datetime import datetime

from services.ledger.kinds import IssueKind, SourceState

__all__ = ["Issue", "SourceIssue", "SourceRecord"]


@dataclass(frozen=True, slots=True)
class Issue:
    """Something about one record found in mapping that is not plain success."""

    kind: IssueKind
    source_entity: str
    source_id: str
    key: str
    """Mapped record; empty: the source record as a whole."""
    reason: str
    message: str

    @property
    def source_key(self) -> str:
        """`{entity}/{id}`."""
        return f"{self.source_entity}/{self.source_id}"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A record of the source, by the page that holds its latest version."""

    migration_id: str
    entity: str
    source_id: str
    page_id: str
    page_sequence: int
    extraction_id: str

    @property
    def source_key(self) -> str:
        """`{entity}/{id}`."""
        return f"{self.entity}/{self.source_id}"


@dataclass(frozen=True, slots=True)
class SourceIssue:
    """Why a source record as a whole became nothing, or waits."""

    migration_id: str
    entity: str
    source_id: str
    phase: int
    """Phase whose mapping found it; 0: found by the ledger (entities without phases, extraction)."""
    state: SourceState
    """WAITING, REJECTED or SKIPPED."""
    reason: str
    message: str = ""
    """In words; may name values, can be erased."""
    update_time: datetime | None = None

    @property
    def source_key(self) -> str:
        """`{entity}/{id}`."""
        return f"{self.entity}/{self.source_id}"
