"""The ledger's words: what it knows of a migration, as plain values.

Nothing here does I/O. Times are aware and in UTC, phases are the numbers of the contract's `Phase` (0: none), digests and hashes are hex,
documents are canonical JSON as text. Rows live in `sql/`; everything else in the ledger handles these types only. One module a noun; import them
from here.
"""

from services.ledger.domain.counts import EntityCount, TargetCount, UndoCount
from services.ledger.domain.documents import Manifest, Mapping, Report
from services.ledger.domain.erasure import ERASED, FIGURES, ErasedCount, Mentions
from services.ledger.domain.extraction import Extraction, ExtractionEntity, Page
from services.ledger.domain.kept import Kept
from services.ledger.domain.matching import TARGET_CANDIDATE, Match, MatchCandidate, MatchReading, Named
from services.ledger.domain.migration import Migration, Options
from services.ledger.domain.records import OPEN_RECORD_STATES, Outcome, Record, RecordFilter, Reference, Standing, WantedRecord
from services.ledger.domain.review import ReviewFilter, ReviewItem, review_item, review_item_id, review_item_of
from services.ledger.domain.runs import EVERYTHING, BudgetTerm, PhaseProgress, Run, RunCost, RunResult, Scope
from services.ledger.domain.sources import Issue, SourceIssue, SourceRecord
from services.ledger.domain.trail import AuditVerdict, Event, EventDraft
from services.ledger.domain.work import Batch, OutboxMessage, PageWork
from services.ledger.kinds import (
    BatchState,
    ClaimAction,
    ExtractionState,
    IssueKind,
    KeptReason,
    MigrationState,
    MissingPolicy,
    OutcomeResult,
    PauseKind,
    RecordState,
    ReportKind,
    Resolution,
    RunKind,
    RunState,
    SourceState,
    WorkState,
)

__all__ = [
    "ERASED",
    "EVERYTHING",
    "FIGURES",
    "OPEN_RECORD_STATES",
    "TARGET_CANDIDATE",
    "AuditVerdict",
    "Batch",
    "BatchState",
    "BudgetTerm",
    "ClaimAction",
    "EntityCount",
    "ErasedCount",
    "Event",
    "EventDraft",
    "Extraction",
    "ExtractionEntity",
    "ExtractionState",
    "Issue",
    "IssueKind",
    "Kept",
    "KeptReason",
    "Manifest",
    "Mapping",
    "Match",
    "MatchCandidate",
    "MatchReading",
    "Mentions",
    "Migration",
    "MigrationState",
    "MissingPolicy",
    "Named",
    "Options",
    "OutboxMessage",
    "Outcome",
    "OutcomeResult",
    "Page",
    "PageWork",
    "PauseKind",
    "PhaseProgress",
    "Record",
    "RecordFilter",
    "RecordState",
    "Reference",
    "Report",
    "ReportKind",
    "Resolution",
    "ReviewFilter",
    "ReviewItem",
    "Run",
    "RunCost",
    "RunKind",
    "RunResult",
    "RunState",
    "Scope",
    "SourceIssue",
    "SourceRecord",
    "SourceState",
    "Standing",
    "TargetCount",
    "UndoCount",
    "WantedRecord",
    "WorkState",
    "review_item",
    "review_item_id",
    "review_item_of",
]
