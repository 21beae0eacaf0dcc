"""L-13: what is done about what a reconciliation found. Pure.

A repair is the recorded decision of whoever asks: the fields named go back to what was loaded, even though a person may have changed them since.
What a person changes after the reconciliation is not touched: a field is set only if it still holds what the reconciliation saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.canonical import canonical_json
from services.common.edits import LINKS
from services.common.phases import TARGET_PHASES
from services.ledger.claims import UNEXPECTED
from services.ledger.domain import Record, RecordState, Resolution
from services.ledger.reconciliation import BYTES, BYTES_NOTED, SCHEMA_COMPARED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from transload.v1.migration_service_pb2 import Mismatch

PARTICIPANTS: Final = "participants"
"""Field of an activity's image: persons, as objects."""

_GONE: Final = "the source has it no more, so it cannot be made again: accept what stands in Pipedrive"
_BY_HAND: Final = frozenset({"custom_field", "field_option"})
_SETTLED: Final = frozenset({RecordState.LOADED, RecordState.MATCHED})


class RepairAction(StrEnum):
    """What is done about one record."""

    PATCH = "patch"
    CREATE = "create"
    UPLOAD = "upload"
    DELETE = "delete"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Repair:
    """What is done about one record.

    Attributes:
        key: the record.
        target_entity: its kind.
        target_id: its id in Pipedrive when it was compared.
        action: what is done.
        seen: field → what the reconciliation saw in it, for those that differ.
        message: why nothing is done, in words.
        source_key: `{entity}/{id}` of its source record.
    """

    key: str
    target_entity: str
    target_id: str
    action: RepairAction
    seen: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    source_key: str = ""

    def to_row(self) -> bytes:
        """Write it as a row of a report."""
        return canonical_json(
            {
                "key": self.key,
                "target_entity": self.target_entity,
                "target_id": self.target_id,
                "action": str(self.action),
                "seen": self.seen,
                "source_key": self.source_key,
            }
        )

    @classmethod
    def from_row(cls, row: bytes) -> Repair:
        """Read what `to_row` wrote."""
        raw = orjson.loads(row)
        return cls(**(raw | {"action": RepairAction(raw["action"])}))


def plan_repair(mismatches: Sequence[Mismatch], record: Record | None, *, deletes: bool) -> Repair:
    """Decide what is done about one record.

    Args:
        mismatches: everything the reconciliation found about it.
        record: as the ledger holds it now.
        deletes: whether copies nobody knows are to be deleted.
    """
    first = mismatches[0]
    entity = first.key.partition(":")[0]
    repair = Repair(first.key, entity, first.target_id, RepairAction.NONE, source_key=record.source_key if record else "")
    if first.kind == "unexpected":
        if not deletes:
            return replace(repair, message="a copy is deleted only when it is named by its key, or with --kind unexpected")
        return replace(repair, action=RepairAction.DELETE)
    if record is None or record.target_id != first.target_id or record.state not in _SETTLED:
        return replace(repair, message="it changed or waits for a decision since the reconciliation: see to its review item, then reconcile again")
    if first.kind == "missing":
        if entity in SCHEMA_COMPARED:
            return replace(repair, message="schema is not made again alone: make it by hand under its name, or take the migration back")
        if record.gone:
            return replace(repair, message=_GONE)
        return replace(repair, action=RepairAction.CREATE)
    if entity in _BY_HAND:
        return replace(repair, message="fields and options are seen to by hand in Pipedrive; or accept what stands there")
    seen = {one.target_field: orjson.loads(one.actual_json or b"null") for one in mismatches}
    if entity == "file":
        if record.gone:
            return replace(repair, message=_GONE)
        return replace(repair, action=RepairAction.UPLOAD, seen=seen)
    return replace(repair, action=RepairAction.PATCH, seen=seen)


def hangs_on(record: Record, entity: str, target_id: str) -> bool:
    """Say whether a record points to another one in Pipedrive."""
    if entity == "deal" and record.target_entity in {"line_item", "deal_value"} and target_id in {record.parent_target_id, record.target_id}:
        return True
    image = orjson.loads(record.image or "{}")
    return any(kind == entity and str(image.get(name, "")) == target_id for name, kind in LINKS.items()) or (
        entity == "person" and any(str(one.get("person_id")) == target_id for one in image.get(PARTICIPANTS) or [])
    )


def relink(image: Mapping[str, Any], moved: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Answer the fields of an image that point to a record made again, with its new id.

    Args:
        image: canonical image.
        moved: (target entity, old id) → new id.
    """
    fields: dict[str, Any] = {}
    for name, entity in LINKS.items():
        new = moved.get((entity, str(image.get(name, ""))))
        if new:
            fields[name] = _id(new)
    persons = image.get(PARTICIPANTS) or []
    if any(("person", str(one.get("person_id"))) in moved for one in persons):
        changed = [one | {"person_id": _id(moved.get(("person", str(one.get("person_id"))), str(one.get("person_id"))))} for one in persons]
        fields[PARTICIPANTS] = sorted(changed, key=lambda one: str(one["person_id"]))
    return fields


def forgotten(record: Record) -> Record:
    """Answer a record whose target is not there any more, as one that has never been made: the next claim creates it, with an intent."""
    return replace(
        record,
        state=RecordState.EXPECTED,
        target_id="",
        parent_target_id="",
        payload_digest="",
        image="",
        pre_image="",
        is_preexisting=False,
        reason="",
        message="",
        undo_run_id="",
    )


def accepted(record: Record, mismatches: Iterable[Mismatch]) -> Record:
    """Answer a record with what stands in Pipedrive as what is expected from now on.

    Missing: it is left out, as if a person had skipped it in review. Different: the field is a person's from now on, and no longer compared; when the
    source changes it, that is a conflict.
    """
    image: dict[str, Any] = orjson.loads(record.image or "{}")
    for one in mismatches:
        if one.kind == "missing":
            return replace(record, state=RecordState.SKIPPED, resolution=Resolution.SKIP, target_id="", parent_target_id="", image="", pre_image="")
        if one.target_field == BYTES:
            image[BYTES_NOTED] = orjson.loads(one.actual_json or b"null")
        else:
            image.pop(one.target_field, None)
    return replace(record, image=canonical_json(image).decode())


def copy_key(key: str, target_id: str) -> str:
    """Answer the key a copy in Pipedrive gets when it becomes a record.

    Args:
        key: key of the record whose external id it carries.
        target_id: the copy's id in Pipedrive.
    """
    return f"{key}/copy-{target_id}"


def adopted(migration_id: str, key: str, source_key: str, target_id: str, *, is_ours: bool) -> Record:
    """Answer a record for a copy nobody knew.

    Args:
        migration_id: whose record it becomes.
        key: key of the record whose external id the copy carries.
        source_key: `{entity}/{id}` of that record's source record.
        target_id: the copy's id in Pipedrive.
        is_ours: True: it may be deleted; False: it is a person's and only known from now on.
    """
    entity = key.partition(":")[0]
    source_entity, _, source_id = source_key.partition("/")
    return Record(
        migration_id=migration_id,
        key=copy_key(key, target_id),
        target_entity=entity,
        source_entity=source_entity,
        source_id=source_id,
        phase=int(TARGET_PHASES[entity]),
        state=RecordState.LOADED if is_ours else RecordState.MATCHED,
        target_id=target_id,
        is_preexisting=not is_ours,
        reason=UNEXPECTED if is_ours else "",
    )


def expected_of(record: Record, names: Iterable[str]) -> dict[str, Any]:
    """Answer what fields of a record shall be."""
    image: dict[str, Any] = orjson.loads(record.image or "{}")
    return {name: image.get(name) for name in names}


def patched_entity(target_entity: str) -> str:
    """Answer the kind of record a patch goes to: a deal's value stands in its deal."""
    return "deal" if target_entity == "deal_value" else target_entity


def _id(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
