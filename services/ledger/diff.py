"""L-08: the field-by-field diff of a sample, and the digest that is approved. Pure.

Three values stand side by side: what the source said, what the mapping made of it, what Pipedrive holds. A field is the same when what
was loaded, in canonical form, equals what was read back in the same form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from services.common.canonical import canonical_json, digest, digest_of
from services.common.phases import TARGET_PHASES
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2 import DiffVerdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from services.ledger.domain import Record
    from transload.v1.transformer_service_pb2 import FieldLineage, PreviewedRecord

_REFERENCE = b'{"$ref":'
_NOT_COMPARED = frozenset({DiffVerdict.DIFF_VERDICT_UNMAPPED, DiffVerdict.DIFF_VERDICT_LEFT})
_EMPTY: frozenset[bytes] = frozenset({b"", b"null", b'""', b"[]", b"{}"})


def diff_record(preview: PreviewedRecord, record: Record | None, actual: Mapping[str, Any] | None) -> pb.DiffRecord:
    """Answer one record of the diff.

    Args:
        preview: What the mapping makes of it, field by field.
        record: What the ledger knows of it; None: it was never asked for.
        actual: What was read back, canonical; None: it is not in Pipedrive.
    """
    image: dict[str, Any] = orjson.loads(record.image) if record is not None and record.image else {}
    state = record.state.value if record is not None else ("skipped" if preview.reason.startswith("SKIPPED_") else "rejected")
    reason, message = (record.reason, record.message) if record is not None and record.reason else (preview.reason, preview.message)
    written = written_by_us(record)
    return pb.DiffRecord(
        key=preview.key,
        target_entity=preview.target_entity,
        source_key=preview.source_key,
        target_id=record.target_id if record is not None else "",
        state=state,
        message=f"{reason}: {message}" if reason and message else reason or message,
        fields=[
            _field(preview.target_entity, field, image, actual, is_expected=record is not None and record.has_target, written=written)
            for field in preview.fields
        ],
    )


def order_of(record: pb.DiffRecord) -> tuple[int, str]:
    """Answer where a record stands in the diff: by phase, then by key."""
    return int(TARGET_PHASES.get(record.target_entity, 0)), record.key


def row_of(record: pb.DiffRecord) -> bytes:
    """Write a record of the diff for keeping."""
    return record.SerializeToString(deterministic=True)


def diff_digest(mapping_digest: str, rows: Iterable[bytes]) -> str:
    """Answer the digest of a whole diff; the mapping is part of it, so that approving a diff approves this very mapping."""
    return digest_of({"mapping_digest": mapping_digest, "rows": [digest(row) for row in rows]})


def count_fields(record: pb.DiffRecord) -> tuple[int, int]:
    """Answer how many fields were compared and how many of them differ. A record that is not to be in Pipedrive has nothing to compare."""
    if not record.target_id:
        return 0, 0
    compared = [field.verdict for field in record.fields if field.verdict not in _NOT_COMPARED]
    return len(compared), sum(1 for verdict in compared if verdict != DiffVerdict.DIFF_VERDICT_SAME)


def written_by_us(record: Record | None) -> Collection[str] | None:
    """Answer the fields that were written into a record that was there before us, so that all others were left; None: it was not there."""
    if record is None or not record.match or not record.is_preexisting:
        return None
    return frozenset(orjson.loads(record.pre_image or "{}"))


def _field(
    target_entity: str,
    field: FieldLineage,
    image: Mapping[str, Any],
    actual: Mapping[str, Any] | None,
    *,
    is_expected: bool,
    written: Collection[str] | None,
) -> pb.DiffField:
    value = actual.get(field.target_field) if actual is not None else None
    return pb.DiffField(
        target_field=field.target_field,
        label=field.label,
        source_path=field.source_path,
        source_value_json=field.source_value_json,
        mapped_value_json=field.mapped_value_json,
        target_value_json=canonical_json(value) if value is not None else b"",
        verdict=_of_matched(_verdict(target_entity, field, image, actual, is_expected=is_expected), field, written),
        rule=field.rule,
    )


def _of_matched(verdict: DiffVerdict.ValueType, field: FieldLineage, written: Collection[str] | None) -> DiffVerdict.ValueType:
    is_left = written is not None and field.target_field not in written and verdict == DiffVerdict.DIFF_VERDICT_DIFFERENT
    return DiffVerdict.DIFF_VERDICT_LEFT if is_left else verdict


def _verdict(
    target_entity: str, field: FieldLineage, image: Mapping[str, Any], actual: Mapping[str, Any] | None, *, is_expected: bool
) -> DiffVerdict.ValueType:
    if not field.target_field:
        return DiffVerdict.DIFF_VERDICT_UNMAPPED
    if actual is None:
        return DiffVerdict.DIFF_VERDICT_MISSING
    if field.target_field in image:
        is_same = canonical_json(image[field.target_field]) == canonical_json(actual.get(field.target_field))
    elif field.mapped_value_json in _EMPTY or not is_expected:
        is_same = True
    elif field.target_field in actual:
        is_same = canonical_json(orjson.loads(field.mapped_value_json)) == canonical_json(actual[field.target_field])
    else:
        # A reference that is not in what was sent was left out by the mapping's policy: what it leads to is not in Pipedrive.
        is_same = field.target_field in _CARRIED.get(target_entity, ()) or field.mapped_value_json.startswith(_REFERENCE)
    return DiffVerdict.DIFF_VERDICT_SAME if is_same else DiffVerdict.DIFF_VERDICT_DIFFERENT


# Parts of a payload that tell the loader how to find or send a record and are not fields of it in Pipedrive.
_CARRIED: dict[str, frozenset[str]] = {
    "file": frozenset({"staging_name", "first_byte", "digest", "content_type"}),
    "user": frozenset({"email", "name", "is_active", "use_fallback"}),
    "deal_value": frozenset({"deal_id"}),
}
