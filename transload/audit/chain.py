"""The chain of events: each names the hash of the one before.

`hash` of an event = SHA-256 of the canonical JSON object (sorted keys, UTF-8, no spaces) of the fields in `HASHED_FIELDS`, times as RFC 3339 in UTC
with microseconds. The payload enters by `payload_digest` = SHA-256(salt || payload): it can be erased, the chain still verifies, and the salt keeps a
short payload from being guessed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final

import orjson

from transload.audit.merkle import root_of_peaks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

FIRST_PREVIOUS_HASH: Final = "0" * 64
"""What the first event names as the hash before it."""
HASHED_FIELDS: Final = (
    "migration_id",
    "sequence",
    "event_time",
    "kind",
    "actor",
    "key",
    "source_key",
    "target_id",
    "result",
    "payload_digest",
    "previous_hash",
)


@dataclass(frozen=True, slots=True)
class ChainHead:
    """Where a trail stands: its last event, and the Merkle tree over all of them."""

    sequence: int = 0
    hash: str = FIRST_PREVIOUS_HASH
    peaks: tuple[bytes, ...] = ()
    """Roots of the tree's perfect subtrees, largest first; all that is needed to let it grow."""

    @property
    def root_hash(self) -> str:
        """Root (hex) of the tree."""
        return root_of_peaks(self.peaks).hex()


def event_hash(hashed: Mapping[str, str | int]) -> str:
    """Answer the hash (hex) of an event from exactly the fields in `HASHED_FIELDS`."""
    return hashlib.sha256(orjson.dumps(hashed, option=orjson.OPT_SORT_KEYS)).hexdigest()


def payload_digest(salt: bytes, payload: bytes) -> str:
    """Answer the digest (hex) under which an event names its payload."""
    return hashlib.sha256(salt + payload).hexdigest()


def format_time(time: datetime) -> str:
    """Write a time as it is hashed: RFC 3339 in UTC with microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
