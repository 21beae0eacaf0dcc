"""The streams and their consumers, as data. NATS carries work, it does not remember it: all of it can be announced again from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A work queue: a message is gone once its one consumer acknowledged it; a full queue refuses more, which is our back-pressure.

    Attributes:
        name: upper-case name.
        messages_max: most messages waiting.
        bytes_max: most bytes waiting.
        duplicate_window_seconds: how long a message id is remembered; the ledger is the real guard.
    """

    name: str
    messages_max: int
    bytes_max: int
    duplicate_window_seconds: float = 120.0

    @property
    def subjects(self) -> str:
        """Every subject of the stream."""
        return f"{self.name.lower()}.>"

    def subject(self, migration_id: str, kind: str) -> str:
        """Answers the subject of one migration's messages; `kind` is the entity (RAW) or the phase's name (MAPPED)."""
        return f"{self.name.lower()}.{migration_id}.{kind}"


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """The one consumer of a work queue, shared by all replicas of a service.

    Attributes:
        stream: what it reads.
        name: its service's name.
        ack_wait_seconds: a message without answer or sign of life for that long is handed to somebody else.
        unanswered_max: most messages in hand over all replicas.
    """

    stream: StreamSpec
    name: str
    ack_wait_seconds: float = 30.0
    unanswered_max: int = 1_000


RAW: Final = StreamSpec("RAW", messages_max=20_000, bytes_max=64 * MEBIBYTE)
"""`raw.<migration_id>.<entity>`: `PageAnnouncement`s, ledger to transformer."""

MAPPED: Final = StreamSpec("MAPPED", messages_max=5_000, bytes_max=256 * MEBIBYTE)
"""`mapped.<migration_id>.<phase>`: `MappedBatch`es, transformer (and ledger, for schema and rollback) to loader."""

TRANSFORMER: Final = ConsumerSpec(RAW, "transformer")
LOADER: Final = ConsumerSpec(MAPPED, "loader", unanswered_max=2 * MAPPED.messages_max)
"""More than the stream holds: batches of a company whose budget is used up come back later, and all of them together must not keep others back."""

STREAMS: Final = (RAW, MAPPED)
CONSUMERS: Final = (TRANSFORMER, LOADER)
