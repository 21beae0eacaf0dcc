"""Sign the trail: a Merkle tree over each migration's events, and signed heads of it."""

import sqlalchemy as sa
from alembic import op

from transload.audit.merkle import grow

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQLITE_TRIGGERS = (
    "CREATE TRIGGER audit_heads_keep BEFORE UPDATE ON audit_heads BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END",
    "CREATE TRIGGER audit_heads_stay BEFORE DELETE ON audit_heads BEGIN SELECT RAISE(ABORT, 'signed heads are append-only'); END",
)
_POSTGRESQL_TRIGGERS = (
    "CREATE TRIGGER audit_heads_keep BEFORE UPDATE OR DELETE ON audit_heads FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER audit_heads_stay BEFORE TRUNCATE ON audit_heads FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audit_heads",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("tree_size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("root_hash", sa.String(), nullable=False),
        sa.Column("chain_hash", sa.String(), nullable=False),
        sa.Column("sign_time", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["migration_id"], ["migrations.migration_id"]),
        sa.PrimaryKeyConstraint("migration_id", "tree_size", "public_key"),
    )
    op.add_column("heads", sa.Column("event_peaks", sa.LargeBinary(), nullable=False, server_default=sa.text("''")))
    with op.batch_alter_table("heads") as heads:
        heads.alter_column("event_peaks", server_default=None)
    _grow_trees(op.get_bind())
    for trigger in _POSTGRESQL_TRIGGERS if op.get_bind().dialect.name == "postgresql" else _SQLITE_TRIGGERS:
        op.execute(trigger)


def downgrade() -> None:
    """Take back."""
    op.drop_table("audit_heads")
    op.drop_column("heads", "event_peaks")


def _grow_trees(connection: sa.Connection) -> None:
    """Make the tree of events that were written before there were trees."""
    names = connection.execute(sa.text("SELECT migration_id FROM heads WHERE event_sequence > 0")).scalars().all()
    for migration_id in names:
        peaks: list[bytes] = []
        hashes = connection.execute(
            sa.text("SELECT hash FROM events WHERE migration_id = :migration_id ORDER BY sequence"), {"migration_id": migration_id}
        ).scalars()
        for size, one in enumerate(hashes):
            grow(peaks, size, bytes.fromhex(one))
        connection.execute(
            sa.text("UPDATE heads SET event_peaks = :peaks WHERE migration_id = :migration_id"),
            {"peaks": b"".join(peaks), "migration_id": migration_id},
        )
