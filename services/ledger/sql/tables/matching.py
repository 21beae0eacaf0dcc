"""What matching compares with."""

from sqlalchemy import BigInteger, Index, Text
from sqlmodel import Field, SQLModel

from services.ledger.sql.tables.columns import CLUSTERED


class MatchCandidateRow(SQLModel, table=True):
    """A record that others may turn out to be."""

    __tablename__ = "match_candidates"
    __table_args__ = (CLUSTERED,)

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    target_entity: str = Field(primary_key=True)
    candidate: str = Field(primary_key=True)
    identity: str = Field(sa_type=Text)


class MatchKeyRow(SQLModel, table=True):
    """What a candidate is looked up by."""

    __tablename__ = "match_keys"
    __table_args__ = (Index("ix_match_keys_candidate", "migration_id", "target_entity", "candidate"), CLUSTERED)

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
