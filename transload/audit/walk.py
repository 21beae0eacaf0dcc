"""The rules of a trail, for whoever follows one: the ledger along its tables, a verifier along a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transload.audit.chain import ChainHead, event_hash, payload_digest
from transload.audit.merkle import grow, root_of_peaks

if TYPE_CHECKING:
    from transload.audit.heads import AuditHead


class BrokenError(Exception):
    """Something does not fit; the message says what and where."""


class ChainWalk:
    """Follows a trail event by event, and knows at each where it stands.

    Attributes:
        count: events that followed so far, those before the start included.
        previous_hash: hash of the last of them.
        erased_count: those whose payload was erased.
    """

    def __init__(self, start: ChainHead | None = None) -> None:
        start = start or ChainHead()
        self.count = start.sequence
        self.previous_hash = start.hash
        self.erased_count = 0
        self._peaks = list(start.peaks)

    @property
    def head(self) -> ChainHead:
        """Where the walk stands."""
        return ChainHead(self.count, self.previous_hash, tuple(self._peaks))

    def take(self, hashed: dict[str, Any], claimed_hash: str, salt: str, payload: bytes) -> None:
        """Check that an event follows from the one before.

        Args:
            hashed: the event's fields that are hashed, and no others.
            claimed_hash: the hash (hex) it is kept with.
            salt: of its payload, hex; empty once erased.
            payload: canonical JSON; empty once erased.

        Raises:
            BrokenError: it does not follow, or was changed.
        """
        expected = self.count + 1
        sequence = hashed.get("sequence")
        if sequence != expected:
            raise BrokenError(f"event {expected} is missing: event {sequence} stands in its place")
        if hashed.get("previous_hash") != self.previous_hash:
            raise BrokenError(f"event {expected} does not name the hash of the event before it")
        self.erased_count += check_event(hashed, claimed_hash, salt, payload)
        grow(self._peaks, self.count, bytes.fromhex(claimed_hash))
        self.count = expected
        self.previous_hash = claimed_hash

    def check_head(self, head: AuditHead) -> None:
        """Check that a signed head speaks of exactly the events walked along.

        Raises:
            BrokenError: it covers another number of events, or others.
        """
        if head.tree_size != self.count:
            raise BrokenError(f"the signed head after event {self.count} covers {head.tree_size} events: some were removed or inserted")
        if head.chain_hash != self.previous_hash or head.root_hash != root_of_peaks(self._peaks).hex():
            raise BrokenError(f"the events up to {self.count} are not the ones that were signed")


def check_event(hashed: dict[str, Any], claimed_hash: str, salt: str, payload: bytes) -> bool:
    """Check one event by itself; answer whether its payload was erased. Arguments as of `ChainWalk.take`.

    Raises:
        BrokenError: it was changed.
    """
    if event_hash(hashed) != claimed_hash:
        raise BrokenError(f"event {hashed.get('sequence')} was changed: its hash does not fit its fields")
    digest = hashed["payload_digest"]
    if not salt and not payload:
        return bool(digest)
    try:
        is_right = bool(salt) and payload_digest(bytes.fromhex(salt), payload) == digest
    except ValueError:
        is_right = False
    if not is_right:
        raise BrokenError(f"the payload of event {hashed['sequence']} was changed")
    return False
