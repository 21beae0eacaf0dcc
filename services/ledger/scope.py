"""What of a migration a rollback takes back (L-15): everything, one target entity, one record, or the sample. Pure but for reading the ledger.

What hangs on a record goes with it: a deal's lines, value, activities, notes and files; an organization's relations, persons, deals and theirs. A
record hangs on its nearest link (`services.common.edits.parents`); what merely refers to something taken back stays and is listed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from services.common.edits import names_of, parents, references
from services.common.errors import InvalidRequestError, NotFoundError, PreconditionError
from services.common.phases import PHASES, TARGET_PHASES
from services.ledger.domain import RecordFilter, RecordState, UndoCount
from services.ledger.repair import copy_key
from services.ledger.runs.reading import target_id_of
from transload.v1.records_pb2 import MappedRecord, Phase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.ledger.domain import Record, Scope
    from services.ledger.repository import Reader

DATA_ENTITIES = tuple(entity for entity, phase in TARGET_PHASES.items() if PHASES.index(phase) > PHASES.index(Phase.PHASE_SCHEMA))
"""Target entities of loaded records, in the order of loading: what refers comes after what it refers to."""
_LINES_OF = "lines of deal"
"""Stands among names for the lines of a deal: its value hangs on them as well as on the deal."""
_CHUNK = 1_000


@dataclass(slots=True)
class Selection:
    """What a partial rollback takes.

    Attributes:
        keys: records taken, in the order of loading.
        names: (target entity, id) by which others refer to them.
        outside: records that stay and refer to one of them, with the names they refer to.
        counts: what is to be done, by target entity.
    """

    keys: dict[str, None] = field(default_factory=dict)
    names: set[tuple[str, str]] = field(default_factory=set)
    outside: list[tuple[Record, tuple[str, ...]]] = field(default_factory=list)
    counts: dict[str, UndoCount] = field(default_factory=dict)


def check_scope(scope: Scope) -> None:
    """Refuse a scope that makes no sense.

    Raises:
        InvalidRequestError: More than one thing is named, or something that cannot be taken back on its own.
    """
    if bool(scope.target_entity) + bool(scope.key) + scope.is_sample > 1:
        raise InvalidRequestError("scope: name a target entity, a record or the sample, not several of them")
    entity = scope.target_entity or scope.key.partition(":")[0]
    possible = [name for name in DATA_ENTITIES if name != "deal_value"]
    if entity and entity not in possible:
        raise InvalidRequestError(
            f"scope: {entity!r} cannot be taken back on its own, only {', '.join(possible)}."
            " Schema and users go with everything, a value with its deal"
        )


async def select(reader: Reader, migration_id: str, scope: Scope) -> Selection:
    """Choose the records of a scope and what hangs on them.

    Raises:
        NotFoundError: There is no such record.
        PreconditionError: It is not in Pipedrive.
    """
    if scope.key:
        record = (await reader.get_records(migration_id, [scope.key])).get(scope.key)
        if record is None:
            raise NotFoundError(f"migration {migration_id} has no record {scope.key}")
        if not stands(record):
            raise PreconditionError(f"{scope.key} is not in Pipedrive ({record.state}), so there is nothing to take back", reason="WRONG_STATE")
    found = Selection()
    for entity in DATA_ENTITIES:
        async for record in _records(reader, migration_id, entity):
            _take(found, scope, record)
    return found


def stands(record: Record) -> bool:
    """Say whether a record is in Pipedrive, or may be."""
    return record.has_target or (record.intent_time is not None and not record.target_id)


def _take(found: Selection, scope: Scope, record: Record) -> None:
    image: dict[str, Any] = orjson.loads(record.image or "{}")
    is_named = bool(scope.key) and record.key in {scope.key, copy_key(scope.key, record.target_id)}
    is_meant = scope.is_sample or is_named or record.target_entity == scope.target_entity
    if is_meant or _hangs(found, record, image):
        found.keys[record.key] = None
        if record.target_id and record.target_entity != "deal_value":
            found.names.update(names_of(record.target_entity, record.target_id, image))
        if record.target_entity == "line_item" and record.parent_target_id:
            # Pipedrive computes the deal's value anew when its lines change: ours has to be set again when they are back.
            found.names.add((_LINES_OF, record.parent_target_id))
        known = found.counts.get(record.target_entity) or UndoCount(record.phase, record.target_entity, 0, 0, 0)
        is_changed = record.is_preexisting and bool(record.pre_image)
        found.counts[record.target_entity] = UndoCount(
            known.phase,
            known.target_entity,
            known.delete_count + (record.has_target and not record.is_preexisting),
            known.restore_count + (record.has_target and is_changed),
            known.in_doubt_count + (not record.target_id),
        )
        return
    touched = tuple(
        f"{entity}/{number}" for entity, number in dict.fromkeys(references(record.target_entity, image)) if (entity, number) in found.names
    )
    if touched:
        found.outside.append((record, touched))


def _hangs(found: Selection, record: Record, image: dict[str, Any]) -> bool:
    if record.target_entity == "deal_value":
        return any((entity, target_id_of(record)) in found.names for entity in ("deal", _LINES_OF))
    if record.target_entity == "line_item" and record.parent_target_id:
        return ("deal", record.parent_target_id) in found.names
    if not record.target_id and record.intent_record:
        return any(reference.key in found.keys for reference in MappedRecord.FromString(record.intent_record).references)
    return any(parent in found.names for parent in parents(record.target_entity, image))


async def _records(reader: Reader, migration_id: str, entity: str) -> AsyncIterator[Record]:
    after_key = ""
    while True:
        records = await reader.list_records(migration_id, RecordFilter(target_entity=entity), after_key=after_key, limit=_CHUNK)
        for record in records:
            if stands(record) and record.state is not RecordState.UNDONE:
                yield record
        if len(records) < _CHUNK:
            return
        after_key = records[-1].key
