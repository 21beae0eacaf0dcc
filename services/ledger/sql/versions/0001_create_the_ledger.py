"""Create the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


_TABLES = (
    "migrations",
    "heads",
    "runs",
    "mappings",
    "manifests",
    "reports",
    "report_rows",
    "extractions",
    "extraction_entities",
    "pages",
    "source_budgets",
    "source_records",
    "source_issues",
    "page_work",
    "batches",
    "outbox",
    "requests",
    "records",
    "review_items",
    "events",
    "event_payloads",
)

# Events are written once; payloads can be erased, never changed.
_SQLITE_TRIGGERS = (
    "CREATE TRIGGER events_keep BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    "CREATE TRIGGER events_stay BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END",
    "CREATE TRIGGER event_payloads_keep BEFORE UPDATE ON event_payloads BEGIN SELECT RAISE(ABORT, 'payloads are erased, not changed'); END",
)
_POSTGRESQL_TRIGGERS = (
    "CREATE FUNCTION refuse_change() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'events are append-only'; END $$ LANGUAGE plpgsql",
    "CREATE TRIGGER events_keep BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER events_stay BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER event_payloads_keep BEFORE UPDATE ON event_payloads FOR EACH ROW EXECUTE FUNCTION refuse_change()",
)


def upgrade() -> None:
    """Apply."""
    _create_migrations()
    _create_extraction()
    _create_work()
    _create_records()
    _create_trail()
    triggers = _POSTGRESQL_TRIGGERS if op.get_bind().dialect.name == "postgresql" else _SQLITE_TRIGGERS
    for trigger in triggers:
        op.execute(trigger)


def downgrade() -> None:
    """Take back."""
    for table in reversed(_TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")


def _create_migrations() -> None:
    """Migrations, runs and documents."""
    op.create_table(
        "migrations",
        sa.Column("migration_id", sa.String(length=63), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("connector", sa.String(), nullable=False),
        sa.Column("source_connection", sa.String(), nullable=False),
        sa.Column("target_connection", sa.String(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("pause_kind", sa.String(), nullable=False),
        sa.Column("pause_reason", sa.String(), nullable=False),
        sa.Column("pause_message", sa.Text(), nullable=False),
        sa.Column("resume_time", sa.BigInteger(), nullable=True),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("mapping_version", sa.Integer(), nullable=False),
        sa.Column("mapping_digest", sa.String(), nullable=False),
        sa.Column("confirmed_digest", sa.String(), nullable=False),
        sa.Column("manifest_digest", sa.String(), nullable=False),
        sa.Column("diff_digest", sa.String(), nullable=False),
        sa.Column("approved_digest", sa.String(), nullable=False),
        sa.Column("approver", sa.String(), nullable=False),
        sa.Column("approve_time", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('created', 'audited', 'confirmed', 'prepared', 'sampled', 'approved', 'loaded', 'completed', 'rolled_back')",
            name="state_known",
        ),
        sa.PrimaryKeyConstraint("migration_id"),
    )
    op.create_index(op.f("ix_migrations_target_connection"), "migrations", ["target_connection"], unique=False)
    op.create_table(
        "heads",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("event_sequence", sa.BigInteger(), nullable=False),
        sa.Column("event_hash", sa.String(), nullable=False),
        sa.Column("page_sequence", sa.BigInteger(), nullable=False),
        sa.Column("create_order", sa.BigInteger(), nullable=False),
        sa.Column("review_order", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("migration_id"),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("token_count", sa.BigInteger(), nullable=False),
        sa.Column("planned_token_count", sa.BigInteger(), nullable=False),
        sa.Column("extraction_id", sa.String(), nullable=False),
        sa.Column("manifest_digest", sa.String(), nullable=False),
        sa.Column("snapshot_sequence", sa.BigInteger(), nullable=False),
        sa.Column("selection_digest", sa.String(), nullable=False),
        sa.Column("after_sequence", sa.BigInteger(), nullable=False),
        sa.Column("context_json", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('running', 'succeeded', 'failed', 'cancelled')", name="state_known"),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("ix_runs_migration_start", "runs", ["migration_id", "start_time"], unique=False)
    op.create_index(op.f("ix_runs_state"), "runs", ["state"], unique=False)
    op.create_table(
        "mappings",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("mapping_yaml", sa.Text(), nullable=False),
        sa.Column("findings_json", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("migration_id", "version"),
    )
    op.create_table(
        "manifests",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "reports",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("migration_id", "kind"),
    )
    op.create_table(
        "report_rows",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("migration_id", "kind", "position"),
    )


def _create_extraction() -> None:
    """What was read."""
    op.create_table(
        "extractions",
        sa.Column("extraction_id", sa.String(), nullable=False),
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("changed_since", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("resume_time", sa.BigInteger(), nullable=True),
        sa.Column("source_call_count", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("extraction_id"),
    )
    op.create_index(op.f("ix_extractions_migration_id"), "extractions", ["migration_id"], unique=False)
    op.create_table(
        "extraction_entities",
        sa.Column("extraction_id", sa.String(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("next_page_number", sa.Integer(), nullable=False),
        sa.Column("record_count", sa.BigInteger(), nullable=False),
        sa.Column("is_read", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("resume_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["extraction_id"],
            ["extractions.extraction_id"],
        ),
        sa.PrimaryKeyConstraint("extraction_id", "entity"),
    )
    op.create_table(
        "pages",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("page_id", sa.String(), nullable=False),
        sa.Column("extraction_id", sa.String(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("page_number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("record_count", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("next_cursor", sa.Text(), nullable=False),
        sa.Column("read_time", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("trace_parent", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("migration_id", "page_id"),
    )
    op.create_index("ix_pages_sequence", "pages", ["migration_id", "sequence"], unique=True)
    op.create_table(
        "source_budgets",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("used_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "day"),
    )
    op.create_table(
        "source_records",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("page_id", sa.String(), nullable=False),
        sa.Column("page_sequence", sa.BigInteger(), nullable=False),
        sa.Column("extraction_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("migration_id", "entity", "source_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_source_records_page", "source_records", ["migration_id", "page_id"], unique=False)
    op.create_table(
        "source_issues",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("entity", sa.String(), nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("migration_id", "entity", "source_id", "phase"),
        sqlite_with_rowid=False,
    )


def _create_work() -> None:
    """Work on its way."""
    op.create_table(
        "page_work",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("page_id", sa.String(), nullable=False),
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.CheckConstraint("state IN ('announced', 'transformed', 'final')", name="state_known"),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.run_id"],
        ),
        sa.PrimaryKeyConstraint("run_id", "phase", "page_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_page_work_state", "page_work", ["run_id", "phase", "state"], unique=False)
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.String(), nullable=False),
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("target_entity", sa.String(), nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("record_count", sa.Integer(), nullable=False),
        sa.Column("page_id", sa.String(), nullable=False),
        sa.Column("is_undo", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.CheckConstraint("state IN ('expected', 'begun', 'final')", name="state_known"),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.run_id"],
        ),
        sa.PrimaryKeyConstraint("batch_id"),
    )
    op.create_index("ix_batches_page", "batches", ["run_id", "page_id", "phase"], unique=False)
    op.create_index("ix_batches_run", "batches", ["run_id", "phase", "state"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("order", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("trace_parent", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("order"),
        sa.UniqueConstraint("message_id"),
    )
    op.create_table(
        "requests",
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_index(op.f("ix_requests_create_time"), "requests", ["create_time"], unique=False)


def _create_records() -> None:
    """Mapped records and the review queue."""
    op.create_table(
        "records",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("target_entity", sa.String(), nullable=False),
        sa.Column("source_entity", sa.String(), nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("phase", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("target_id", sa.String(), nullable=False),
        sa.Column("parent_target_id", sa.String(), nullable=False),
        sa.Column("payload_digest", sa.String(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("pre_image", sa.Text(), nullable=False),
        sa.Column("is_preexisting", sa.Boolean(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("claim_action", sa.String(), nullable=False),
        sa.Column("claim_token", sa.String(), nullable=False),
        sa.Column("claim_batch_id", sa.String(), nullable=False),
        sa.Column("claim_expire_time", sa.BigInteger(), nullable=True),
        sa.Column("intent_time", sa.BigInteger(), nullable=True),
        sa.Column("intent_digest", sa.String(), nullable=False),
        sa.Column("intent_record", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("resolution", sa.String(), nullable=False),
        sa.Column("create_order", sa.BigInteger(), nullable=False),
        sa.Column("undo_run_id", sa.String(), nullable=False),
        sa.Column("update_time", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('expected', 'claimed', 'in_doubt', 'loaded', 'matched', 'skipped', 'rejected', 'waiting', 'undone')", name="state_known"
        ),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("migration_id", "key"),
    )
    op.create_index("ix_records_phase", "records", ["migration_id", "phase", "target_entity"], unique=False)
    op.create_index("ix_records_source", "records", ["migration_id", "source_entity", "source_id", "state"], unique=False)
    op.create_index(
        "ix_records_target",
        "records",
        ["target_entity", "target_id"],
        unique=False,
        sqlite_where=sa.text("target_id <> ''"),
        postgresql_where=sa.text("target_id <> ''"),
    )
    op.create_table(
        "review_items",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("review_item_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("source_key", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("is_blocking", sa.Boolean(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("order", sa.BigInteger(), nullable=False),
        sa.Column("resolution", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("resolve_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("migration_id", "review_item_id"),
    )
    op.create_index("ix_review_items_key", "review_items", ["migration_id", "key"], unique=False)
    op.create_index("ix_review_items_order", "review_items", ["migration_id", "order"], unique=True)
    op.create_index("ix_review_items_source", "review_items", ["migration_id", "source_key"], unique=False)


def _create_trail() -> None:
    """The audit trail."""
    op.create_table(
        "events",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_time", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("source_key", sa.String(), nullable=False),
        sa.Column("target_id", sa.String(), nullable=False),
        sa.Column("result", sa.String(), nullable=False),
        sa.Column("payload_digest", sa.String(), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["migration_id"],
            ["migrations.migration_id"],
        ),
        sa.PrimaryKeyConstraint("migration_id", "sequence"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_events_source",
        "events",
        ["migration_id", "source_key", "sequence"],
        unique=False,
        sqlite_where=sa.text("source_key <> ''"),
        postgresql_where=sa.text("source_key <> ''"),
    )
    op.create_table(
        "event_payloads",
        sa.Column("migration_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("salt", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("migration_id", "sequence"),
    )
