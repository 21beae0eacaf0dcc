"""What the ledger's rules read of its storage. Errors of the database arrive as `UnavailableError`."""

from collections.abc import Collection, Sequence
from typing import Protocol

from services.ledger.domain import (
    Batch,
    BatchState,
    BudgetTerm,
    EntityCount,
    Event,
    Extraction,
    ExtractionEntity,
    Kept,
    KeptReason,
    Manifest,
    Mapping,
    MatchCandidate,
    MatchReading,
    Mentions,
    Migration,
    OutboxMessage,
    Page,
    PageWork,
    PhaseCount,
    PhaseProgress,
    Record,
    RecordFilter,
    Report,
    ReportKind,
    ReviewFilter,
    ReviewItem,
    Run,
    RunCost,
    RunResult,
    RunState,
    SourceIssue,
    SourceRecord,
    Standing,
    TargetCount,
    UndoCount,
    WorkState,
)
from transload.audit.chain import ChainHead
from transload.audit.heads import AuditHead


class Reader(Protocol):
    """Queries on one consistent view of the ledger."""

    # migrations and runs
    async def get_migration(self, migration_id: str) -> Migration | None:
        """Answer one migration."""
        ...

    async def list_migrations(self, *, after: str = "", limit: int = 500) -> Sequence[Migration]:
        """List migrations newest first; `after` is the id of the last one of the page before."""
        ...

    async def list_migrations_of_target(self, target_connection: str) -> Sequence[Migration]:
        """List migrations into a target connection."""
        ...

    async def get_run(self, run_id: str) -> Run | None:
        """Answer one run."""
        ...

    async def list_runs(self, migration_id: str) -> Sequence[Run]:
        """List the runs of a migration, oldest first."""
        ...

    async def list_run_costs(self, migration_id: str) -> Sequence[RunCost]:
        """List what the runs of a migration spent, by run and target entity."""
        ...

    async def list_run_results(self, run_id: str) -> Sequence[RunResult]:
        """List what a run brought about, by target entity and result."""
        ...

    async def get_budget_term(self, connection: str) -> BudgetTerm | None:
        """Answer who may grant from a target connection's budget."""
        ...

    async def latest_run(self, migration_id: str) -> Run | None:
        """Answer the run that began last."""
        ...

    async def list_runs_by_state(self, state: RunState) -> Sequence[Run]:
        """List runs of all migrations in a state, oldest first."""
        ...

    async def find_mentions(self, migration_id: str, text: str) -> Mentions:
        """Find every record, event, message and review item that holds a text, in any case."""
        ...

    # extraction
    async def get_extraction(self, extraction_id: str) -> Extraction | None:
        """Answer one extraction."""
        ...

    async def list_extractions(self, migration_id: str) -> Sequence[Extraction]:
        """List the extractions of a migration, oldest first."""
        ...

    async def list_extraction_entities(self, extraction_id: str) -> Sequence[ExtractionEntity]:
        """List the entities of an extraction that were begun."""
        ...

    async def get_pages(self, migration_id: str, page_ids: Collection[str]) -> Sequence[Page]:
        """Answer pages by id, ordered by sequence."""
        ...

    async def list_pages(
        self, migration_id: str, *, after_sequence: int = 0, until_sequence: int = 0, limit: int = 1000, entity: str = ""
    ) -> Sequence[Page]:
        """List pages by sequence, above `after_sequence` and up to `until_sequence` (0: all)."""
        ...

    async def page_sequence(self, migration_id: str) -> int:
        """Answer the sequence of the last page; 0: none."""
        ...

    async def source_calls_used(self, connection: str, day: str) -> int:
        """Answer the calls taken from a source connection's budget of a day."""
        ...

    # work
    async def get_page_work(self, run_id: str, page_id: str, phase: int) -> PageWork | None:
        """Answer the work on one page in one phase of a run."""
        ...

    async def list_page_work(self, run_id: str, phase: int, states: Collection[WorkState] = (), *, limit: int = 1000) -> Sequence[PageWork]:
        """List the work of a phase in the order of the pages; no states: all."""
        ...

    async def get_batch(self, batch_id: str) -> Batch | None:
        """Answer one batch."""
        ...

    async def list_batches(self, run_id: str, phase: int, states: Collection[BatchState] = (), *, limit: int = 1000) -> Sequence[Batch]:
        """List batches of a phase by id; no states: all."""
        ...

    async def phase_progress(self, run_id: str, phase: int) -> PhaseProgress:
        """Count the work of a phase."""
        ...

    # records
    async def get_records(self, migration_id: str, keys: Collection[str]) -> dict[str, Record]:
        """Answer mapped records by key; unknown keys are left out."""
        ...

    async def get_standings(self, migration_id: str, keys: Collection[str]) -> dict[str, Standing]:
        """Answer of mapped records only how they stand; unknown keys are left out."""
        ...

    async def list_records(self, migration_id: str, which: RecordFilter, *, after_key: str = "", limit: int = 1000) -> Sequence[Record]:
        """List mapped records by key."""
        ...

    async def list_records_of_source(self, migration_id: str, source_entity: str, source_id: str) -> Sequence[Record]:
        """List what a source record became, by phase and key."""
        ...

    async def list_records_of_sources(self, migration_id: str, phase: int, source_entity: str, source_ids: Collection[str]) -> Sequence[Record]:
        """List what several source records of one entity became in a phase."""
        ...

    async def list_records_by_parent(self, migration_id: str, target_entity: str, parent_target_ids: Collection[str]) -> Sequence[Record]:
        """List records of a target entity that hang on these (line items, relations), by key."""
        ...

    async def list_records_by_target(self, migration_id: str, target_entity: str, target_ids: Collection[str]) -> Sequence[Record]:
        """List records of a target entity by their ids in Pipedrive, those taken back, too; several may stand under one."""
        ...

    async def list_records_to_undo(
        self, migration_id: str, phase: int, target_entity: str, *, run_id: str = "", is_selected: bool = False, limit: int = 1000
    ) -> Sequence[Record]:
        """List records with something to take back (created, changed, in doubt), the latest first.

        Undone ones drop out, and so do those the rollback run `run_id` is done with (kept, refused): repeat from the start until nothing comes.
        With `is_selected` only those `add_undo_selection` noted for the run.
        """
        ...

    async def count_records_to_undo(self, migration_id: str, *, selected_by: str = "") -> Sequence[UndoCount]:
        """Count what a rollback would do, by phase and target entity, last phase first; `selected_by` a run: only what it selected."""
        ...

    async def find_targets(self, target_connection: str, target_entity: str, target_ids: Collection[str]) -> dict[str, str]:
        """Say to which keys target ids belong, over all migrations into this connection."""
        ...

    async def count_records(self, migration_id: str, which: RecordFilter) -> int:
        """Count mapped records."""
        ...

    # what rollbacks kept
    async def list_kept(self, migration_id: str, *, after_key: str = "", limit: int = 1000) -> Sequence[Kept]:
        """List what was kept, by key."""
        ...

    async def count_kept(self, migration_id: str, reasons: Collection[KeptReason]) -> int:
        """Count what was kept for one of these reasons."""
        ...

    # matching
    async def get_match_reading(self, migration_id: str, target_entity: str) -> MatchReading | None:
        """Answer how far the records in Pipedrive of an entity have been read."""
        ...

    async def find_match_candidates(self, migration_id: str, target_entity: str, digests: Collection[str]) -> Sequence[MatchCandidate]:
        """Answer the candidates that have one of these keys, by name; of their digests only those asked for."""
        ...

    # source records
    async def get_source_record(self, migration_id: str, entity: str, source_id: str) -> SourceRecord | None:
        """Answer one source record."""
        ...

    async def get_source_records(self, migration_id: str, entity: str, source_ids: Collection[str]) -> dict[str, SourceRecord]:
        """Answer source records of one entity by source id."""
        ...

    async def list_source_ids(self, migration_id: str, page_id: str) -> Sequence[str]:
        """List source ids whose latest version stands in this page."""
        ...

    async def get_source_issues(self, migration_id: str, phase: int, entity: str, source_ids: Collection[str]) -> Sequence[SourceIssue]:
        """Answer the issues a phase has with source records of one entity."""
        ...

    async def list_source_issues(
        self, migration_id: str, *, entity: str = "", source_id: str = "", state: str = "", reason: str = "", after: str = "", limit: int = 1000
    ) -> Sequence[SourceIssue]:
        """List issues of source records as a whole, ordered by source key; `after` is the last source key of the page before."""
        ...

    async def summarize_sources(self, migration_id: str) -> Sequence[EntityCount]:
        """Count source records by entity and state (X-04), ordered by entity."""
        ...

    async def summarize_phases(self, migration_id: str) -> Sequence[PhaseCount]:
        """Count mapped records by phase and state."""
        ...

    async def summarize_targets(self, migration_id: str) -> Sequence[TargetCount]:
        """Count mapped records by target entity and state, in phase order."""
        ...

    async def source_state(self, migration_id: str, entity: str, source_id: str) -> str:
        """Answer the X-04 state of one source record (`SourceState`); empty: unknown record."""
        ...

    # review
    async def list_review_items(self, migration_id: str, which: ReviewFilter, *, after_order: int = 0, limit: int = 1000) -> Sequence[ReviewItem]:
        """List review items, oldest first."""
        ...

    async def count_open_review_items_by_reason(self, migration_id: str) -> dict[str, int]:
        """Count open review items by reason."""
        ...

    async def count_open_review_items(self, migration_id: str, *, is_blocking: bool | None = None) -> int:
        """Count open review items."""
        ...

    # audit trail
    async def event_sequence(self, migration_id: str) -> int:
        """Answer the sequence of the last event; 0: none."""
        ...

    async def chain_head(self, migration_id: str) -> ChainHead:
        """Answer where the trail stands; the first head when there is no event."""
        ...

    async def latest_audit_head(self, migration_id: str) -> AuditHead | None:
        """Answer the signed head that reaches furthest; None: there is none."""
        ...

    async def list_audit_heads(self, migration_id: str, *, from_size: int = 0) -> Sequence[AuditHead]:
        """List signed heads of at least this size, smallest first."""
        ...

    async def list_event_hashes(self, migration_id: str, *, after_sequence: int = 0, limit: int = 1000) -> Sequence[str]:
        """List the hashes (hex) of events in order."""
        ...

    async def list_events(self, migration_id: str, *, after_sequence: int = 0, limit: int = 1000) -> Sequence[Event]:
        """List events in order, with payloads."""
        ...

    async def list_events_of_source(self, migration_id: str, source_key: str, *, limit: int = 1000) -> Sequence[Event]:
        """List events that concern a source record or what it became, in order."""
        ...

    async def last_event(self, migration_id: str, kind: str) -> Event | None:
        """Answer the last event of a kind."""
        ...

    # documents
    async def get_mapping(self, migration_id: str, version: int = 0) -> Mapping | None:
        """Answer a version of the mapping; 0: the latest."""
        ...

    async def get_manifest(self, digest: str) -> Manifest | None:
        """Answer a manifest."""
        ...

    async def get_report(self, migration_id: str, kind: ReportKind) -> Report | None:
        """Answer the latest report of a kind."""
        ...

    async def list_report_rows(self, migration_id: str, kind: ReportKind, *, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, bytes]]:
        """List rows of a report as (position from 1, content)."""
        ...

    # plumbing
    async def count_outbox(self) -> int:
        """Count queued messages."""
        ...

    async def list_outbox(self, *, limit: int = 256) -> Sequence[OutboxMessage]:
        """List messages that are not published yet, in order."""
        ...

    async def get_response(self, request_id: str) -> bytes | None:
        """Answer what was answered to a request before."""
        ...
