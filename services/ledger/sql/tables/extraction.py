"""What was read of a source."""

from sqlalchemy import BigInteger, Index, Text
from sqlmodel import Field, SQLModel

from services.ledger.sql.tables.columns import CLUSTERED


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


class SourceRecordRow(SQLModel, table=True):
    """A record of the source, by the page of its latest version."""

    __tablename__ = "source_records"
    __table_args__ = (Index("ix_source_records_page", "migration_id", "page_id"), CLUSTERED)

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    entity: str = Field(primary_key=True)
    source_id: str = Field(primary_key=True)
    page_id: str
    page_sequence: int = Field(sa_type=BigInteger)
    extraction_id: str


class SourceIssueRow(SQLModel, table=True):
    """Why a source record as a whole became nothing in a phase."""

    __tablename__ = "source_issues"
    __table_args__ = (CLUSTERED,)

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    entity: str = Field(primary_key=True)
    source_id: str = Field(primary_key=True)
    phase: int = Field(primary_key=True)
    state: str
    reason: str
    message: str = Field(sa_type=Text)
    update_time: int | None = Field(sa_type=BigInteger)
