"""Trails to take away and tamper with."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import orjson

from transload.audit import chain, files, merkle
from transload.audit.heads import AuditHead, Signer

MIGRATION = "acme"
TIME = "2026-01-01T12:30:15.123456Z"
SIGNER = Signer.generate()


@dataclass(slots=True)
class Trail:
    """A trail as the ledger would write it."""

    signer: Signer = field(default_factory=lambda: SIGNER)
    events: list[tuple[dict[str, Any], bytes]] = field(default_factory=list)
    heads: list[AuditHead] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=lambda: [files.export_line(MIGRATION)])
    peaks: list[bytes] = field(default_factory=list)
    previous: str = chain.FIRST_PREVIOUS_HASH

    def add(self, *, is_erased: bool = False, source_key: str = "client/1", kind: str = "", **payload: object) -> None:
        salt, content = (os.urandom(16), orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)) if payload else (b"", b"")
        event: dict[str, Any] = {
            "sequence": len(self.events) + 1,
            "event_time": TIME,
            "kind": kind or "record.created",
            "actor": "loader-1",
            "key": f"person:{source_key}",
            "source_key": source_key,
            "target_id": str(len(self.events) + 7),
            "result": "created",
            "payload_digest": chain.payload_digest(salt, content) if payload else "",
            "previous_hash": self.previous,
        }
        self.previous = chain.event_hash({**event, "migration_id": MIGRATION})
        merkle.grow(self.peaks, len(self.events), bytes.fromhex(self.previous))
        event |= {"hash": self.previous, "payload_salt": "" if is_erased else salt.hex()}
        shown = b"" if is_erased else content
        self.events.append((event, shown))
        self.lines.append(files.event_line(event, shown))

    def sign(self) -> None:
        head = self.signer.sign(MIGRATION, len(self.events), merkle.root_of_peaks(self.peaks).hex(), self.previous, TIME)
        self.heads.append(head)
        self.lines.append(files.head_line(head))

    def proof(self, source_key: str) -> bytes:
        leaves = [merkle.leaf_hash(bytes.fromhex(str(event["hash"]))) for event, _ in self.events]
        proven = [
            (event, payload, merkle.inclusion_path(leaves, place))
            for place, (event, payload) in enumerate(self.events)
            if event["source_key"] == source_key
        ]
        return files.proof_bytes(MIGRATION, source_key, self.heads[-1], proven)


def trail_of(count: int, *, signed_at: tuple[int, ...] = ()) -> Trail:
    """A trail of `count` events, every third erased, every fourth without a payload, signed after the given numbers and at the end."""
    trail = Trail()
    for number in range(1, count + 1):
        payload = {} if number % 4 == 0 else {"name": f"Zoë {number}", "html": '"},"payload_json":"<b>'}
        trail.add(is_erased=number % 3 == 0, source_key=f"client/{number % 3}", **payload)
        if number in signed_at and number != count:
            trail.sign()
    trail.sign()
    return trail
