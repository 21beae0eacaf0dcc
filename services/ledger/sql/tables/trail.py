"""The audit trail."""

from sqlalchemy import BigInteger, LargeBinary
from sqlmodel import Field, SQLModel

from services.ledger.sql.tables.columns import CLUSTERED, index_of_filled


class EventRow(SQLModel, table=True):
    """One line of the audit trail. Triggers refuse every change."""

    __tablename__ = "events"
    __table_args__ = (index_of_filled("ix_events_source", "migration_id", "source_key", "sequence", filled="source_key"), CLUSTERED)

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
