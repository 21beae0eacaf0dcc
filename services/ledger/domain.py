"""The ledger's words: what it knows of a migration, as plain values.

Nothing here does I/O. Times are aware and in UTC, phases are the numbers of the contract's `Phase` (0: none), digests and hashes are hex,
documents are canonical JSON as text. Rows live in `sql/`; everything else in the ledger handles these types only.
"""

import hashlib
from collections.abc import Mapping as Map
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.ledger.kinds import (
    BatchState,
    ClaimAction,
    ExtractionState,
    IssueKind,
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
    "OPEN_RECORD_STATES",
    "AuditVerdict",
    "Batch",
    "BatchState",
    "ClaimAction",
    "EntityCount",
    "Event",
    "EventDraft",
    "Extraction",
    "ExtractionEntity",
    "ExtractionState",
    "Issue",
    "IssueKind",
    "Manifest",
    "Mapping",
    "Migration",
    "MigrationState",
    "MissingPolicy",
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
    "RunKind",
    "RunState",
    "SourceIssue",
    "SourceRecord",
    "SourceState",
    "TargetCount",
    "UndoCount",
    "WantedRecord",
    "WorkState",
    "review_item_id",
]


OPEN_RECORD_STATES = frozenset({RecordState.EXPECTED, RecordState.CLAIMED, RecordState.IN_DOUBT})
"""States in which a batch still has something to do for the record."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a migration, as in the contract's `MigrationOptions`."""

    includes_archived: bool = False
    includes_deleted: bool = False
    file_bytes_max: int = 0
    """Bytes; 0: 25 MB."""
    source_account: str = ""
    connector_json: str = ""
    mapping_overrides_yaml: str = ""
    conflict_policy: str = ""
    """`source`, `target`, or empty and `ask`: a person decides."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration."""

    migration_id: str
    display_name: str
    connector: str
    source_connection: str
    target_connection: str
    create_time: datetime
    state: MigrationState = MigrationState.CREATED
    pause_kind: PauseKind = PauseKind.NONE
    pause_reason: str = ""
    """`ErrorReason` name without prefix."""
    pause_message: str = ""
    resume_time: datetime | None = None
    options: Options = Options()
    mapping_version: int = 0
    mapping_digest: str = ""
    confirmed_digest: str = ""
    """Digest of the mapping that was confirmed; empty: none is."""
    manifest_digest: str = ""
    diff_digest: str = ""
    """Digest of the last sample's diff."""
    approved_digest: str = ""
    """Digest of the diff that was approved; empty: none is."""
    approver: str = ""
    approve_time: datetime | None = None

    @property
    def source_account(self) -> str:
        """Label of the source account in external ids."""
        return self.options.source_account or self.source_connection


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a long step."""

    run_id: str
    migration_id: str
    kind: RunKind
    start_time: datetime
    state: RunState = RunState.RUNNING
    phase: int = 0
    """The open phase. Work of later phases (in a rollback: earlier ones) is not taken yet."""
    activity: str = ""
    end_time: datetime | None = None
    reason: str = ""
    message: str = ""
    token_count: int = 0
    """Tokens spent; changed by `Transaction.add_run_tokens` only, `save_run` leaves it alone."""
    planned_token_count: int = 0
    extraction_id: str = ""
    manifest_digest: str = ""
    snapshot_sequence: int = 0
    selection_digest: str = ""
    after_sequence: int = 0
    """Pages above this sequence are the run's own (delta)."""
    context_json: str = "{}"
    """What the run must remember between its steps (sample size, step reached)."""


@dataclass(frozen=True, slots=True)
class BudgetTerm:
    """Who may grant from a target connection's budget, and until when."""

    connection: str
    term_number: int
    holder: str
    """`{replica}/{incarnation}` of the arbiter."""
    expire_time: datetime
    kept: bytes = b""
    """`KeptBudget` as the holder noted it last; empty: nothing yet."""

    @property
    def replica(self) -> str:
        """The holder without its incarnation."""
        return self.holder.partition("/")[0]


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run spent on one target entity."""

    run_id: str
    target_entity: str
    """`account` for looks at the account, `diff` for reading the sample back."""
    token_count: int


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


@dataclass(frozen=True, slots=True)
class PageWork:
    """One page to be mapped for one phase of a run."""

    run_id: str
    page_id: str
    phase: int
    migration_id: str
    state: WorkState = WorkState.ANNOUNCED
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Mapped records that are loaded (or taken back) together."""

    batch_id: str
    migration_id: str
    run_id: str
    phase: int
    target_entity: str
    keys: tuple[str, ...]
    page_id: str = ""
    """The page it came from; empty for batches the ledger makes itself (schema, undo)."""
    is_undo: bool = False
    state: BatchState = BatchState.EXPECTED


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """How far a run's phase has come. It is done when `open_page_count` and `open_batch_count` are 0."""

    page_count: int
    open_page_count: int
    """Pages not transformed, or with open batches."""
    untransformed_page_count: int
    batch_count: int
    open_batch_count: int
    record_count: int
    """Records in all batches of the phase."""
    done_record_count: int
    """Records in its final batches."""


@dataclass(frozen=True, slots=True)
class Record:
    """A mapped record: identity map, claim and outcome in one."""

    migration_id: str
    key: str
    target_entity: str
    source_entity: str
    source_id: str
    phase: int
    state: RecordState = RecordState.EXPECTED
    target_id: str = ""
    """Id in Pipedrive; kept when undone, for the journey."""
    parent_target_id: str = ""
    payload_digest: str = ""
    """Digest of the payload that stands in Pipedrive."""
    image: str = ""
    """Canonical image of what we loaded last; personal data, can be erased."""
    pre_image: str = ""
    """Canonical image before our first change; empty: we changed nothing that was there before."""
    is_preexisting: bool = False
    holder: str = ""
    """`{replica}/{incarnation}` of a claim; empty: no claim."""
    claim_action: ClaimAction = ClaimAction.NONE
    claim_token: str = ""
    """Request id of the `BeginBatch` that claimed."""
    claim_batch_id: str = ""
    claim_expire_time: datetime | None = None
    intent_time: datetime | None = None
    """When the first create without outcome was announced."""
    intent_digest: str = ""
    """Digest of the payload of the last claim."""
    intent_record: bytes = b""
    """The `MappedRecord` of an intent without outcome, serialized, so that a rollback can resolve it; personal data."""
    reason: str = ""
    message: str = ""
    """In words; may name values, can be erased."""
    resolution: Resolution = Resolution.NONE
    create_order: int = 0
    """Grows with every record created or matched; rollback goes backwards."""
    undo_run_id: str = ""
    """Rollback run that was done with this record without taking it back (kept, refused)."""
    update_time: datetime | None = None

    @property
    def source_key(self) -> str:
        """`{entity}/{id}` of the source record."""
        return f"{self.source_entity}/{self.source_id}"

    @property
    def has_target(self) -> bool:
        """True when it stands in Pipedrive as far as we know."""
        return bool(self.target_id) and self.state is not RecordState.UNDONE


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a mapped record what others that refer to it need to know."""

    key: str
    phase: int
    state: RecordState
    target_id: str
    reason: str

    @property
    def has_target(self) -> bool:
        """True when it stands in Pipedrive as far as we know."""
        return bool(self.target_id) and self.state is not RecordState.UNDONE


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference from one mapped record to another."""

    key: str
    policy: MissingPolicy = MissingPolicy.REVIEW
    fallback_key: str = ""


@dataclass(frozen=True, slots=True)
class WantedRecord:
    """A record of a batch as it came: how it shall stand in Pipedrive."""

    key: str
    target_entity: str
    source_entity: str
    source_id: str
    payload_digest: str = ""
    references: tuple[Reference, ...] = ()
    content: bytes = b""
    """The whole `MappedRecord`, serialized."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record of a batch."""

    key: str
    result: OutcomeResult
    target_id: str = ""
    parent_target_id: str = ""
    image: str = ""
    pre_image: str = ""
    payload_digest: str = ""
    reason: str = ""
    message: str = ""
    flag_reason: str = ""
    calls: tuple[Map[str, Any], ...] = ()
    """Calls made for it, as they stand in the event's payload."""
    token_count: int = 0


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
class EventDraft:
    """An event to append. No personal data outside the payload."""

    kind: str
    actor: str
    key: str = ""
    source_key: str = ""
    target_id: str = ""
    result: str = ""
    payload: Map[str, Any] | None = None
    """Details, made canonical JSON; can be erased later."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit trail."""

    migration_id: str
    sequence: int
    event_time: datetime
    kind: str
    actor: str
    key: str
    source_key: str
    target_id: str
    result: str
    payload_digest: str
    previous_hash: str
    hash: str
    payload: bytes = b""
    """Canonical JSON; empty once erased."""
    salt: str = ""
    """Hex; empty once erased."""


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """Result of a walk along the hash chain."""

    is_whole: bool
    event_count: int
    broken_sequence: int
    """First event that does not fit; 0 when whole."""
    head_hash: str
    message: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """One version of a migration's mapping."""

    migration_id: str
    version: int
    digest: str
    mapping_yaml: str
    findings_json: str
    """JSON list of `{"severity", "path", "message", "requirement"}`."""
    actor: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Manifest:
    """A confirmed mapping bound to one target account."""

    digest: str
    migration_id: str
    content: bytes
    """Canonical JSON."""
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """A document about a migration; can be erased."""

    migration_id: str
    kind: ReportKind
    content: bytes
    """JSON."""
    create_time: datetime
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """Something that must reach NATS. Published at least once, then removed."""

    subject: str
    message_id: str
    """`Nats-Msg-Id`; the same id twice in the outbox is once."""
    payload: bytes
    migration_id: str
    order: int = 0
    """Given by the ledger; published in this order."""
    trace_parent: str = ""


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
class UndoCount:
    """What a rollback would do to one target entity of one phase."""

    phase: int
    target_entity: str
    delete_count: int
    restore_count: int
    in_doubt_count: int


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records to list; empty fields do not restrict."""

    states: tuple[RecordState, ...] = ()
    source_entity: str = ""
    target_entity: str = ""
    reason: str = ""
    phase: int = 0
    has_target: bool = False
    """Only records that stand in Pipedrive."""


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which review items to list; empty fields do not restrict."""

    review_item_ids: tuple[str, ...] = ()
    reason: str = ""
    source_key: str = ""
    includes_resolved: bool = False
