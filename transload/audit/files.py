"""The files people take away: an export of a whole trail (JSON lines) and the proof of one record (JSON)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from transload.audit.heads import AuditHead

EVENT_FIELDS: Final = (
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
    "hash",
    "payload_salt",
)
"""Keys of an event in a file, before `payload_json`, which comes last: its bytes are then found, and digested, without being read."""
PAYLOAD_MARK: Final = b',"payload_json":'
"""Where the payload begins in a line. In a JSON string the quotes would be escaped, so no value can look like it."""
EXPORT_KEY: Final = "audit_export"
EXPORT_TYPE: Final = "transload.audit_export.v1"
HEAD_KEY: Final = "audit_head"
PROOF_TYPE: Final = "transload.audit_proof.v1"


def export_line(migration_id: str) -> bytes:
    """Write the first line of an export."""
    return orjson.dumps({EXPORT_KEY: {"type": EXPORT_TYPE, "migration_id": migration_id}}) + b"\n"


def event_line(event: dict[str, Any], payload: bytes) -> bytes:
    """Write an event as one line of an export.

    Args:
        event: the keys in `EVENT_FIELDS`; `event_time` as it is hashed.
        payload: canonical JSON, empty once erased.
    """
    plain = orjson.dumps({name: event[name] for name in EVENT_FIELDS})
    return plain[:-1] + PAYLOAD_MARK + (payload or b"null") + b"}\n"


def head_line(head: AuditHead) -> bytes:
    """Write a signed head as one line of an export."""
    return orjson.dumps({HEAD_KEY: head.as_data()}) + b"\n"


def split_event(line: bytes) -> tuple[dict[str, Any], bytes]:
    """Read an event's line: its keys, and its payload's bytes (empty when erased).

    Raises:
        ValueError: it is not such a line.
    """
    plain, mark, rest = line.rstrip(b"\r\n").partition(PAYLOAD_MARK)
    if not mark or not rest.endswith(b"}"):
        raise ValueError("not an event of an export")
    plain += b"}"
    event = orjson.loads(plain)
    if orjson.dumps(event) != plain:
        raise ValueError("not as it was written: keys stand twice, or are spaced differently")
    payload = rest[:-1]
    return event, b"" if payload == b"null" else payload


def proof_bytes(migration_id: str, source_key: str, head: AuditHead, proven: list[tuple[dict[str, Any], bytes, list[bytes]]]) -> bytes:
    """Write the proof of a record: its events, each with the nodes that lead to the signed root.

    Args:
        migration_id: whose.
        source_key: the record as `{entity}/{id}`.
        head: the signed head.
        proven: for each event its keys in `EVENT_FIELDS`, its payload and its path.
    """
    events = [
        {
            "event": {name: event[name] for name in EVENT_FIELDS},
            "payload": payload.decode(),
            "path": [node.hex() for node in path],
        }
        for event, payload, path in proven
    ]
    proof = {"type": PROOF_TYPE, "migration_id": migration_id, "source_key": source_key, HEAD_KEY: head.as_data(), "events": events}
    return orjson.dumps(proof, option=orjson.OPT_INDENT_2) + b"\n"
