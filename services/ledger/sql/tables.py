"""The ledger's tables. Columns are named like the fields of the domain, so that `rows` carries values over by name.

Times are microseconds since 1970 in UTC (SQLite keeps no time zones), documents are text or bytes, so that both databases run the same code.
Personal data stands only in columns that `erasure` empties: images, messages, intents, payloads, reports.
"""

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, Text, text
from sqlmodel import Field, SQLModel

from services.ledger.domain import BatchState, MigrationState, RecordState, RunState, WorkState

# Rows that are small and always reached by their whole key live in the key's own tree on SQLite.
_CLUSTERED = {"sqlite_with_rowid": False}


def _one_of(column: str, values: type[MigrationState | RecordState | RunState | BatchState | WorkState]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


class MigrationRow(SQLModel, table=True):
    """A migration."""

    __tablename__ = "migrations"
    __table_args__ = (_one_of("state", MigrationState),)

    migration_id: str = Field(primary_key=True, max_length=63)
    display_name: str
    connector: str
    source_connection: str
    target_connection: str = Field(index=True)
    create_time: int = Field(sa_type=BigInteger)
    state: str
    pause_kind: str
    pause_reason: str
    pause_message: str = Field(sa_type=Text)
    resume_time: int | None = Field(sa_type=BigInteger)
    options: str = Field(sa_type=Text)
    mapping_version: int
    mapping_digest: str
    confirmed_digest: str
    manifest_digest: str
    diff_digest: str
    approved_digest: str
    approver: str
    approve_time: int | None = Field(sa_type=BigInteger)
    rehearsed_digest: str


class HeadRow(SQLModel, table=True):
    """Where a migration's numbered things stand: its chain of events, pages, creation orders and review items."""

    __tablename__ = "heads"

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    event_sequence: int = Field(sa_type=BigInteger)
    event_hash: str
    event_peaks: bytes = Field(sa_type=LargeBinary)
    """Peaks of the Merkle tree over the events, 32 bytes each."""
    page_sequence: int = Field(sa_type=BigInteger)
    create_order: int = Field(sa_type=BigInteger)
    review_order: int = Field(sa_type=BigInteger)


class RunRow(SQLModel, table=True):
    """One execution of a long step."""

    __tablename__ = "runs"
    __table_args__ = (_one_of("state", RunState), Index("ix_runs_migration_start", "migration_id", "start_time"))

    run_id: str = Field(primary_key=True)
    migration_id: str = Field(foreign_key="migrations.migration_id")
    kind: str
    start_time: int = Field(sa_type=BigInteger)
    state: str = Field(index=True)
    phase: int
    activity: str = Field(sa_type=Text)
    end_time: int | None = Field(sa_type=BigInteger)
    reason: str
    message: str = Field(sa_type=Text)
    token_count: int = Field(sa_type=BigInteger)
    planned_token_count: int = Field(sa_type=BigInteger)
    extraction_id: str
    manifest_digest: str
    snapshot_sequence: int = Field(sa_type=BigInteger)
    selection_digest: str
    after_sequence: int = Field(sa_type=BigInteger)
    context_json: str = Field(sa_type=Text)


class BudgetTermRow(SQLModel, table=True):
    """Who may grant from a target connection's budget, and until when."""

    __tablename__ = "budget_terms"

    connection: str = Field(primary_key=True)
    term_number: int = Field(sa_type=BigInteger)
    holder: str
    expire_time: int = Field(sa_type=BigInteger)
    kept: bytes = Field(sa_type=LargeBinary)


class RunCostRow(SQLModel, table=True):
    """Tokens a run spent on one target entity."""

    __tablename__ = "run_costs"

    run_id: str = Field(primary_key=True, foreign_key="runs.run_id")
    target_entity: str = Field(primary_key=True)
    token_count: int = Field(sa_type=BigInteger)


class RunResultRow(SQLModel, table=True):
    """How many records a run brought to a result."""

    __tablename__ = "run_results"

    run_id: str = Field(primary_key=True, foreign_key="runs.run_id")
    target_entity: str = Field(primary_key=True)
    result: str = Field(primary_key=True)
    count: int = Field(sa_type=BigInteger)


class ExtractionRow(SQLModel, table=True):
    """One reading of a source."""

    __tablename__ = "extractions"

    extraction_id: str = Field(primary_key=True)
    migration_id: str = Field(foreign_key="migrations.migration_id", index=True)
    run_id: str
    start_time: int = Field(sa_type=BigInteger)
    state: str
    changed_since: int | None = Field(sa_type=BigInteger)
    reason: str
    message: str = Field(sa_type=Text)
    resume_time: int | None = Field(sa_type=BigInteger)
    source_call_count: int = Field(sa_type=BigInteger)
    update_time: int | None = Field(sa_type=BigInteger)


class ExtractionEntityRow(SQLModel, table=True):
    """How far one entity of an extraction has been read."""

    __tablename__ = "extraction_entities"

    extraction_id: str = Field(primary_key=True, foreign_key="extractions.extraction_id")
    entity: str = Field(primary_key=True)
    migration_id: str
    state: str
    cursor: str = Field(sa_type=Text)
    next_page_number: int
    record_count: int = Field(sa_type=BigInteger)
    is_read: bool
    reason: str
    message: str = Field(sa_type=Text)
    resume_time: int | None = Field(sa_type=BigInteger)


class PageRow(SQLModel, table=True):
    """A frozen page."""

    __tablename__ = "pages"
    __table_args__ = (Index("ix_pages_sequence", "migration_id", "sequence", unique=True),)

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    page_id: str = Field(primary_key=True)
    extraction_id: str
    entity: str
    page_number: int
    digest: str
    record_count: int
    cursor: str = Field(sa_type=Text)
    next_cursor: str = Field(sa_type=Text)
    read_time: int = Field(sa_type=BigInteger)
    sequence: int = Field(sa_type=BigInteger)
    trace_parent: str


class SourceBudgetRow(SQLModel, table=True):
    """Calls taken from a source connection's budget of a day."""

    __tablename__ = "source_budgets"

    connection: str = Field(primary_key=True)
    day: str = Field(primary_key=True)
    used_count: int = Field(sa_type=BigInteger)


class PageWorkRow(SQLModel, table=True):
    """One page in one phase of a run."""

    __tablename__ = "page_work"
    __table_args__ = (_one_of("state", WorkState), Index("ix_page_work_state", "run_id", "phase", "state"), _CLUSTERED)

    run_id: str = Field(primary_key=True, foreign_key="runs.run_id")
    phase: int = Field(primary_key=True)
    page_id: str = Field(primary_key=True)
    migration_id: str
    state: str
    attempt: int


class BatchRow(SQLModel, table=True):
    """A batch the ledger waits for."""

    __tablename__ = "batches"
    __table_args__ = (
        _one_of("state", BatchState),
        Index("ix_batches_run", "run_id", "phase", "state"),
        Index("ix_batches_page", "run_id", "page_id", "phase"),
    )

    batch_id: str = Field(primary_key=True)
    migration_id: str
    run_id: str = Field(foreign_key="runs.run_id")
    phase: int
    target_entity: str
    keys: str = Field(sa_type=Text)
    record_count: int
    page_id: str
    is_undo: bool
    state: str


class RecordRow(SQLModel, table=True):
    """A mapped record."""

    __tablename__ = "records"
    __table_args__ = (
        _one_of("state", RecordState),
        # Covers the summaries of X-04 and what a source record became.
        Index("ix_records_source", "migration_id", "source_entity", "source_id", "state"),
        Index("ix_records_target", "target_entity", "target_id", sqlite_where=text("target_id <> ''"), postgresql_where=text("target_id <> ''")),
        Index("ix_records_phase", "migration_id", "phase", "target_entity"),
        Index(
            "ix_records_parent",
            "migration_id",
            "parent_target_id",
            sqlite_where=text("parent_target_id <> ''"),
            postgresql_where=text("parent_target_id <> ''"),
        ),
    )

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    key: str = Field(primary_key=True)
    target_entity: str
    source_entity: str
    source_id: str
    phase: int
    state: str
    target_id: str
    parent_target_id: str
    payload_digest: str
    image: str = Field(sa_type=Text)
    pre_image: str = Field(sa_type=Text)
    is_preexisting: bool
    holder: str
    claim_action: str
    claim_token: str
    claim_batch_id: str
    claim_expire_time: int | None = Field(sa_type=BigInteger)
    intent_time: int | None = Field(sa_type=BigInteger)
    intent_digest: str
    intent_record: bytes = Field(sa_type=LargeBinary)
    reason: str
    message: str = Field(sa_type=Text)
    resolution: str
    create_order: int = Field(sa_type=BigInteger)
    undo_run_id: str
    update_time: int | None = Field(sa_type=BigInteger)
    asked: str = Field(sa_type=Text)
    declined: str = Field(sa_type=Text)
    gone: str
    load_time: int | None = Field(sa_type=BigInteger)
    match: str = Field(sa_type=Text)


class MatchCandidateRow(SQLModel, table=True):
    """A record that others may turn out to be."""

    __tablename__ = "match_candidates"
    __table_args__ = (_CLUSTERED,)

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    target_entity: str = Field(primary_key=True)
    candidate: str = Field(primary_key=True)
    identity: str = Field(sa_type=Text)


class MatchKeyRow(SQLModel, table=True):
    """What a candidate is looked up by."""

    __tablename__ = "match_keys"
    __table_args__ = (Index("ix_match_keys_candidate", "migration_id", "target_entity", "candidate"), _CLUSTERED)

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    target_entity: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)
    candidate: str = Field(primary_key=True)


class MatchReadingRow(SQLModel, table=True):
    """How far the records in Pipedrive of one target entity have been read."""

    __tablename__ = "match_readings"

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    target_entity: str = Field(primary_key=True)
    rules_digest: str
    run_id: str
    page_token: str = Field(sa_type=Text)
    start_time: int | None = Field(sa_type=BigInteger)
    read_time: int | None = Field(sa_type=BigInteger)
    record_count: int = Field(sa_type=BigInteger)


class KeptRow(SQLModel, table=True):
    """Something a rollback left in Pipedrive."""

    __tablename__ = "kept_records"

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    key: str = Field(primary_key=True)
    target_entity: str
    target_id: str
    reason: str
    run_id: str
    keep_time: int = Field(sa_type=BigInteger)
    fields: str = Field(sa_type=Text)
    references: str = Field(sa_type=Text)
    message: str = Field(sa_type=Text)


class UndoSelectionRow(SQLModel, table=True):
    """A record that a partial rollback takes back."""

    __tablename__ = "undo_selections"
    __table_args__ = (_CLUSTERED,)

    run_id: str = Field(primary_key=True, foreign_key="runs.run_id")
    key: str = Field(primary_key=True)


class SourceRecordRow(SQLModel, table=True):
    """A record of the source, by the page of its latest version."""

    __tablename__ = "source_records"
    __table_args__ = (Index("ix_source_records_page", "migration_id", "page_id"), _CLUSTERED)

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    entity: str = Field(primary_key=True)
    source_id: str = Field(primary_key=True)
    page_id: str
    page_sequence: int = Field(sa_type=BigInteger)
    extraction_id: str


class SourceIssueRow(SQLModel, table=True):
    """Why a source record as a whole became nothing in a phase."""

    __tablename__ = "source_issues"
    __table_args__ = (_CLUSTERED,)

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    entity: str = Field(primary_key=True)
    source_id: str = Field(primary_key=True)
    phase: int = Field(primary_key=True)
    state: str
    reason: str
    message: str = Field(sa_type=Text)
    update_time: int | None = Field(sa_type=BigInteger)


class ReviewItemRow(SQLModel, table=True):
    """Something a person decides or should see."""

    __tablename__ = "review_items"
    __table_args__ = (
        Index("ix_review_items_order", "migration_id", "order", unique=True),
        Index("ix_review_items_key", "migration_id", "key"),
        Index("ix_review_items_source", "migration_id", "source_key"),
    )

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    review_item_id: str = Field(primary_key=True)
    reason: str
    source_key: str
    key: str
    is_blocking: bool
    message: str = Field(sa_type=Text)
    create_time: int = Field(sa_type=BigInteger)
    order: int = Field(sa_type=BigInteger)
    resolution: str
    actor: str
    resolve_time: int | None = Field(sa_type=BigInteger)


class EventRow(SQLModel, table=True):
    """One line of the audit trail. Triggers refuse every change."""

    __tablename__ = "events"
    __table_args__ = (
        Index(
            "ix_events_source",
            "migration_id",
            "source_key",
            "sequence",
            sqlite_where=text("source_key <> ''"),
            postgresql_where=text("source_key <> ''"),
        ),
        _CLUSTERED,
    )

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    sequence: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    event_time: int = Field(sa_type=BigInteger)
    kind: str
    actor: str
    key: str
    source_key: str
    target_id: str
    result: str
    payload_digest: str
    previous_hash: str
    hash: str


class EventPayloadRow(SQLModel, table=True):
    """The erasable part of an event."""

    __tablename__ = "event_payloads"

    migration_id: str = Field(primary_key=True)
    sequence: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    salt: str
    payload: bytes = Field(sa_type=LargeBinary)


class AuditHeadRow(SQLModel, table=True):
    """A signed head of a trail. Triggers refuse every change."""

    __tablename__ = "audit_heads"

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    tree_size: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    public_key: str = Field(primary_key=True)
    root_hash: str
    chain_hash: str
    sign_time: str
    signature: str


class MappingRow(SQLModel, table=True):
    """One version of a mapping."""

    __tablename__ = "mappings"

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    digest: str
    mapping_yaml: str = Field(sa_type=Text)
    findings_json: str = Field(sa_type=Text)
    actor: str
    create_time: int = Field(sa_type=BigInteger)


class ManifestRow(SQLModel, table=True):
    """A confirmed mapping bound to one target account."""

    __tablename__ = "manifests"

    digest: str = Field(primary_key=True)
    migration_id: str = Field(foreign_key="migrations.migration_id")
    content: bytes = Field(sa_type=LargeBinary)
    create_time: int = Field(sa_type=BigInteger)


class ReportRow(SQLModel, table=True):
    """A document about a migration."""

    __tablename__ = "reports"

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    kind: str = Field(primary_key=True)
    content: bytes = Field(sa_type=LargeBinary)
    create_time: int = Field(sa_type=BigInteger)
    run_id: str


class ReportLineRow(SQLModel, table=True):
    """One row of a report (a record of the diff, a mismatch)."""

    __tablename__ = "report_rows"

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    kind: str = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    content: bytes = Field(sa_type=LargeBinary)


class OutboxRow(SQLModel, table=True):
    """A message that must reach NATS."""

    __tablename__ = "outbox"

    order: int = Field(primary_key=True)
    subject: str
    message_id: str = Field(unique=True)
    payload: bytes = Field(sa_type=LargeBinary)
    migration_id: str
    trace_parent: str


class RequestRow(SQLModel, table=True):
    """What was answered to a request."""

    __tablename__ = "requests"

    request_id: str = Field(primary_key=True)
    response: bytes = Field(sa_type=LargeBinary)
    create_time: int = Field(sa_type=BigInteger, index=True)
