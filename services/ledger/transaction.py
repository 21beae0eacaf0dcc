"""What the ledger's rules write to its storage, in one transaction with the events that tell of it."""

from collections.abc import Collection, Sequence
from collections.abc import Mapping as Map
from datetime import datetime
from typing import Protocol

from services.ledger.domain import (
    Batch,
    BatchState,
    BudgetTerm,
    ErasedCount,
    EventDraft,
    Extraction,
    ExtractionEntity,
    Kept,
    KeptReason,
    Manifest,
    Mapping,
    MatchCandidate,
    MatchReading,
    Migration,
    OutboxMessage,
    Page,
    PageWork,
    Record,
    Report,
    ReportKind,
    Resolution,
    ReviewItem,
    Run,
    SourceIssue,
    SourceRecord,
)
from services.ledger.reader import Reader
from transload.audit.heads import AuditHead


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
