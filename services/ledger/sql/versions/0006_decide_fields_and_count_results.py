"""Keep what was decided on fields changed on both sides and on records the source has no more, and count what runs brought about."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TEXTS = ("asked", "declined")


def upgrade() -> None:
    """Apply. Records from before have nothing decided; their load time is that of their last change."""
    for name in _TEXTS:
        op.add_column("records", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column("records", sa.Column("gone", sa.String(), nullable=False, server_default=""))
    op.add_column("records", sa.Column("load_time", sa.BigInteger(), nullable=True))
    op.execute("UPDATE records SET load_time = update_time WHERE target_id <> ''")
    op.create_table(
        "run_results",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("target_entity", sa.String(), nullable=False),
        sa.Column("result", sa.String(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
        sa.PrimaryKeyConstraint("run_id", "target_entity", "result"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("run_results")
    for name in (*_TEXTS, "gone", "load_time"):
        op.drop_column("records", name)
