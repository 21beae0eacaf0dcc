"""What an extraction needs of the ledger, as a protocol: the gRPC client is one answer, the tests' in-memory ledger another."""

import enum
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class State(enum.StrEnum):
    """State of an extraction or of one entity in it; the words of `ExtractionState`."""

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    DONE = "DONE"
    NO_ACCESS = "NO_ACCESS"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far one entity has been read."""

    cursor: str
    next_page_number: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class PageRecord:
    """A page that stands in staging, as the ledger is told of it."""

    extraction_id: str
    entity: str
    page_number: int
    digest: str
    cursor: str
    next_cursor: str
    read_time: datetime
    source_ids: Sequence[str]
    trace_parent: str = ""

    @property
    def page_id(self) -> str:
        """Unique in the migration, and the same when the page is read again."""
        return f"{self.extraction_id}/{self.entity}/{self.page_number}"


@dataclass(frozen=True, slots=True)
class PageRef:
    """A page the ledger knows."""

    extraction_id: str
    entity: str
    digest: str
    sequence: int
    record_count: int


@dataclass(frozen=True, slots=True)
class Report:
    """How an extraction (empty `entity`) or one of its entities stands."""

    extraction_id: str
    state: State
    entity: str = ""
    reason: str = ""
    message: str = ""
    resume_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Answer to a debit of source calls."""

    granted_count: int
    used_count: int


class ExtractionLedger(Protocol):
    """The ledger as an extraction sees it. Every method waits out an absent ledger; what it raises is final."""

    async def checkpoints(self, extraction_id: str) -> dict[str, Checkpoint]:
        """Answer how far each entity has been read."""
        ...

    async def record_page(self, migration_id: str, page: PageRecord) -> None:
        """Record a page; the same page again changes nothing."""
        ...

    async def report(self, report: Report) -> None:
        """Tell how things stand."""
        ...

    async def debit(self, connection: str, day: str, daily_limit: int, extraction_id: str) -> Grant:
        """Take one call from the connection's budget of `day` (`YYYY-MM-DD`), which the ledger remembers across restarts."""
        ...

    def pages(self, migration_id: str, *, after_sequence: int = 0) -> AsyncIterator[PageRef]:
        """Yield the migration's pages by sequence."""
        ...
