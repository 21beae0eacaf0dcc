"""Tell the tokens of a run apart by target entity, so that a plan can be held against them; keep what must outlive an arbiter of the quota."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Runs from before have no costs told apart."""
    op.create_table(
        "run_costs",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("target_entity", sa.String(), nullable=False),
        sa.Column("token_count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
        sa.PrimaryKeyConstraint("run_id", "target_entity"),
    )
    op.create_table(
        "budget_terms",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("term_number", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.Column("kept", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("connection"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("budget_terms")
    op.drop_table("run_costs")
