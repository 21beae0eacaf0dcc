"""Shows what source records become, field by field, with where each value came from (L-08). Writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.common.canonical import canonical_json
from services.transformer.engine import Engine, Mapped
from services.transformer.index import Envelope
from services.transformer.notes import Fragment
from transload.v1 import ledger_service_pb2, records_pb2, transformer_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from services.transformer.context import Lineage
    from services.transformer.index import Lookup
    from services.transformer.plan import MappingPlan

_SECRET_MARKS: Final = ("://", "token=")
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
        phases = entity_plan.phases if entity_plan else ()
        if not phases:
            yield from _previewed(envelope, engine.map_record(envelope, lookup, records_pb2.PHASE_UNSPECIFIED, is_traced=True))
        for phase in phases:
            yield from _previewed(envelope, engine.map_record(envelope, lookup, phase, is_traced=True))


def _previewed(envelope: Envelope, mapped: Mapped) -> Iterator[transformer_service_pb2.PreviewedRecord]:
    for record in mapped.records:
        yield transformer_service_pb2.PreviewedRecord(
            key=record.key,
            target_entity=record.target_entity,
            source_key=envelope.source_key,
            fields=[_field(one) for one in mapped.lineage.get(record.key, [])],
        )
    for issue in mapped.issues:
        if issue.kind != ledger_service_pb2.ISSUE_KIND_FLAGGED:
            yield transformer_service_pb2.PreviewedRecord(
                key=issue.key,
                target_entity=issue.key.partition(":")[0],
                source_key=issue.source_key,
                reason=issue.reason,
                message=issue.message,
            )


def _field(one: Lineage) -> transformer_service_pb2.FieldLineage:
    return transformer_service_pb2.FieldLineage(
        target_field=one.field,
        label=one.label,
        source_path=one.source_path,
        source_value_json=canonical_json(_plain(one.source_value)),
        mapped_value_json=canonical_json(_plain(one.mapped_value)),
        rule=one.rule,
    )


def _plain(value: Any) -> Any:
    """Make a value showable: records become their keys, links with secrets are hidden."""
    if isinstance(value, Envelope):
        return value.source_key
    if isinstance(value, Fragment):
        return value.opening + "".join(value.pieces) + value.closing
    if isinstance(value, str) and any(mark in value for mark in _SECRET_MARKS) and "token=" in value:
        return _MASK
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return value
