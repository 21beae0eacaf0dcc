"""L-13: compares what was loaded with what Pipedrive holds. Pure; reading is done by the drivers.

Compared are the fields of our own image of a record: what others wrote into other fields is theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from services.common.canonical import canonical_json
from services.common.phases import TARGET_PHASES
from services.ledger.domain import Record, RecordState
from transload.v1 import migration_service_pb2 as pb
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

BY_PARENT = frozenset({"line_item", "organization_relation"})
"""Read by their parents' ids."""

SCHEMA = "schema"
READS = (SCHEMA, "product", "organization", "person", "deal", "line_item", "activity", "note", "file", "organization_relation")
"""What is read one after the other: each list once, whatever is compared with it."""

COMPARED_WITH = {"deal": ("deal", "deal_value")}
"""Target entities that are compared with one list, where it is not only the list's own."""

SCHEMA_COMPARED = tuple(entity for entity, phase in TARGET_PHASES.items() if phase == Phase.PHASE_SCHEMA)
"""Target entities of the schema; users are only matched."""

SCANNED_FROM = 10
"""From so many records on a list is not dearer than reading each."""

NEEDS_EVERY_RECORD = frozenset({"product", "organization", "person", "deal"})
"""Lists that are read however few records are ours: a copy with our external id may stand anywhere in them."""

EXTERNAL_ID_FIELDS = {entity: f"custom_field:schema/{entity}.transload_id" for entity in ("product", "organization", "person", "deal")}
"""Entities whose records carry an external id, with the key of the custom field that holds it."""

BYTES_NOTED = "$bytes"
"""Digest of a file's bytes that a person accepted in place of the loaded ones; an image notes it beside the record's fields."""

BYTES = "bytes"
"""Field of a mismatch that tells of a file's bytes; its values are digests."""

VALUE_FIELDS = frozenset({"value", "currency"})
"""Fields of a deal that a later `deal_value` record decides, if there is one."""


def is_compared(record: Record) -> bool:
    """Say whether a record has something of ours in Pipedrive: created by us, or changed."""
    if not record.has_target or not record.image or record.state not in {RecordState.LOADED, RecordState.MATCHED, RecordState.WAITING}:
        return False
    return not record.is_preexisting or bool(record.pre_image)


def compare(record: Record, actual: Mapping[str, Any] | None, *, ignored: Collection[str] = ()) -> tuple[int, list[pb.Mismatch]]:
    """Compare one record; answers the number of fields compared and the mismatches.

    Args:
        record: As the ledger holds it.
        actual: Its canonical image as read back; None: it is not there.
        ignored: Fields another record decides.
    """
    image: dict[str, Any] = orjson.loads(record.image or "{}")
    # Of a record that was matched only what was written into it is ours.
    written = orjson.loads(record.pre_image or "{}") if record.is_preexisting and record.match else image
    fields = [name for name in sorted(image) if name in written and name not in ignored and name != BYTES_NOTED]
    if actual is None:
        return len(fields), [pb.Mismatch(key=record.key, target_id=record.target_id, kind="missing")]
    return len(fields), [
        pb.Mismatch(
            key=record.key,
            target_id=record.target_id,
            target_field=name,
            expected_json=canonical_json(image[name]),
            actual_json=canonical_json(actual.get(name)),
            kind="different",
        )
        for name in fields
        if canonical_json(image[name]) != canonical_json(actual.get(name))
    ]


def restored_fields(record: Record, actual: Mapping[str, Any] | None) -> tuple[int, list[pb.Mismatch]]:
    """Compare a record that was taken back with its pre-image; what we created must be gone."""
    if not record.is_preexisting:
        gone = actual is None
        return 1, [] if gone else [pb.Mismatch(key=record.key, target_id=record.target_id, kind="unexpected")]
    before: dict[str, Any] = orjson.loads(record.pre_image or "{}")
    held = actual or {}
    return len(before), [
        pb.Mismatch(
            key=record.key,
            target_id=record.target_id,
            target_field=name,
            expected_json=canonical_json(before[name]),
            actual_json=canonical_json(held.get(name)),
            kind="missing" if actual is None else "different",
        )
        for name in sorted(before)
        if canonical_json(before[name]) != canonical_json(held.get(name))
    ]


def value_of(deal: Mapping[str, Any]) -> dict[str, Any]:
    """Answer what a deal's image says about its value, as the image of a `deal_value` record; a value of 0 is said."""
    return {"value": 0} | {name: deal[name] for name in VALUE_FIELDS if name in deal}


def definitions(fields: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Answer what fields of the account are, by identity: (code, entity, code) of a field, (option id, entity, code) of its options."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for field in fields:
        entity, code = str(field["entity"]), str(field["field_code"])
        found[code, entity, code] = dict(field)
        for label, number in (field.get("options") or {}).items():
            found.setdefault((str(number), entity, code), {"entity": entity, "field_code": code, "id": number, "label": label})
    return found


def strays(images: Mapping[str, Mapping[str, Any]], field: str, prefix: str) -> dict[str, str]:
    """Answer the external ids of this source account among records read back, by target id.

    Args:
        images: Canonical images by target id.
        field: Name of the external-id field in an image.
        prefix: What every external id of the source account begins with.
    """
    found = {target_id: image.get(field) for target_id, image in images.items()}
    return {target_id: value for target_id, value in found.items() if isinstance(value, str) and value.startswith(prefix)}
