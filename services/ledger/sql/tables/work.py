"""What is to be done, and what was answered."""

from sqlalchemy import BigInteger, Index, LargeBinary, Text
from sqlmodel import Field, SQLModel

from services.ledger.domain import BatchState, WorkState
from services.ledger.sql.tables.columns import CLUSTERED, one_of


class PageWorkRow(SQLModel, table=True):
    """One page in one phase of a run."""

    __tablename__ = "page_work"
    __table_args__ = (one_of("state", WorkState), Index("ix_page_work_state", "run_id", "phase", "state"), CLUSTERED)

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
        one_of("state", BatchState),
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
