"""What a mapping needs in Pipedrive before records move, as schema records, and what it does with each source entity (L-05)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.common.canonical import canonical_json, digest
from services.common.phases import PHASES, TARGET_PHASES
from services.transformer.dependents import lookup_phases
from services.transformer.manifest import (
    FALLBACK_USER_KEY,
    activity_type_key,
    custom_field_key,
    listed_user_key,
    option_key,
    pipeline_key,
    stage_key,
)
from services.transformer.plan import MappingPlan
from services.transformer.target import CUSTOM_FIELD_ENTITIES, EXTERNAL_ID_FIELD, EXTERNAL_ID_NAME
from transload.v1 import records_pb2, transformer_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.transformer.mapping.document import Mapping

_SCHEMA: Final = "schema"
_SKIP_REASONS: Final = {"reference_data": "SKIPPED_REFERENCE_DATA", "not_moved": "SKIPPED_NOT_MAPPED"}


def compile_schema(mapping: Mapping) -> list[records_pb2.MappedRecord]:
    """Answer the schema records in the order they have to be made: a pipeline before its stages, the fallback user before all."""
    return [*_users(mapping), *_fields(mapping), *_options(mapping), *_pipelines(mapping), *_activity_types(mapping)]


def dispositions(mapping: Mapping) -> list[transformer_service_pb2.EntityDisposition]:
    """Answer for each source entity the phases in which it has targets, or why it has none."""
    plan = MappingPlan(mapping)
    looked_up = lookup_phases(plan)
    found = []
    for entity, rule in mapping.entities.items():
        phases = plan.entities[entity].phases if entity in plan.entities else ()
        reason = "" if phases else _SKIP_REASONS.get(rule.use, "SKIPPED_NOT_MAPPED")
        found.append(
            transformer_service_pb2.EntityDisposition(
                entity=entity,
                phases=phases,
                skip_reason=reason,
                lookup_phases=[phase for phase in PHASES if phase in looked_up.get(entity, ()) and phase not in phases],
            )
        )
    return found


def _users(mapping: Mapping) -> Iterator[records_pb2.MappedRecord]:
    fallback = {"email": mapping.policies.fallback_owner, "name": "Fallback owner", "use_fallback": False}
    yield _record(FALLBACK_USER_KEY, fallback)
    if mapping.owners.entity is None:
        return
    for source_id, person in sorted(mapping.owners.people.items()):
        if person.is_listed:
            continue
        payload = {
            "email": person.email,
            "name": person.name,
            "is_active": person.is_active,
            "use_fallback": mapping.policies.unmatched_owner == "fallback",
        }
        yield _record(listed_user_key(mapping.owners.entity, source_id), payload)


def _fields(mapping: Mapping) -> Iterator[records_pb2.MappedRecord]:
    for entity in CUSTOM_FIELD_ENTITIES:
        payload = {"entity": entity, "field_name": EXTERNAL_ID_NAME, "field_type": "varchar"}
        yield _record(custom_field_key(entity, EXTERNAL_ID_FIELD), payload)
        for field_id, one in mapping.schema_.fields.get(entity, {}).items():
            declared: dict[str, Any] = {"entity": entity, "field_name": one.name, "field_type": one.type}
            if one.options:
                declared["options"] = list(dict.fromkeys(one.options))
            yield _record(custom_field_key(entity, field_id), declared)


def _options(mapping: Mapping) -> Iterator[records_pb2.MappedRecord]:
    for entity, labels in mapping.schema_.labels.items():
        for label in dict.fromkeys(labels):
            yield _record(option_key(entity, "label_ids", label), {"entity": entity, "field_code": "label_ids", "label": label})
    for name, labels in mapping.schema_.options.items():
        entity, _, field_code = name.partition(".")
        for label in dict.fromkeys(labels):
            yield _record(option_key(entity, field_code, label), {"entity": entity, "field_code": field_code, "label": label})


def _pipelines(mapping: Mapping) -> Iterator[records_pb2.MappedRecord]:
    for pipeline_id, pipeline in mapping.schema_.pipelines.items():
        flags = {"is_deal_probability_enabled": True} if pipeline.probabilities else {}
        yield _record(pipeline_key(pipeline_id), {"name": pipeline.name, **flags})
    for pipeline_id, pipeline in mapping.schema_.pipelines.items():
        for stage_id, name in pipeline.stages.items():
            payload: dict[str, Any] = {"name": name, "pipeline_id": {"$ref": pipeline_key(pipeline_id)}}
            if stage_id in pipeline.probabilities:
                payload["deal_probability"] = pipeline.probabilities[stage_id]
            yield _record(stage_key(pipeline_id, stage_id), payload, [pipeline_key(pipeline_id)])


def _activity_types(mapping: Mapping) -> Iterator[records_pb2.MappedRecord]:
    for type_id, one in mapping.schema_.activity_types.items():
        yield _record(activity_type_key(type_id), {"name": one.name, "icon_key": one.icon_key})


def _record(key: str, payload: dict[str, Any], references: list[str] | None = None) -> records_pb2.MappedRecord:
    content = canonical_json(payload)
    target_entity, _, rest = key.partition(":")
    source_entity, _, tail = rest.partition("/")
    if target_entity not in TARGET_PHASES:
        raise KeyError(target_entity)
    return records_pb2.MappedRecord(
        key=key,
        target_entity=target_entity,
        source_entity=source_entity,
        source_id=tail.partition("/")[0],
        payload_json=content,
        payload_digest=digest(content),
        references=[records_pb2.Reference(key=one, missing_policy=records_pb2.MISSING_POLICY_REVIEW) for one in references or []],
    )
