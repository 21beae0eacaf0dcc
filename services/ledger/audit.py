"""The audit trail's chain (L-14): pure functions that make it and that find every change to it.

`hash` of an event = SHA-256 of the canonical JSON object of the fields in `HASHED_FIELDS`, times as RFC 3339 with microseconds. An event names the
hash of the one before, so no event can be changed, left out or put in between without all later hashes changing. The payload enters by
`payload_digest` = SHA-256(salt || payload): it can be erased, the chain still verifies, and the salt keeps a short payload from being guessed.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from services.common.canonical import canonical_json
from services.ledger.domain import AuditVerdict, Event, EventDraft
from services.ledger.repository import Reader

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
SALT_BYTES: Final = 16
_WALK_EVENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The last event of a chain."""

    sequence: int = 0
    hash: str = FIRST_PREVIOUS_HASH


def new_salt() -> bytes:
    """Answer a fresh random salt."""
    return secrets.token_bytes(SALT_BYTES)


def payload_digest(salt: bytes, payload: bytes) -> str:
    """Answer the digest under which an event names its payload."""
    return hashlib.sha256(salt + payload).hexdigest()


def event_hash(event: Event) -> str:
    """Compute the hash of an event from its fields."""
    hashed = {name: getattr(event, name) for name in HASHED_FIELDS}
    return _hash(hashed | {"event_time": format_time(event.event_time)})


def _hash(hashed: Mapping[str, str | int]) -> str:
    return hashlib.sha256(canonical_json(hashed)).hexdigest()


def format_time(time: datetime) -> str:
    """Write a time as it is hashed: RFC 3339 in UTC with microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def chain(
    migration_id: str, head: ChainHead, drafts: Iterable[EventDraft], now: datetime, salt: Callable[[], bytes] = new_salt
) -> tuple[list[Event], ChainHead]:
    """Turn drafts into events that follow `head`; answers them and the new head."""
    events: list[Event] = []
    sequence, last_hash, time = head.sequence, head.hash, format_time(now)
    for draft in drafts:
        payload, salt_bytes = b"", b""
        if draft.payload is not None:
            payload, salt_bytes = canonical_json(dict(draft.payload)), salt()
        sequence += 1
        hashed: dict[str, Any] = {
            "migration_id": migration_id,
            "sequence": sequence,
            "event_time": time,
            "kind": draft.kind,
            "actor": draft.actor,
            "key": draft.key,
            "source_key": draft.source_key,
            "target_id": draft.target_id,
            "result": draft.result,
            "payload_digest": payload_digest(salt_bytes, payload) if salt_bytes else "",
            "previous_hash": last_hash,
        }
        last_hash = _hash(hashed)
        events.append(Event(**(hashed | {"event_time": now}), hash=last_hash, payload=payload, salt=salt_bytes.hex()))
    return events, ChainHead(sequence, last_hash)


def find_break(head: ChainHead, events: Iterable[Event]) -> tuple[ChainHead, int, str]:
    """Check that events follow `head`.

    Answers the new head and, for the first event that does not fit, its sequence and what is wrong; 0 and nothing: all fit.
    """
    for event in events:
        expected = head.sequence + 1
        if event.sequence != expected:
            return head, expected, f"event {expected} is missing: {event.sequence} follows {head.sequence}"
        if event.previous_hash != head.hash:
            return head, expected, f"event {expected} does not name the hash of the event before it"
        if event_hash(event) != event.hash:
            return head, expected, f"event {expected} was changed: its hash does not fit its fields"
        if event.salt and payload_digest(bytes.fromhex(event.salt), event.payload) != event.payload_digest:
            return head, expected, f"the payload of event {expected} was changed"
        if event.payload and not event.salt:
            return head, expected, f"event {expected} has a payload it was not written with"
        head = ChainHead(event.sequence, event.hash)
    return head, 0, ""


async def verify_trail(reader: Reader, migration_id: str) -> AuditVerdict:
    """Walk the whole chain of a migration and compare its end with the head the ledger keeps, so that a cut-off end is found, too."""
    head = ChainHead()
    while True:
        events: Sequence[Event] = await reader.list_events(migration_id, after_sequence=head.sequence, limit=_WALK_EVENTS)
        head, broken, message = find_break(head, events)
        if broken:
            return AuditVerdict(is_whole=False, event_count=head.sequence, broken_sequence=broken, head_hash=head.hash, message=message)
        if len(events) < _WALK_EVENTS:
            break
    last_sequence, last_hash = await reader.chain_head(migration_id)
    if (last_sequence, last_hash) != (head.sequence, head.hash):
        missing = min(head.sequence, last_sequence) + 1
        message = f"the trail ends at event {head.sequence}, the ledger wrote up to {last_sequence}"
        return AuditVerdict(is_whole=False, event_count=head.sequence, broken_sequence=missing, head_hash=head.hash, message=message)
    return AuditVerdict(
        is_whole=True, event_count=head.sequence, broken_sequence=0, head_hash=head.hash, message="every event follows from the one before"
    )
