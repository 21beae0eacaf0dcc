"""The statement of a reconciliation, for who signs that the data arrived: what was compared, in words, and the proof that the ledger said so.

The words follow from the payload of one event by `statement_lines` alone, so a verifier writes them anew and compares. They are part of the
format: words that must change get a new type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

STATEMENT_TYPE: Final = "transload.reconciliation_statement.v1"
EVENT_KIND: Final = "reconciliation.finished"
_SAMPLED: Final = {"file_bytes": "the bytes of files", "organization_relation": "relations between organizations"}


def statement_lines(event: Mapping[str, Any], payload: bytes) -> list[str]:
    """Write the statement.

    Args:
        event: the event's keys.
        payload: its payload's bytes.

    Raises:
        ValueError, KeyError: the event does not tell of a reconciliation.
    """
    if event["kind"] != EVENT_KIND:
        raise ValueError(f"the event is a {event['kind']}, not a {EVENT_KIND}")
    found: dict[str, Any] = orjson.loads(payload)
    mismatches = int(found["mismatch_count"])
    lines = [
        "Statement of a reconciliation",
        f"Ended {event['event_time']}, run {found['run_id']}, event {event['sequence']} of the audit trail.",
        f"{found['record_count']:,} records with {found['field_count']:,} fields were read back from Pipedrive and compared with what was loaded.",
        "Result: whole. Every record and every field compared is in Pipedrive as it was loaded."
        if not mismatches
        else f"Result: NOT whole. {mismatches:,} mismatches; SHA-256 of their list: {found['mismatch_digest']}.",
    ]
    for entity, sums in sorted(found["entities"].items()):
        words = ", ".join(f"{sums[name]:,} {name}" for name in ("expected", "found", "missing", "different", "unexpected"))
        lines.append(f"- {entity.replace('_', ' ')}: {words}")
    lines.append(
        "Compared in full, as fields of these records: the organizations and persons of deals, the organizations of persons, the links and"
        " participants of activities, the deals and products of line items, the parents, names and sizes of files, the parents of notes."
    )
    for name, sample in sorted(found["samples"].items()):
        unknown = f" ({sample['unknown']:,} could not be compared)" if sample["unknown"] else ""
        lines.append(f"On a sample, {_SAMPLED.get(name, name)}: {sample['words']}{unknown}. Drawn with seed {sample['seed']}.")
    if found.get("repaired"):
        done = ", ".join(f"{count:,} by {action}" for action, count in sorted(found["repaired"].items()))
        lines.append(f"Seen to since the comparison: {done}. Repaired records were compared again, accepted ones are as people left them.")
    lines.append(f"Mapping {found['mapping_digest']}, manifest {found['manifest_digest']}.")
    return lines


def statement_bytes(event: Mapping[str, Any], payload: bytes, proof: bytes) -> bytes:
    """Write the file: the words, and the proof of the event they follow from (as `proof_bytes` wrote it)."""
    document = {"type": STATEMENT_TYPE, "statement": statement_lines(event, payload), "proof": orjson.loads(proof)}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"
