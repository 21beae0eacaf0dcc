"""Keep what records are recognised by, and what was decided on matching them with records that exist."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Nothing was matched before."""
    op.add_column("records", sa.Column("match", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "match_candidates",
        *_of_entity(),
        sa.Column("candidate", sa.String(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["migration_id"], ["migrations.migration_id"]),
        sa.PrimaryKeyConstraint("migration_id", "target_entity", "candidate"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "match_keys",
        *_of_entity(),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("candidate", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["migration_id"], ["migrations.migration_id"]),
        sa.PrimaryKeyConstraint("migration_id", "target_entity", "digest", "candidate"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_match_keys_candidate", "match_keys", ["migration_id", "target_entity", "candidate"])
    op.create_table(
        "match_readings",
        *_of_entity(),
        sa.Column("rules_digest", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("page_token", sa.Text(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=True),
        sa.Column("read_time", sa.BigInteger(), nullable=True),
        sa.Column("record_count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["migration_id"], ["migrations.migration_id"]),
        sa.PrimaryKeyConstraint("migration_id", "target_entity"),
    )


def _of_entity() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("migration_id", sa.String(), nullable=False), sa.Column("target_entity", sa.String(), nullable=False)


def downgrade() -> None:
    """Take back."""
    for name in ("match_readings", "match_keys", "match_candidates"):
        op.drop_table(name)
    op.drop_column("records", "match")
