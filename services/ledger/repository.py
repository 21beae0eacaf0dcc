"""What the ledger's rules ask of its storage.

`Ledger.transaction()` is the unit of work: all writes of one decision and the events that tell of them stand in one transaction, or none does.
There is one writer at a time; a transaction sees everything committed before it, so read-modify-write inside it is safe. After a commit the
listeners hear which migrations changed.

Errors of the database arrive as `UnavailableError`; a caller repeats the whole transaction.
"""

from collections.abc import Callable, Collection, Coroutine, Sequence
from collections.abc import Mapping as Map
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar

from services.ledger.domain import (
    Batch,
    BatchState,
    BudgetTerm,
    EntityCount,
    ErasedCount,
    Event,
    EventDraft,
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
    PhaseProgress,
    Record,
    RecordFilter,
    Report,
    ReportKind,
    Resolution,
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

    async def count_report_rows(self, migration_id: str, kind: ReportKind) -> int:
        """Count rows of a report."""
        ...

    # plumbing
    async def list_outbox(self, *, limit: int = 256) -> Sequence[OutboxMessage]:
        """List messages that are not published yet, in order."""
        ...

    async def get_response(self, request_id: str) -> bytes | None:
        """Answer what was answered to a request before."""
        ...


class Transaction(Reader, Protocol):
    """Queries and writes of one decision."""

    # audit trail
    async def append_event(self, migration_id: str, event: EventDraft) -> int:
        """Append one event and answer its sequence."""
        ...

    async def append_events(self, migration_id: str, events: Sequence[EventDraft]) -> int:
        """Append events in order and answer the last sequence."""
        ...

    async def save_audit_head(self, head: AuditHead) -> None:
        """Write a signed head; the same size and key again changes nothing."""
        ...

    # migrations and runs
    async def save_migration(self, migration: Migration) -> None:
        """Write a migration, new or changed."""
        ...

    async def save_run(self, run: Run) -> None:
        """Write a run, new or changed; its `token_count` is left alone."""
        ...

    async def save_budget_term(self, term: BudgetTerm) -> None:
        """Write who may grant from a target connection's budget."""
        ...

    async def add_run_tokens(self, run_id: str, token_count: int, *, target_entity: str) -> None:
        """Add tokens spent to a run; `target_entity` says on what: see `RunCost`."""
        ...

    async def add_run_results(self, run_id: str, counts: Map[tuple[str, str], int]) -> None:
        """Add to what a run brought about: (target entity, result) → count."""
        ...

    # extraction
    async def save_extraction(self, extraction: Extraction) -> None:
        """Write an extraction, new or changed; its `source_call_count` is left alone."""
        ...

    async def save_extraction_entity(self, entity: ExtractionEntity) -> None:
        """Write how far an entity has been read."""
        ...

    async def add_page(self, page: Page) -> int:
        """Write a new page and answer the sequence given to it."""
        ...

    async def save_source_records(self, records: Sequence[SourceRecord]) -> None:
        """Write source records, new or with a newer page."""
        ...

    async def debit_source_calls(self, connection: str, day: str, call_count: int) -> None:
        """Add calls to the used budget of a day."""
        ...

    async def add_source_calls(self, extraction_id: str, call_count: int) -> None:
        """Add calls to an extraction's count; an unknown extraction is no error."""
        ...

    # work
    async def save_page_work(self, work: Sequence[PageWork]) -> None:
        """Write page work, new or changed."""
        ...

    async def add_batches(self, batches: Sequence[Batch]) -> None:
        """Write new batches; known ones are left as they are."""
        ...

    async def drop_batches(self, run_id: str, page_id: str, phase: int, keep: Collection[str]) -> None:
        """Forget batches of a page's work that no longer come; final ones stay."""
        ...

    async def set_batch_state(self, batch_id: str, state: BatchState) -> None:
        """Move a batch on. Once all batches of a transformed page's work are final, that work is final, too."""
        ...

    async def finish_page_work(self, run_id: str, page_id: str, phase: int) -> bool:
        """Make transformed page work final if all its batches are; answer whether it is final."""
        ...

    # records
    async def add_records(self, records: Sequence[Record]) -> None:
        """Write new mapped records; known keys are left as they are."""
        ...

    async def save_records(self, records: Sequence[Record]) -> None:
        """Write mapped records, new or changed."""
        ...

    async def delete_records(self, migration_id: str, keys: Collection[str]) -> None:
        """Forget mapped records that never had an effect."""
        ...

    async def next_create_orders(self, migration_id: str, count: int) -> int:
        """Reserve consecutive creation orders and answer the first."""
        ...

    async def save_kept(self, kept: Sequence[Kept]) -> None:
        """Write what was kept, new or changed."""
        ...

    async def forget_kept(self, migration_id: str, *, reasons: Collection[KeptReason] = (), keys: Collection[str] = ()) -> None:
        """Forget what was kept: for these reasons, and these keys."""
        ...

    async def add_undo_selection(self, run_id: str, keys: Collection[str]) -> None:
        """Note records a partial rollback takes back; known ones are left as they are."""
        ...

    # matching
    async def save_match_reading(self, reading: MatchReading) -> None:
        """Write how far records were read."""
        ...

    async def save_match_candidates(self, candidates: Sequence[MatchCandidate]) -> None:
        """Write candidates of one migration and entity, new or with other keys."""
        ...

    async def forget_match_candidates(self, migration_id: str, target_entity: str, candidates: Collection[str]) -> None:
        """Forget candidates."""
        ...

    async def forget_match_targets(self, migration_id: str, target_entity: str) -> None:
        """Forget what was read from Pipedrive of an entity, and that it was: the next run reads it anew."""
        ...

    async def forget_match_index(self, migration_id: str) -> None:
        """Forget all candidates; what stands in Pipedrive is read anew when it is needed."""
        ...

    async def replace_source_issues(
        self, migration_id: str, phase: int, entity: str, source_ids: Collection[str], issues: Sequence[SourceIssue]
    ) -> None:
        """Replace the issues a phase has with source records of one entity."""
        ...

    async def skip_entity(self, migration_id: str, entity: str, reason: str, now: datetime) -> int:
        """Skip all source records of an entity that no phase takes (issue of phase 0); answer how many were new."""
        ...

    # review
    async def open_review_items(self, items: Sequence[ReviewItem]) -> None:
        """Open review items. A resolved blocking item opens again, a resolved flag stays resolved; open ones get the new message."""
        ...

    async def resolve_review_items(
        self, migration_id: str, review_item_ids: Collection[str], resolution: Resolution, actor: str, resolve_time: datetime
    ) -> int:
        """Resolve open items by id and answer how many were."""
        ...

    async def close_review_items(self, migration_id: str, keys: Collection[str], actor: str, resolve_time: datetime) -> int:
        """Resolve (`retry`) open blocking items of records that are no longer held up; answer how many were."""
        ...

    # documents
    async def add_mapping(self, mapping: Mapping) -> None:
        """Write a new version of the mapping."""
        ...

    async def save_manifest(self, manifest: Manifest) -> None:
        """Write a manifest; a known one is left as it is."""
        ...

    async def save_report(self, report: Report) -> None:
        """Write a report; the one of the same kind before is replaced."""
        ...

    async def replace_report_rows(self, migration_id: str, kind: ReportKind, rows: Sequence[bytes]) -> None:
        """Replace all rows of a report."""
        ...

    async def add_report_rows(self, migration_id: str, kind: ReportKind, rows: Sequence[bytes]) -> None:
        """Add rows to a report."""
        ...

    async def erase_records(self, migration_id: str, source_keys: Collection[str], *, with_images: bool) -> ErasedCount:
        """Erase what is kept of source records and what they became: payloads of their events, messages and, if wanted, images (not in doubt)."""
        ...

    async def erase_events(self, migration_id: str, sequences: Collection[int]) -> int:
        """Erase the payloads of some events; answers how many there were."""
        ...

    async def erase_report_rows(self, migration_id: str, kind: ReportKind, positions: Collection[int]) -> int:
        """Erase rows of a report; answers how many there were."""
        ...

    async def erase_payloads(self, migration_id: str, *, with_images: bool) -> ErasedCount:
        """Erase all personal data of a migration: event payloads, messages, reports and, if wanted, images. The chain still verifies."""
        ...

    # plumbing
    async def add_outbox(self, messages: Sequence[OutboxMessage]) -> None:
        """Queue messages; an id that is queued already is left as it is."""
        ...

    async def remove_outbox(self, orders: Collection[int]) -> None:
        """Remove messages that were published."""
        ...

    async def save_response(self, request_id: str, response: bytes, now: datetime) -> None:
        """Remember what was answered to a request."""
        ...


Item = TypeVar("Item")
Listener = Callable[[str], None]
"""Hears the id of a migration that changed; must not block and must not raise."""


class Ledger(Protocol):
    """The storage of the ledger."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin a unit of work: commits at the end of the block, rolls back when it raises."""
        ...

    def read(self) -> AbstractAsyncContextManager[Reader]:
        """Begin a consistent read that does not wait for the writer."""
        ...

    async def transact(self, work: Callable[[Transaction], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` as one unit of work and answer what it answers: cheaper than `transaction` for what is done for every record.

        It may run in another thread and may wait for nothing but the transaction.
        """
        ...

    async def look(self, work: Callable[[Reader], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` on one consistent state: cheaper than `read` for what is asked all the time.

        It may run in another thread and may wait for nothing but the reader.
        """
        ...

    def subscribe(self, listener: Listener, *, outbox_only: bool = False) -> Callable[[], None]:
        """Call `listener` after every commit that changed a migration, or only after those that queued messages; answers how to stop it."""
        ...

    def on_change(self, migration_id: str) -> None:
        """Tell the listeners that a migration changed. Transactions do this themselves after their commit."""
        ...

    async def scrub(self) -> None:
        """Leave nothing of what was erased in the files of the database, as far as it can. Raises UnavailableError: ask again."""
        ...

    async def ping(self) -> None:
        """Raise `UnavailableError` unless the database answers."""
        ...
