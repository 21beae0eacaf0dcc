"""Migrations and their runs."""

from sqlalchemy import BigInteger, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

from services.ledger.domain import MigrationState, RunState
from services.ledger.sql.tables.columns import one_of


class MigrationRow(SQLModel, table=True):
    """A migration."""

    __tablename__ = "migrations"
    __table_args__ = (one_of("state", MigrationState),)

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
    __table_args__ = (one_of("state", RunState), Index("ix_runs_migration_start", "migration_id", "start_time"))

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
