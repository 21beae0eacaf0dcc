"""The section `delta` of a mapping (L-11): who decides on fields changed on both sides, and what becomes of records the source has no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from services.common.edits import CUSTOM_PREFIX
from services.common.errors import InvalidRequestError
from services.transformer.mapping.delta import ConflictWord, DeletionWord
from services.transformer.target import CUSTOM_FIELD_ENTITIES, TARGET_FIELDS
from transload.v1 import transformer_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.transformer.mapping.document import Mapping

CONFLICT_WORDS: Final[tuple[str, ...]] = get_args(ConflictWord)
DELETION_WORDS: Final[tuple[str, ...]] = get_args(DeletionWord)
ENTITIES: Final = tuple(entity for entity in TARGET_FIELDS if entity not in {"user", "deal_value"})
"""Target entities a policy may name: users are only matched, and a deal's value goes with its deal."""


def entity_problem(entity: str) -> str:
    """Say why a policy cannot name an entity; empty: it can."""
    return "" if entity in ENTITIES else f"`{entity}` is no target entity; known: {', '.join(ENTITIES)}"


def field_problem(mapping: Mapping, entity: str, field: str) -> str:
    """Say why a policy cannot name a field of an entity; empty: it can."""
    fields, custom = TARGET_FIELDS.get(entity, {}), mapping.schema_.fields.get(entity, {})
    if field in fields or field.removeprefix(CUSTOM_PREFIX) in custom:
        return ""
    known = [*fields, *custom]
    return f"{entity} has no field `{field}`; fields of Pipedrive and custom fields of the section schema: {', '.join(known)}"


def compile_policy(mapping: Mapping, *, conflicts: Sequence[str] = (), deletions: Sequence[str] = ()) -> pb.DeltaPolicy:
    """Answer the policies of a mapping, with those given instead for one run; custom fields as `custom_fields.<id>`.

    Args:
        mapping: The mapping.
        conflicts: `WORD`, `ENTITY=WORD` or `ENTITY.FIELD=WORD`, applied in order; a wider one takes the narrower ones before it back.
        deletions: `WORD` or `ENTITY=WORD`.

    Raises:
        InvalidRequestError: one of them names what is not there.
    """
    section = mapping.delta
    policy = pb.DeltaPolicy(conflicts=section.conflicts or "", deletions=section.deletions or "")
    by_entity: dict[str, pb.EntityDeltaPolicy] = {}
    for entity, own in section.entities.items():
        fields = {_spelled(entity, name): word for name, word in own.fields.items()}
        by_entity[entity] = pb.EntityDeltaPolicy(target_entity=entity, conflicts=own.conflicts or "", deletions=own.deletions or "", fields=fields)
    for given in conflicts:
        _override_conflicts(mapping, policy, by_entity, given)
    for given in deletions:
        _override_deletions(policy, by_entity, given)
    policy.entities.extend(by_entity[entity] for entity in sorted(by_entity))
    return policy


def _override_conflicts(mapping: Mapping, policy: pb.DeltaPolicy, by_entity: dict[str, pb.EntityDeltaPolicy], given: str) -> None:
    place, _, word = given.rpartition("=")
    entity, _, field = place.partition(".")
    _check("conflicts", given, word, CONFLICT_WORDS, entity)
    if not place:
        policy.conflicts = word
        for own in by_entity.values():
            own.conflicts = ""
            own.fields.clear()
        return
    own = by_entity.setdefault(entity, pb.EntityDeltaPolicy(target_entity=entity))
    if not field:
        own.conflicts = word
        own.fields.clear()
        return
    problem = field_problem(mapping, entity, field)
    if problem:
        raise InvalidRequestError(f"conflicts: {given}: {problem}")
    own.fields[_spelled(entity, field)] = word


def _override_deletions(policy: pb.DeltaPolicy, by_entity: dict[str, pb.EntityDeltaPolicy], given: str) -> None:
    entity, _, word = given.rpartition("=")
    _check("deletions", given, word, DELETION_WORDS, entity)
    if entity:
        by_entity.setdefault(entity, pb.EntityDeltaPolicy(target_entity=entity)).deletions = word
        return
    policy.deletions = word
    for own in by_entity.values():
        own.deletions = ""


def _check(what: str, given: str, word: str, words: Sequence[str], entity: str) -> None:
    if word not in words:
        raise InvalidRequestError(f"{what}: {given!r} does not end in one of {', '.join(words)}")
    problem = entity_problem(entity) if entity else ""
    if problem:
        raise InvalidRequestError(f"{what}: {given}: {problem}")


def _spelled(entity: str, field: str) -> str:
    is_built_in = entity not in CUSTOM_FIELD_ENTITIES or field in TARGET_FIELDS[entity]
    return field if is_built_in or field.startswith(CUSTOM_PREFIX) else CUSTOM_PREFIX + field
