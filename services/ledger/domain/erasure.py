"""Taking personal data of one subject, or of a whole migration, out of the ledger."""

from dataclasses import dataclass, field
from typing import Final

__all__ = ["ERASED", "FIGURES", "ErasedCount", "Mentions"]

ERASED: Final = "payload.erased"
"""Kind of the events that say what was erased; their payloads hold no personal data and stay."""
FIGURES: Final = (ERASED, "phase.reconciled", "reconciliation.finished")
"""Kinds of events whose payloads are figures only: sums, and what statements follow from. They stay when everything is erased."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """Where a text stands in what can be erased."""

    source_keys: frozenset[str] = frozenset()
    """`{entity}/{id}` of the source records whose records, events or messages hold it."""
    event_sequences: tuple[int, ...] = ()
    """Events of no record whose payload holds it."""


@dataclass(slots=True)
class ErasedCount:
    """What was erased, or would be."""

    payload_count: int = 0
    """Payloads of events."""
    message_count: int = 0
    """Messages of records, source records and review items."""
    row_count: int = 0
    """Rows of the diff and of the last reconciliation."""
    image_count: int = 0
    """Records whose images, pre-images or open intents were erased."""
    kept_image_count: int = 0
    """Records whose images stay, because a rollback or a delta compares with them."""
    source_keys: list[str] = field(default_factory=list)
    """Source records concerned; empty for a whole migration."""

    @property
    def is_nothing(self) -> bool:
        """True when there was nothing left to erase."""
        return not (self.payload_count or self.message_count or self.row_count or self.image_count)
