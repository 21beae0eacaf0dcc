"""Tell the tokens of a run apart by target entity, so that a plan can be held against them."""

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


def downgrade() -> None:
    """Take back."""
    op.drop_table("run_costs")
