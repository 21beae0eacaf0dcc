"""The audit trail's chain (L-14): makes it, signs how far it reaches, and finds every change to it. Its format is `transload.audit`."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from services.common.canonical import canonical_json
from services.common.errors import NotFoundError
from services.ledger.domain import AuditVerdict, Event, EventDraft
from services.ledger.repository import Reader, Transaction
from transload.audit import merkle
from transload.audit.chain import HASHED_FIELDS, ChainHead, event_hash, format_time, payload_digest
from transload.audit.heads import AuditHead, Signer
from transload.audit.merkle import grow, leaf_hash
from transload.audit.walk import BrokenError, ChainWalk

SALT_BYTES: Final = 16
_WALK_EVENTS: Final = 1000
_SUBTREE_EVENTS: Final = 1 << 14
"""Events of a tree that are computed at once; a power of two, so that they are a subtree."""


def new_salt() -> bytes:
    """Answer a fresh random salt."""
    return secrets.token_bytes(SALT_BYTES)


def hash_of(event: Event) -> str:
    """Compute the hash of an event from its fields."""
    return event_hash(_hashed(event))


def _hashed(event: Event) -> dict[str, Any]:
    hashed = {name: getattr(event, name) for name in HASHED_FIELDS}
    return hashed | {"event_time": format_time(event.event_time)}


def chain(
    migration_id: str, head: ChainHead, drafts: Iterable[EventDraft], now: datetime, salt: Callable[[], bytes] = new_salt
) -> tuple[list[Event], ChainHead]:
    """Turn drafts into events that follow `head`; answers them and the new head."""
    events: list[Event] = []
    sequence, last_hash, peaks, time = head.sequence, head.hash, list(head.peaks), format_time(now)
    for draft in drafts:
        payload, salt_bytes = b"", b""
        if draft.payload is not None:
            payload, salt_bytes = canonical_json(dict(draft.payload)), salt()
        hashed: dict[str, Any] = {
            "migration_id": migration_id,
            "sequence": sequence + 1,
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
        last_hash = event_hash(hashed)
        grow(peaks, sequence, bytes.fromhex(last_hash))
        sequence += 1
        events.append(Event(**(hashed | {"event_time": now}), hash=last_hash, payload=payload, salt=salt_bytes.hex()))
    return events, ChainHead(sequence, last_hash, tuple(peaks))


def find_break(head: ChainHead, events: Iterable[Event]) -> tuple[ChainHead, int, str]:
    """Check that events follow `head`.

    Answers the new head and, for the first event that does not fit, its sequence and what is wrong; 0 and nothing: all fit.
    """
    walk = ChainWalk(head)
    try:
        for event in events:
            walk.take(_hashed(event), event.hash, event.salt, event.payload)
    except BrokenError as error:
        return walk.head, walk.count + 1, str(error)
    return walk.head, 0, ""


async def sign_head(transaction: Transaction, signer: Signer, migration_id: str, now: datetime) -> AuditHead:
    """Sign how far the trail reaches now, once for each length; answers the signed head.

    A migration without events cannot be: its creation is the first.
    """
    head = await transaction.chain_head(migration_id)
    for known in await transaction.list_audit_heads(migration_id, from_size=head.sequence):
        if known.public_key == signer.public_key:
            return known
    signed = signer.sign(migration_id, head.sequence, head.root_hash, head.hash, format_time(now))
    await transaction.save_audit_head(signed)
    return signed


async def inclusion_paths(reader: Reader, migration_id: str, tree_size: int, sequences: Sequence[int]) -> list[list[bytes]]:
    """Answer for each event the nodes that lead from it to the root of the tree of `tree_size` events.

    The tree is computed a perfect subtree at a time, beside the event loop: memory and pauses do not grow with the trail.

    Raises:
        NotFoundError: The trail is shorter than the tree.
    """
    paths: dict[int, list[bytes]] = {}
    roots: list[bytes] = []
    for first in range(0, tree_size, _SUBTREE_EVENTS):
        limit = min(_SUBTREE_EVENTS, tree_size - first)
        hashes = await reader.list_event_hashes(migration_id, after_sequence=first, limit=limit)
        if len(hashes) < limit:
            raise NotFoundError(f"the trail ends at event {first + len(hashes)}, {tree_size} were signed: verify it")
        within = [sequence for sequence in sequences if first < sequence <= first + limit]
        found, root = await asyncio.to_thread(_subtree, hashes, [sequence - first - 1 for sequence in within])
        paths.update(zip(within, found, strict=True))
        roots.append(root)
    # Above the subtrees stands a tree of their roots: all but the last are perfect, and the last goes up as it is.
    above = merkle.inclusion_paths(roots, [(sequence - 1) // _SUBTREE_EVENTS for sequence in sequences])
    return [paths[sequence] + rest for sequence, rest in zip(sequences, above, strict=True)]


def _subtree(hashes: Sequence[str], places: Sequence[int]) -> tuple[list[list[bytes]], bytes]:
    """Answer the paths of some leaves within a subtree, and its root."""
    return merkle.paths_and_root([leaf_hash(bytes.fromhex(one)) for one in hashes], places)


async def verify_trail(reader: Reader, migration_id: str) -> AuditVerdict:
    """Walk the whole trail of a migration; compare it with every head that was signed and with the head the ledger keeps.

    So an event that was changed together with all hashes after it is found, too, and so is a cut-off end.
    """
    head = ChainHead()
    signed = list(await reader.list_audit_heads(migration_id))
    while True:
        until = signed[0].tree_size - head.sequence if signed else _WALK_EVENTS
        limit = min(_WALK_EVENTS, until)
        events: Sequence[Event] = await reader.list_events(migration_id, after_sequence=head.sequence, limit=limit)
        head, broken, message = await asyncio.to_thread(find_break, head, events)
        if broken:
            return _broken(head, broken, message)
        while signed and signed[0].tree_size == head.sequence:
            claim = signed.pop(0)
            if not claim.is_signed() or (claim.root_hash, claim.chain_hash) != (head.root_hash, head.hash):
                return _broken(head, head.sequence, f"the events up to {head.sequence} are not the ones that were signed")
        if len(events) < limit:
            break
    last = await reader.chain_head(migration_id)
    if last != head:
        message = f"the trail ends at event {head.sequence}, the ledger wrote up to {last.sequence}"
        return _broken(head, min(head.sequence, last.sequence) + 1, message)
    if signed:
        return _broken(head, head.sequence + 1, f"the trail ends at event {head.sequence}, {signed[0].tree_size} were signed")
    return AuditVerdict(
        is_whole=True, event_count=head.sequence, broken_sequence=0, head_hash=head.hash, message="every event follows from the one before"
    )


def _broken(head: ChainHead, sequence: int, message: str) -> AuditVerdict:
    return AuditVerdict(is_whole=False, event_count=head.sequence, broken_sequence=sequence, head_hash=head.hash, message=message)
