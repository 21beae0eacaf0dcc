"""Shows what source records become, field by field, with where each value came from (L-08). Writes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.canonical import canonical_json
from services.transformer.empty import is_empty
from services.transformer.engine import Engine, Mapped
from services.transformer.notes import Fragment
from services.transformer.rules.properties import property_values
from services.transformer.snapshot.envelope import Envelope
from transload.v1 import ledger_service_pb2, records_pb2, transformer_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from services.transformer.context import Lineage
    from services.transformer.plan import MappingPlan
    from services.transformer.snapshot.lookup import Lookup

_SECRET: Final = re.compile(r"[?&](token|key|apikey|signature|sig|auth)[a-z_-]*=", re.IGNORECASE)
_MASK: Final = "(hidden: an address with a key in it)"


def preview(plan: MappingPlan, lookup: Lookup, source_keys: Iterable[str]) -> Iterator[transformer_service_pb2.PreviewedRecord]:
    """Answer every mapped, rejected, waiting or skipped record of the source records, in their order; unknown keys are left out."""
    engine = Engine(plan)
    for source_key in source_keys:
        entity, _, source_id = source_key.partition("/")
        envelope = lookup.get(entity, source_id)
        if envelope is None:
            continue
        entity_plan = plan.entities.get(entity)
        phases = entity_plan.phases if entity_plan else (records_pb2.PHASE_UNSPECIFIED,)
        for phase in phases:
            mapped = engine.map_record(envelope, lookup, phase, is_traced=True)
            yield from _previewed(envelope, mapped, list(_unmapped(plan, envelope)) if phase == phases[0] else [])


def _previewed(
    envelope: Envelope, mapped: Mapped, unmapped: list[transformer_service_pb2.FieldLineage]
) -> Iterator[transformer_service_pb2.PreviewedRecord]:
    for record in mapped.records:
        payload = orjson.loads(record.payload_json)
        known = mapped.lineage.get(record.key)
        fields = [_field(one, payload) for one in known] if known is not None else list(_continued(payload))
        yield transformer_service_pb2.PreviewedRecord(
            key=record.key, target_entity=record.target_entity, source_key=envelope.source_key, fields=[*fields, *unmapped]
        )
        unmapped = []
    for issue in mapped.issues:
        if issue.kind != ledger_service_pb2.ISSUE_KIND_FLAGGED:
            yield transformer_service_pb2.PreviewedRecord(
                key=issue.key,
                target_entity=issue.key.partition(":")[0],
                source_key=issue.source_key,
                reason=issue.reason,
                message=issue.message,
            )


def _field(one: Lineage, payload: dict[str, Any]) -> transformer_service_pb2.FieldLineage:
    name, _, code = one.field.partition(".")
    mapped_value = payload.get(name, {}).get(code) if code else payload.get(name)
    return transformer_service_pb2.FieldLineage(
        target_field=one.field,
        label=one.label,
        source_path=one.source_path,
        source_value_json=canonical_json(_plain(one.source_value)),
        mapped_value_json=canonical_json(mapped_value),
        rule=one.rule,
    )


def _continued(payload: dict[str, Any]) -> Iterator[transformer_service_pb2.FieldLineage]:
    """Name the fields of a record that goes on where another one was full: a long note, or the full text of what was cut."""
    for name, value in payload.items():
        yield transformer_service_pb2.FieldLineage(
            target_field=name, label=name.replace("_", " ").capitalize(), source_path="(continued)", mapped_value_json=canonical_json(value)
        )


def _unmapped(plan: MappingPlan, envelope: Envelope) -> Iterator[transformer_service_pb2.FieldLineage]:
    """Name the source fields that go nowhere, with the reason: every field of the source stands in the diff (L-08)."""
    entity_plan = plan.entities.get(envelope.entity)
    if entity_plan is None:
        return
    rule = plan.mapping.entities[envelope.entity]
    moved = {tuple(one.keys) for one in rule.properties.values() if one.move}
    for name, value in envelope.data.items():
        reason = rule.not_moved.get(name)
        if reason is not None and name not in entity_plan.used.keys and not is_empty(value):
            yield _nowhere(name, value, f"not moved: {reason}")
    for keys, value in property_values(rule, entity_plan.used.keys, envelope):
        if keys not in moved and not is_empty(value):
            yield _nowhere(" > ".join(keys), value, "not moved: no rule for this property")


def _nowhere(source_path: str, value: Any, rule: str) -> transformer_service_pb2.FieldLineage:
    return transformer_service_pb2.FieldLineage(
        label=source_path, source_path=source_path, source_value_json=canonical_json(_plain(value)), rule=rule
    )


def _plain(value: Any) -> Any:
    """Make a value showable: records become their keys, links with secrets are hidden."""
    if isinstance(value, Envelope):
        return value.source_key
    if isinstance(value, Fragment):
        return value.opening + "".join(value.pieces) + value.closing
    if isinstance(value, str) and "://" in value and _SECRET.search(value):
        return _MASK
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return value
