"""What several tables say of their columns."""

from sqlalchemy import CheckConstraint, Index, text

from services.ledger.domain import BatchState, MigrationState, RecordState, RunState, WorkState

CLUSTERED = {"sqlite_with_rowid": False}
"""Rows that are small and always reached by their whole key live in the key's own tree on SQLite."""


def one_of(column: str, values: type[MigrationState | RecordState | RunState | BatchState | WorkState]) -> CheckConstraint:
    """Answer the rule that a column holds one of these values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def index_of_filled(name: str, *columns: str, filled: str) -> Index:
    """Answer an index over the rows in which the text column `filled` is not empty."""
    where = text(f"{filled} <> ''")
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)
