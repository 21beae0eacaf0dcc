"""A mapping made ready to run: for every source entity the targets with their compiled fields, in the order of phases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.common.errors import MappingError
from services.common.phases import LATE_LINKS, PHASES, TARGET_PHASES
from services.transformer.context import RecordProblem
from services.transformer.fitting import Fit, Fitter, record_problem
from services.transformer.links import Links
from services.transformer.mapping.rules import FieldRule
from services.transformer.paths import compile_keys
from services.transformer.placeholders import check_placeholders
from services.transformer.property_rows import check_rows, row_getter
from services.transformer.rules.compiled import CompiledRule, Test, Used, Value
from services.transformer.rules.compiler import RuleCompiler, plain_value
from services.transformer.target import CUSTOM_KINDS, EXTERNAL_ID_FIELD, NOTE_PARENTS, TARGET_FIELDS, Kind, TargetField
from services.transformer.transforms.problem import ValueProblem
from services.transformer.transforms.texts import option, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.transformer.context import Context
    from services.transformer.manifest import Manifest
    from services.transformer.mapping.document import Mapping
    from services.transformer.mapping.entities import Target
    from services.transformer.paths import Getter
    from transload.v1.records_pb2 import Phase

_STOPPING_KINDS = frozenset({Kind.OPTION, Kind.OPTIONS, Kind.LABELS, Kind.BUILT_IN_OPTION, Kind.STAGE, Kind.ACTIVITY_TYPE, Kind.CHOICE})


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """One target field, ready to be filled.

    Attributes:
        name: field of the payload, or the hash of a custom field.
        label: name a person reads.
        rule: gives the value before it is fitted.
        read: gives the value, None for none; raises RecordProblem where the record cannot go without one that is missing or cannot be used.
        can_stop: whether the field can hold the whole record back.
        length: most characters of a text field, 0 without a limit.
        places: whether it may refer to a placeholder.
    """

    name: str
    label: str
    is_custom: bool
    rule: CompiledRule
    read: Value
    can_stop: bool
    length: int
    places: bool = False

    def long_text(self, context: Context) -> str | None:
        """Answer the field's whole text if it is longer than the field takes."""
        try:
            found = self.rule.value(context)
            written = found if found is None or type(found) is str else text(found)
        except (ValueProblem, RecordProblem):
            return None
        return written if written is not None and len(written) > self.length else None


def _reader(value: Value, fit: Fit, label: str, *, required: bool = False, rejects: bool = False, waits: bool = True) -> Value:
    """Make the function that reads a field; `waits` says whether a value no map or option knows holds the record, else it is flagged."""

    def read(context: Context) -> Any:
        try:
            found = value(context)
            fitted = None if found is None else fit(context, found)
        except ValueProblem as problem:
            stop = record_problem(problem, label, rejects=rejects, waits=waits)
            if stop is not None:
                raise stop from problem
            context.remark(problem.reason, f"{label}: {problem.message}; the field was left empty")
            fitted = None
        if required and fitted is None:
            raise RecordProblem("VALUE_MISSING", f"{label}: the record has no value for it; fill it in the source and run a delta", is_final=True)
        return fitted

    return read


@dataclass(frozen=True, slots=True)
class StopPlan:
    """A compiled stop."""

    test: Test
    state: str
    reason: str
    message: Value


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One kind of mapped record of an entity.

    Attributes:
        position: place in the entity's list of targets; the first is the main one, on which the others depend.
        flags: what is worth a look but stops nothing.
        placeholder_phases: phases of the placeholders its fields may refer to.
        external_id_hash: custom field that takes the record's external id, None where there is none.
    """

    position: int
    target: str
    phase: Phase.ValueType
    part: Value | None
    when: Test | None
    for_each: Value | None
    for_each_rejects: bool
    stops: tuple[StopPlan, ...]
    flags: tuple[StopPlan, ...]
    fields: tuple[FieldPlan, ...]
    external_id_hash: str | None
    placeholder_phases: frozenset[Phase.ValueType] = frozenset()

    def elements(self, context: Context) -> list[Any]:
        """Answer what the target is made for: the elements of its list, or one None where it has none.

        Raises:
            ValueProblem: the list cannot be made of what the record says.
        """
        if self.for_each is None:
            return [None]
        found = self.for_each(context)
        return [element for element in (found if isinstance(found, list) else [found]) if element is not None]

    @property
    def keeps_long_texts(self) -> bool:
        """Whether texts that were cut can be kept in a note."""
        return self.target in NOTE_PARENTS and self.for_each is None


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """What is made of an entity's records in one phase.

    Attributes:
        targets: what is made.
        placing: targets of any phase that may refer to placeholders of this one.
        asks_main: whether something may be made that hangs on the main target.
        long_texts: in the phase of notes, targets with the fields whose whole texts a note keeps where they are cut.
        is_last: whether it is the entity's last phase.
    """

    targets: tuple[TargetPlan, ...]
    placing: tuple[TargetPlan, ...]
    asks_main: bool
    long_texts: tuple[tuple[TargetPlan, tuple[FieldPlan, ...]], ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class EntityPlan:
    """What becomes of one source entity."""

    entity: str
    targets: tuple[TargetPlan, ...]
    phases: tuple[Phase.ValueType, ...]
    used: Used = field(default_factory=Used)
    by_phase: dict[Phase.ValueType, PhasePlan] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_phase", {phase: self._at(phase) for phase in self.phases})

    def _at(self, phase: Phase.ValueType) -> PhasePlan:
        wanted = tuple(target for target in self.targets if target.phase == phase)
        keeping = [target for target in self.targets if target.keeps_long_texts] if phase == TARGET_PHASES["note"] else []
        return PhasePlan(
            targets=wanted,
            placing=tuple(target for target in self.targets if phase in target.placeholder_phases),
            asks_main=phase != self.phases[0] or any(target.position for target in wanted),
            long_texts=tuple((target, limited) for target in keeping if (limited := tuple(one for one in target.fields if one.length))),
            is_last=phase == self.phases[-1],
        )


class MappingPlan:
    """A whole mapping, compiled. Without a manifest it answers questions about the rules but maps nothing.

    Raises:
        MappingError: a rule cannot be compiled; the message names its place.
    """

    def __init__(self, mapping: Mapping, manifest: Manifest | None = None) -> None:
        self.mapping = mapping
        self.manifest = manifest
        self.links = Links(mapping.links, mapping.collections, mapping.value_maps)
        for name, link in mapping.links.items():
            if link.decided and (link.decided not in mapping.value_maps or not link.entity):
                raise MappingError(f"links.{name}: `decided` needs the `entity` it leads to and a value map of that name")
        for entity, rule in mapping.entities.items():
            whole = mapping.links.get(rule.part_of or "")
            if (rule.use == "part") != (whole is not None and whole.id is not None):
                raise MappingError(f"entities.{entity}.part_of: `use: part` goes with a link by id to the record it is moved with")
        check_placeholders(mapping)
        self.entities = {entity: self._entity(entity) for entity, rule in mapping.entities.items() if rule.use == "move"}

    def compiler(self, entity: str) -> RuleCompiler:
        """Answer a compiler for single rules of an entity."""
        return RuleCompiler(self.mapping, self.links, entity, used=Used(), manifest=self.manifest)

    def _entity(self, entity: str) -> EntityPlan:
        used = Used()
        rule = self.mapping.entities[entity]
        check_rows(rule, self.links)
        used.hops.update((((), rows.link),) for rows in rule.property_rows)
        targets = []
        for position, target in enumerate(rule.targets):
            place = f"entities.{entity}.targets[{position}]"
            if target.target not in TARGET_FIELDS:
                raise MappingError(f"{place}: Pipedrive has no target `{target.target}`; known: {', '.join(TARGET_FIELDS)}")
            targets.append(self._target(entity, position, target, used, place))
        phases = {target.phase for target in targets}.union(*(target.placeholder_phases for target in targets))
        if any(target.keeps_long_texts for target in targets):
            phases.add(TARGET_PHASES["note"])
        return EntityPlan(entity, tuple(targets), tuple(phase for phase in PHASES if phase in phases), used)

    def _target(self, entity: str, position: int, target: Target, used: Used, place: str) -> TargetPlan:
        alias = target.as_ if target.for_each else ""
        outer = RuleCompiler(self.mapping, self.links, entity, used=used, manifest=self.manifest)
        list_path = target.for_each if isinstance(target.for_each, str) else ""
        compiler = RuleCompiler(self.mapping, self.links, entity, used=used, alias=alias, list_path=list_path, manifest=self.manifest)
        fields = []
        for name, rule, is_custom in field_rules(self.mapping, target):
            where = f"{place}.{'custom' if is_custom else 'fields'}.{name}"
            try:
                fields.append(self._field(compiler, target.target, name, rule, is_custom=is_custom))
            except MappingError as error:
                raise MappingError(f"{where}: {error.message}") from error
        if position == 0:
            fields.extend(self._properties(entity, target.target))
        try:
            stops = [
                StopPlan(compiler.test(stop.when) or (lambda _context: True), stop.state, stop.reason, compiler.template(stop.message))
                for stop in target.stops
            ]
            return TargetPlan(
                position=position,
                target=target.target,
                phase=LATE_LINKS if target.after_files else TARGET_PHASES[target.target],
                part=compiler.template(target.part) if target.part else None,
                when=compiler.test(target.when),
                for_each=_list_maker(outer, target.for_each),
                for_each_rejects=isinstance(target.for_each, FieldRule) and target.for_each.on_invalid == "reject",
                stops=tuple(stop for stop in stops if stop.state != "flagged"),
                flags=tuple(stop for stop in stops if stop.state == "flagged"),
                fields=tuple(fields),
                placeholder_phases=frozenset(TARGET_PHASES[self.mapping.placeholders[name].target] for name in compiler.placeholders),
                external_id_hash=self.manifest.field_hash(target.target, EXTERNAL_ID_FIELD) if self.manifest else None,
            )
        except MappingError as error:
            raise MappingError(f"{place}: {error.message}") from error

    def _field(self, compiler: RuleCompiler, target_entity: str, name: str, rule: FieldRule, *, is_custom: bool) -> FieldPlan:
        spec, label = self._spec(target_entity, name, is_custom=is_custom)
        currency = compiler.getter(rule.currency) if rule.currency else None
        cost = compiler.getter(rule.cost) if rule.cost else None
        fit, code = self._fit(target_entity, name, label, spec, is_custom=is_custom, currency=currency, cost=cost)
        required = rule.required or spec.required
        known = len(compiler.placeholders)
        compiled = compiler.rule(rule)
        return FieldPlan(
            name=code,
            label=label,
            is_custom=is_custom,
            rule=compiled,
            read=_reader(
                compiled.value,
                fit,
                label,
                required=required,
                rejects=required or rule.on_invalid == "reject",
                waits=rule.on_unmapped == "wait",
            ),
            can_stop=required or spec.kind in _STOPPING_KINDS or _can_stop(rule),
            length=spec.length if spec.kind is Kind.TEXT else 0,
            places=len(compiler.placeholders) > known,
        )

    def _spec(self, target_entity: str, name: str, *, is_custom: bool) -> tuple[TargetField, str]:
        if not is_custom:
            if name not in TARGET_FIELDS[target_entity]:
                raise MappingError(f"{target_entity} has no field `{name}`; known: {', '.join(TARGET_FIELDS[target_entity])}")
            return TARGET_FIELDS[target_entity][name], name.replace("_", " ").capitalize()
        declared = self.mapping.schema_.fields.get(target_entity, {}).get(name)
        if declared is None:
            raise MappingError(f"the custom field `{name}` is not declared under schema.fields.{target_entity}")
        if declared.type not in CUSTOM_KINDS:
            raise MappingError(f"Pipedrive has no custom field type `{declared.type}`; known: {', '.join(CUSTOM_KINDS)}")
        return CUSTOM_KINDS[declared.type], declared.name

    def _fit(
        self,
        target_entity: str,
        name: str,
        label: str,
        spec: TargetField,
        *,
        is_custom: bool,
        currency: Getter | None = None,
        cost: Getter | None = None,
    ) -> tuple[Fit, str]:
        """Answer the fitting function and the field's name in the payload."""
        fitter = Fitter(target_entity, self.manifest, self.mapping.policies)
        if not is_custom:
            return fitter.fit(name, label, spec, currency=currency, cost=cost), name
        code = self.manifest.field_hash(target_entity, name) if self.manifest else None
        if code is None and self.manifest is not None:
            return _unbound_fit(label), name
        return fitter.fit(name, label, spec, currency=currency, cost=cost), code or name

    def _properties(self, entity: str, target_entity: str) -> Iterator[FieldPlan]:
        """Make the fields of the properties a tenant added; they go to custom fields of the entity's main target."""
        declared = self.mapping.schema_.fields.get(target_entity, {})
        for field_id, rule in self.mapping.entities[entity].properties.items():
            if not rule.move or field_id not in declared:
                continue
            spec, label = self._spec(target_entity, field_id, is_custom=True)
            fit, code = self._fit(target_entity, field_id, label, spec, is_custom=True)
            keys = tuple(rule.keys)
            getter = row_getter(self.mapping.entities[entity], self.links, keys) or compile_keys(keys)
            if rule.separator:
                getter = _apart(getter, rule.separator)
            value = plain_value(getter)
            yield FieldPlan(
                name=code,
                label=label,
                is_custom=True,
                rule=CompiledRule(value, ((" > ".join(rule.keys), getter),), "property"),
                read=_reader(value, fit, label, waits=False),
                can_stop=False,
                length=spec.length if spec.kind is Kind.TEXT else 0,
            )


def _apart(getter: Getter, separator: str) -> Getter:
    """Take a text that holds several values apart."""

    def read(context: Context) -> Any:
        value = getter(context)
        return option(value, separator=separator) if isinstance(value, str) else value

    return read


def _list_maker(compiler: RuleCompiler, for_each: str | FieldRule | None) -> Value | None:
    if not for_each:
        return None
    return compiler.getter(for_each) if isinstance(for_each, str) else compiler.rule(for_each).value


def opened(rule: FieldRule) -> Iterator[FieldRule]:
    """Go through a rule and all rules inside it."""
    yield rule
    for inner in [*(rule.cases or []), *(rule.join or []), *(rule.together or []), *(rule.object_ or {}).values()]:
        yield from opened(inner)


def field_rules(mapping: Mapping, target: Target) -> Iterator[tuple[str, FieldRule, bool]]:
    """Go through a target's field rules, fragments first and overridden ones left out, as (name, rule, is_custom).

    Raises:
        MappingError: an included fragment does not exist.
    """
    fields: dict[str, FieldRule] = {}
    custom: dict[str, FieldRule] = {}
    for name in target.include:
        if name not in mapping.fragments:
            raise MappingError(f"there is no fragment `{name}`; known: {', '.join(sorted(mapping.fragments))}")
        fields |= mapping.fragments[name].fields
        custom |= mapping.fragments[name].custom
    for name, rule in (fields | target.fields).items():
        yield name, rule, False
    for name, rule in (custom | target.custom).items():
        yield name, rule, True


def _can_stop(rule: FieldRule) -> bool:
    if rule.map or rule.on_invalid == "reject" or rule.required or rule.owner:
        return True
    if rule.ref is not None:
        return rule.ref.on_missing != "drop"
    return any(_can_stop(inner) for inner in [*(rule.cases or []), *(rule.together or [])])


def _unbound_fit(label: str) -> Fit:
    """Say of every value that its custom field is not in Pipedrive (its creation was refused, by the plan's cap for instance)."""

    def fit(context: Context, _value: Any) -> None:
        context.remark("TARGET_CAPPED", f"{label}: the custom field is not in Pipedrive, so the value was not moved; see the field's own review item")

    return fit
