"""Work that is handed out: pages to map, batches to load, messages to publish."""

from dataclasses import dataclass

from services.ledger.kinds import BatchState, WorkState

__all__ = ["Batch", "OutboxMessage", "PageWork"]


@dataclass(frozen=True, slots=True)
class PageWork:
    """One page to be mapped for one phase of a run."""

    run_id: str
    page_id: str
    phase: int
    migration_id: str
    state: WorkState = WorkState.ANNOUNCED
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Mapped records that are loaded (or taken back) together."""

    batch_id: str
    migration_id: str
    run_id: str
    phase: int
    target_entity: str
    keys: tuple[str, ...]
    page_id: str = ""
    """The page it came from; empty for batches the ledger makes itself (schema, undo)."""
    is_undo: bool = False
    state: BatchState = BatchState.EXPECTED


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """Something that must reach NATS. Published at least once, then removed."""

    subject: str
    message_id: str
    """`Nats-Msg-Id`; the same id twice in the outbox is once."""
    payload: bytes
    migration_id: str
    order: int = 0
    """Given by the ledger; published in this order."""
    trace_parent: str = ""
