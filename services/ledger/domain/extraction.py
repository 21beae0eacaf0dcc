"""Readings of a source and the pages they yield."""

from dataclasses import dataclass
from datetime import datetime

from services.ledger.kinds import ExtractionState

__all__ = ["Extraction", "ExtractionEntity", "Page"]


@dataclass(frozen=True, slots=True)
class Extraction:
    """One reading of a source."""

    extraction_id: str
    migration_id: str
    run_id: str
    start_time: datetime
    state: ExtractionState = ExtractionState.RUNNING
    changed_since: datetime | None = None
    reason: str = ""
    message: str = ""
    resume_time: datetime | None = None
    source_call_count: int = 0
    """Changed by `Transaction.add_source_calls` only, `save_extraction` leaves it alone."""
    update_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExtractionEntity:
    """How far one entity of an extraction has been read."""

    extraction_id: str
    entity: str
    migration_id: str
    state: ExtractionState = ExtractionState.RUNNING
    cursor: str = ""
    """Position to go on from; empty: the start, or past the end when `is_read`."""
    next_page_number: int = 0
    record_count: int = 0
    is_read: bool = False
    """True once a page without a next cursor was recorded."""
    reason: str = ""
    message: str = ""
    resume_time: datetime | None = None

    @property
    def is_final(self) -> bool:
        """True when all of it has been read or it cannot be read."""
        return self.is_read or self.state in {ExtractionState.DONE, ExtractionState.NO_ACCESS, ExtractionState.FAILED}


@dataclass(frozen=True, slots=True)
class Page:
    """What one extraction call returned; its content stands in staging."""

    migration_id: str
    page_id: str
    extraction_id: str
    entity: str
    page_number: int
    digest: str
    record_count: int
    cursor: str
    next_cursor: str
    read_time: datetime
    sequence: int = 0
    """Given by the ledger; grows by one with every page of the migration."""
    trace_parent: str = ""
