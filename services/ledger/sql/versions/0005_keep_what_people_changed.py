"""Remember what rollbacks keep, what a partial rollback takes, and that a sample was rehearsed; find what hangs on a record."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "kept_records",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("target_entity", sa.String(), nullable=False),
        sa.Column("target_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("keep_time", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("references", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["migration_id"], ["migrations.migration_id"]),
        sa.PrimaryKeyConstraint("migration_id", "key"),
    )
    op.create_table(
        "undo_selections",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
        sa.PrimaryKeyConstraint("run_id", "key"),
        sqlite_with_rowid=False,
    )
    is_set = sa.text("parent_target_id <> ''")
    op.create_index("ix_records_parent", "records", ["migration_id", "parent_target_id"], sqlite_where=is_set, postgresql_where=is_set)
    op.add_column("migrations", sa.Column("rehearsed_digest", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Take back."""
    op.drop_column("migrations", "rehearsed_digest")
    op.drop_index("ix_records_parent", "records")
    op.drop_table("undo_selections")
    op.drop_table("kept_records")
