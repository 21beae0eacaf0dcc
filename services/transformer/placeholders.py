"""Mapped records without a source record: what has nothing to hang on hangs on one of these, so that it is found again in Pipedrive.

A placeholder is mapped with the first records that refer to it, in the phase of its own target. Several pages may bring it; it has one key, so the
ledger makes it once, counts it, and takes it back with everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.common.canonical import canonical_json, digest
from services.common.errors import MappingError
from services.common.phases import TARGET_PHASES
from services.transformer.context import Context, LeaveOut, Lineage, RecordProblem
from services.transformer.empty import is_empty
from services.transformer.fitting import Fitter
from services.transformer.manifest import PLACEHOLDER_ENTITY, placeholder_key
from services.transformer.target import CUSTOM_KINDS, EXTERNAL_ID_FIELD, TARGET_FIELDS
from services.transformer.transforms.problem import ValueProblem
from transload.v1 import records_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from services.transformer.fitting import Fit
    from services.transformer.mapping.document import Mapping
    from services.transformer.mapping.entities import Placeholder
    from services.transformer.plan import MappingPlan, TargetPlan
    from transload.v1.records_pb2 import Phase


class Placeholders:
    """Makes the placeholders that the records of one page need, each once."""

    def __init__(self, plan: MappingPlan) -> None:
        self._plan = plan
        self._done: set[str] = set()
        self._keys = {placeholder_key(one.target, name): (name, one) for name, one in plan.mapping.placeholders.items()}

    def needed(
        self, targets: Sequence[TargetPlan], phase: Phase.ValueType, context: Context
    ) -> Iterator[tuple[records_pb2.MappedRecord, list[Lineage]]]:
        """Make the placeholders of a phase that the targets of a record refer to, each once, with where its fields came from."""
        for key in sorted(self._referred(targets, context) - self._done):
            name, placeholder = self._keys[key]
            if TARGET_PHASES[placeholder.target] == phase:
                self._done.add(key)
                yield self._record(key, name, placeholder, context)

    def _referred(self, targets: Sequence[TargetPlan], context: Context) -> set[str]:
        found: set[str] = set()
        for target in targets:
            try:
                elements = target.elements(context)
            except ValueProblem:
                continue
            for element in elements:
                at_element = Context(envelope=context.envelope, lookup=context.lookup, element=element, memo=context.memo)
                found.update(key for key in _references(target, at_element) if key in self._keys)
        return found

    def _record(self, key: str, name: str, placeholder: Placeholder, context: Context) -> tuple[records_pb2.MappedRecord, list[Lineage]]:
        payload: dict[str, Any] = {}
        custom: dict[str, Any] = {}
        lineage: list[Lineage] = []
        for field, label, is_custom, fit, given in self._filled(placeholder):
            value = fit(context, given)
            (custom if is_custom else payload)[field] = value
            lineage.append(Lineage(f"custom_fields.{field}" if is_custom else field, label, "(placeholder)", given, value, "fixed value"))
        manifest = self._plan.manifest
        external_id = manifest.field_hash(placeholder.target, EXTERNAL_ID_FIELD) if manifest else None
        if manifest is not None and external_id is not None:
            custom[external_id] = f"{manifest.external_id_prefix}{PLACEHOLDER_ENTITY}/{name}"
        if custom:
            payload["custom_fields"] = custom
        content = canonical_json(payload)
        record = records_pb2.MappedRecord(
            key=key,
            target_entity=placeholder.target,
            source_entity=PLACEHOLDER_ENTITY,
            source_id=name,
            payload_json=content,
            payload_digest=digest(content),
        )
        return record, lineage

    def _filled(self, placeholder: Placeholder) -> Iterator[tuple[str, str, bool, Fit, Any]]:
        """Go through the fields of a placeholder as (name or hash, label, is_custom, fit, value); custom fields only where the account has them."""
        manifest = self._plan.manifest
        fitter = Fitter(placeholder.target, manifest, self._plan.mapping.policies)
        for name, value in placeholder.fields.items():
            if not is_empty(value):
                yield name, name.replace("_", " ").capitalize(), False, fitter.fit(name, name, TARGET_FIELDS[placeholder.target][name]), value
        declared = self._plan.mapping.schema_.fields.get(placeholder.target, {})
        for field_id, value in placeholder.custom.items():
            code = manifest.field_hash(placeholder.target, field_id) if manifest else None
            if code is not None and not is_empty(value):
                one = declared[field_id]
                yield code, one.name, True, fitter.fit(field_id, one.name, CUSTOM_KINDS[one.type]), value


def _references(target: TargetPlan, context: Context) -> Iterable[str]:
    """Answer the keys a target's fields refer to, read as far as they can be read."""
    try:
        if (target.when is not None and not target.when(context)) or any(stop.test(context) for stop in target.stops):
            return ()
    except (ValueProblem, RecordProblem):
        return ()
    last = max((number for number, one in enumerate(target.fields) if one.places), default=-1)
    for one in target.fields[: last + 1]:
        try:
            value = one.read(context)
        except (RecordProblem, LeaveOut):
            continue  # it will be said when the record itself is mapped
        if value is not None and not one.is_custom:
            context.payload[one.name] = value
    return context.references


def check_placeholders(mapping: Mapping) -> None:
    """Check that every placeholder can be made of what is declared.

    Raises:
        MappingError: one cannot; the message names its place.
    """
    for name, one in mapping.placeholders.items():
        problem = placeholder_problem(mapping, name, one)
        if problem:
            raise MappingError(f"placeholders.{name}: {problem}")


def placeholder_problem(mapping: Mapping, name: str, one: Placeholder) -> str:
    """Say why a placeholder cannot be made; empty: it can."""
    if not name or "/" in name:
        return "its name becomes part of a key: it must not be empty or hold a slash"
    if one.target not in {"organization", "person", "product", "deal"}:
        return f"{one.target or 'nothing'} cannot be a placeholder; organization, person, product and deal can"
    unknown = [field for field in one.fields if field not in TARGET_FIELDS[one.target]]
    if unknown:
        return f"{one.target} has no field `{unknown[0]}`; known: {', '.join(TARGET_FIELDS[one.target])}"
    declared = mapping.schema_.fields.get(one.target, {})
    missing = [field for field in one.custom if field not in declared]
    if missing:
        return f"the custom field `{missing[0]}` is not declared under schema.fields.{one.target}"
    needed = [field for field, spec in TARGET_FIELDS[one.target].items() if spec.required and is_empty(one.fields.get(field))]
    return f"Pipedrive refuses a {one.target} without {needed[0]}" if needed else ""
