"""Mapped records, and what rollbacks take or kept."""

from sqlalchemy import BigInteger, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

from services.ledger.domain import RecordState
from services.ledger.sql.tables.columns import CLUSTERED, index_of_filled, one_of


class RecordRow(SQLModel, table=True):
    """A mapped record."""

    __tablename__ = "records"
    __table_args__ = (
        one_of("state", RecordState),
        # Covers the summaries of X-04 and what a source record became.
        Index("ix_records_source", "migration_id", "source_entity", "source_id", "state"),
        index_of_filled("ix_records_target", "target_entity", "target_id", filled="target_id"),
        Index("ix_records_phase", "migration_id", "phase", "target_entity"),
        index_of_filled("ix_records_parent", "migration_id", "parent_target_id", filled="parent_target_id"),
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
    __table_args__ = (CLUSTERED,)

    run_id: str = Field(primary_key=True, foreign_key="runs.run_id")
    key: str = Field(primary_key=True)
