"""Mappings, manifests and reports."""

from sqlalchemy import BigInteger, LargeBinary, Text
from sqlmodel import Field, SQLModel


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
