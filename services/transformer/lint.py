"""The mapping linter (L-02, L-03, X-03): refuses what Pipedrive cannot take, with the fact of its API, and finds values no value map has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import MappingError
from services.transformer import matching
from services.transformer.context import Context, RecordProblem
from services.transformer.delta import entity_problem, field_problem
from services.transformer.empty import is_empty
from services.transformer.lint_growth import check_growth
from services.transformer.lint_sections import section_problems
from services.transformer.plan import MappingPlan, field_rules, opened
from services.transformer.rules.properties import property_values
from services.transformer.rules.skipping import skip_reason
from services.transformer.target import (
    CUSTOM_FIELD_ENTITIES,
    CUSTOM_KINDS,
    EXTERNAL_ID_FIELD,
    EXTERNAL_ID_NAME,
    HANGS_ON,
    OPTION_LABEL_CHARACTERS_MAX,
    READ_ONLY_FIELDS,
    TARGET_FIELDS,
)
from services.transformer.transforms.problem import ValueProblem
from transload.v1 import transformer_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Mapping as MappingType

    from services.transformer.mapping.document import Mapping
    from services.transformer.mapping.entities import Target
    from services.transformer.mapping.rules import FieldRule
    from services.transformer.rules.compiled import CompiledRule
    from services.transformer.snapshot.lookup import Lookup

_ERROR: Final = pb.FINDING_SEVERITY_ERROR
_WARNING: Final = pb.FINDING_SEVERITY_WARNING
_INFO: Final = pb.FINDING_SEVERITY_INFO
_NAME_CHARACTERS_MAX: Final = 255
_OPTIONS_MAX: Final = 10_000
_SHOWN_MAX: Final = 20
_SURE: Final = 0.8
"""Score from which a proposed name needs no look."""


@dataclass(slots=True)
class _Findings:
    found: list[pb.MappingFinding] = field(default_factory=list)

    def add(self, severity: pb.FindingSeverity.ValueType, path: str, message: str, requirement: str = "") -> None:
        self.found.append(pb.MappingFinding(severity=severity, path=path, message=message, requirement=requirement))


def lint(mapping: Mapping, view: Lookup | None = None, target: MappingType[str, Any] | None = None) -> list[pb.MappingFinding]:
    """Check a mapping: alone, against the records of a snapshot, and against a target account as `InspectTarget` describes it."""
    findings = _Findings()
    _check_schema(mapping, findings)
    _check_targets(mapping, findings)
    _check_delta(mapping, findings)
    for path, message in matching.problems(mapping):
        findings.add(_ERROR, path, message, "RS-01")
    check_growth(mapping, findings.add)
    for path, message in dict.fromkeys(section_problems(mapping)):
        findings.add(_ERROR, path, message)
    _check_remarks(mapping, findings)
    try:
        plan = MappingPlan(mapping)
    except MappingError as error:
        path, _, message = error.message.partition(": ")
        findings.add(_ERROR, path if message else "", message or error.message)
        return findings.found
    if target:
        _check_account(mapping, target, findings)
    if view is not None:
        _check_meanings(mapping, view, findings)
        _check_snapshot(plan, view, findings)
    return findings.found


def _check_delta(mapping: Mapping, findings: _Findings) -> None:
    for entity, own in mapping.delta.entities.items():
        path = f"delta.entities.{entity}"
        problem = entity_problem(entity)
        if problem:
            findings.add(_ERROR, path, problem, "L-11")
            continue
        for name in own.fields:
            problem = field_problem(mapping, entity, name)
            if problem:
                findings.add(_ERROR, f"{path}.fields.{name}", problem, "L-11")


def _check_schema(mapping: Mapping, findings: _Findings) -> None:
    for entity, fields in mapping.schema_.fields.items():
        if entity not in CUSTOM_FIELD_ENTITIES:
            findings.add(
                _ERROR,
                f"schema.fields.{entity}",
                f"{entity} records have no custom fields in Pipedrive's API, only {', '.join(CUSTOM_FIELD_ENTITIES)} have: use a note",
                "D-08",
            )
        names = Counter(one.name for one in fields.values())
        for field_id, one in fields.items():
            path = f"schema.fields.{entity}.{field_id}"
            if field_id == EXTERNAL_ID_FIELD:
                findings.add(_ERROR, path, f"`{EXTERNAL_ID_FIELD}` is made by Transload itself: choose another id")
            if one.type not in CUSTOM_KINDS:
                findings.add(_ERROR, f"{path}.type", f"Pipedrive has no custom field type `{one.type}`; it has {', '.join(CUSTOM_KINDS)}")
            if one.type in {"enum", "set"} and not one.options:
                findings.add(_ERROR, f"{path}.options", f"Pipedrive refuses a field of type {one.type} without options", "L-05")
            if len(one.options) > _OPTIONS_MAX:
                findings.add(_ERROR, f"{path}.options", f"Pipedrive takes at most {_OPTIONS_MAX:,} options in a field; this has {len(one.options):,}")
            _check_names(f"{path}.name", [one.name], findings)
            _check_names(f"{path}.options", one.options, findings)
            if names[one.name] > 1:
                message = f"two fields of {entity} are named {one.name!r}: Pipedrive allows it, but a field is found again by its name"
                findings.add(_ERROR, f"{path}.name", message)
    for pipeline_id, pipeline in mapping.schema_.pipelines.items():
        _check_names(f"schema.pipelines.{pipeline_id}", [pipeline.name, *pipeline.stages.values()], findings)
    for entity, labels in mapping.schema_.labels.items():
        _check_names(f"schema.labels.{entity}", labels, findings)
        if entity == "product":
            findings.add(_ERROR, f"schema.labels.{entity}", "products have no labels in Pipedrive; use category or a custom field")
    for name, labels in mapping.schema_.options.items():
        _check_names(f"schema.options.{name}", labels, findings)


def _check_names(path: str, names: Iterable[str], findings: _Findings) -> None:
    for name in names:
        if not name.strip():
            findings.add(_ERROR, path, "Pipedrive refuses an empty name")
        elif len(name) > max(_NAME_CHARACTERS_MAX, OPTION_LABEL_CHARACTERS_MAX):
            findings.add(_ERROR, path, f"Pipedrive takes names of at most {_NAME_CHARACTERS_MAX} characters; {name[:40]!r}… has {len(name)}")


def _check_targets(mapping: Mapping, findings: _Findings) -> None:
    for entity, rule in mapping.entities.items():
        for position, target in enumerate(rule.targets):
            path = f"entities.{entity}.targets[{position}]"
            if target.target not in TARGET_FIELDS:
                findings.add(_ERROR, f"{path}.target", f"Pipedrive has no `{target.target}`; known: {', '.join(TARGET_FIELDS)}")
                continue
            _check_target(mapping, target, path, findings)


def _check_target(mapping: Mapping, target: Target, path: str, findings: _Findings) -> None:
    try:
        rules = list(field_rules(mapping, target))
    except MappingError as error:
        findings.add(_ERROR, f"{path}.include", error.message)
        return
    names = {name for name, _, is_custom in rules if not is_custom}
    for name, rule, is_custom in rules:
        where = f"{path}.{'custom' if is_custom else 'fields'}.{name}"
        if is_custom and target.target not in CUSTOM_FIELD_ENTITIES:
            findings.add(_ERROR, where, f"{target.target} records have no custom fields in Pipedrive's API: put the value into a note", "D-08")
        elif not is_custom and (fact := READ_ONLY_FIELDS.get(target.target, {}).get(name)):
            findings.add(_ERROR, where, fact, "X-02")
        if _primary_count(rule) > 1:
            findings.add(_ERROR, where, "Pipedrive refuses more than one primary e-mail or phone: mark one entry at most")
    for name, spec in TARGET_FIELDS[target.target].items():
        if spec.required and name not in names:
            findings.add(_ERROR, f"{path}.fields.{name}", f"Pipedrive refuses a {target.target} without {name}")
    if target.target == "note" and names.isdisjoint(HANGS_ON["note"]):
        fact = "a note must hang on a deal, an organization or a person; notes cannot be linked to products"
        findings.add(_ERROR, f"{path}.fields", fact, "OP-12")
    if target.target == "deal" and "stage_id" not in names:
        findings.add(_WARNING, f"{path}.fields.stage_id", "without a stage Pipedrive puts deals into the first stage of the default pipeline", "L-03")
    if target.target == "deal" and not names & {"org_id", "person_id"}:
        findings.add(_WARNING, f"{path}.fields", "deals without organization and person are hard to find again in Pipedrive", "X-01")


def _primary_count(rule: FieldRule) -> int:
    """Count the transforms of a rule that ask for a primary entry; one list may have one."""
    steps = [step for one in opened(rule) for step in one.transforms if isinstance(step, dict)]
    return sum(1 for step in steps for options in step.values() if options.get("primary") is True)


def _check_meanings(mapping: Mapping, view: Lookup, findings: _Findings) -> None:
    """Say which meanings no field was found for, where there are records, and which proposals are weak."""
    rule = mapping.propose.names
    for entity, meanings in (rule.meanings if rule is not None else {}).items():
        if next(iter(view.iterate(entity)), None) is None:
            continue
        names = mapping.names.get(entity, {})
        if missing := [meaning for meaning in meanings if meaning not in names]:
            findings.add(_INFO, f"names.{entity}", f"no field was found for {', '.join(missing)}: if the source has one, name it here", "D-07")
        for meaning, name in names.items():
            if name.score is not None and name.score < _SURE:
                findings.add(
                    _WARNING, f"names.{entity}.{meaning}", f"needs_review: {name.field} was taken (score {name.score:.2f}): {name.reason}", "D-07"
                )


def _check_remarks(mapping: Mapping, findings: _Findings) -> None:
    """Pass on what the proposal could not decide."""
    for name, table in mapping.value_maps.items():
        for value, entry in table.items():
            remark = entry.get("remark") if isinstance(entry, dict) else None
            if isinstance(remark, str) and remark:
                findings.add(_WARNING, f"value_maps.{name}.{value}", remark, "L-03")
            stage = entry.get("stage") if isinstance(entry, dict) else None
            if isinstance(stage, str):
                pipeline_id, _, stage_id = stage.partition(".")
                pipeline = mapping.schema_.pipelines.get(pipeline_id)
                if pipeline is None or stage_id not in pipeline.stages:
                    findings.add(_ERROR, f"value_maps.{name}.{value}.stage", f"there is no stage `{stage}` under schema.pipelines", "L-03")
    for source_id, person in mapping.owners.people.items():
        if person.remark:
            findings.add(_WARNING, f"owners.people.{source_id}", person.remark, "L-04")
    for entity, rule in mapping.entities.items():
        for field_id, one in rule.properties.items():
            where = f"entities.{entity}.properties.{field_id}"
            if not one.move:
                findings.add(_INFO, where, f"the property {' > '.join(one.keys)} is not moved, by decision", "X-03")
            elif one.reason:
                score = "" if one.score is None else f" (score {one.score:.2f})"
                findings.add(_INFO, where, f"proposed{score}: {one.reason}", "X-03")


def _check_account(mapping: Mapping, target: MappingType[str, Any], findings: _Findings) -> None:
    """Check against the target account: head-room for custom fields, and the fallback owner."""
    fields = target.get("fields") or {}
    existing = {
        (entity, str(one.get("field_name")), str(one.get("field_type")))
        for entity, definitions in fields.items()
        for one in definitions
        if one.get("is_custom_field")
    }
    wanted = {(entity, one.name, one.type) for entity, declared in mapping.schema_.fields.items() for one in declared.values()}
    wanted |= {(entity, EXTERNAL_ID_NAME, "varchar") for entity in CUSTOM_FIELD_ENTITIES}
    for entity, name, kind in sorted(wanted):
        other = [
            other_kind for other_entity, other_name, other_kind in existing if (other_entity, other_name) == (entity, name) and other_kind != kind
        ]
        if other:
            message = f"Pipedrive has a {entity} field {name!r} of type {other[0]} already; types cannot be changed, so a second field is made"
            findings.add(_WARNING, f"schema.fields.{entity}", message, "L-05")
    cap = (target.get("caps") or {}).get("custom_fields")
    needed = len(existing) + len(wanted - existing)
    if cap and needed > cap:
        message = (
            f"the mapping needs {len(wanted - existing)} new custom fields; with the {len(existing)} that are there this makes {needed}, "
            f"and the account's plan takes {cap}: leave fields out or choose a higher plan"
        )
        findings.add(_ERROR, "schema.fields", message, "G-05")
    email = mapping.policies.fallback_owner
    active = {str(user.get("email", "")).casefold() for user in target.get("users") or [] if user.get("active_flag")}
    if email and email.casefold() not in active:
        findings.add(_ERROR, "policies.fallback_owner", "no active Pipedrive user has this e-mail", "L-04")
    elif not email and mapping.policies.unmatched_owner == "fallback":
        message = "no fallback owner is named: records of unmatched owners go to the user whose API token is used"
        findings.add(_INFO, "policies.fallback_owner", message, "L-04")


def _check_snapshot(plan: MappingPlan, view: Lookup, findings: _Findings) -> None:
    """Read every record that is moved once: values without an entry in their value map, and properties no rule knows."""
    mapping = plan.mapping
    _check_states(mapping, view, findings)
    declared: set[tuple[str, str]] = set()
    filled: set[tuple[str, str]] = set()
    for entity, rule in mapping.entities.items():
        entity_plan = plan.entities.get(entity)
        if entity_plan is None:
            continue
        maps = [(name, one) for name, one in _mapped_rules(mapping, entity) if one.map]
        # Columns of one map are asked for the same value: one of them says whether it is there.
        by_map = {(one.map or "").partition(".")[0]: one for _, one in maps}
        compiled = [(name, _value_reader(plan, entity, one)) for name, one in by_map.items()]
        unmapped: Counter[tuple[str, str]] = Counter()
        unknown: Counter[tuple[str, ...]] = Counter()
        empty = dict(_custom_rules(plan, entity))
        declared |= empty.keys()
        known_properties = {tuple(one.keys) for one in rule.properties.values()}
        for envelope in view.iterate(entity):
            if skip_reason(mapping, envelope) is not None:
                continue
            context = Context(envelope=envelope, lookup=view)
            # Only what has not been seen with a value yet is asked for again, so most fields cost one look.
            found = [place for place, one in empty.items() if _has_value(one, context)]
            filled.update(found)
            empty = {place: one for place, one in empty.items() if place not in filled}
            for name, read in compiled:
                problem = read(Context(envelope=envelope, lookup=view))
                if problem is not None:
                    unmapped[name, problem] += 1
            for keys, value in property_values(rule, entity_plan.used.keys, envelope):
                if not is_empty(value) and keys not in known_properties:
                    unknown[keys] += 1
        for (name, problem), count in sorted(unmapped.items())[:_SHOWN_MAX]:
            findings.add(_WARNING, f"value_maps.{name}", f"{problem}; {count} records of {entity} wait until then", "L-03")
        _report_unknown(mapping, entity, unknown, findings)
    _report_empty(mapping, declared - filled, findings)


def _custom_rules(plan: MappingPlan, entity: str) -> Iterator[tuple[tuple[str, str], CompiledRule]]:
    """Make the rules of the custom fields of an entity's targets, as ((target, field id), rule)."""
    for target in plan.mapping.entities[entity].targets:
        if target.for_each is None:
            for name, rule, is_custom in field_rules(plan.mapping, target):
                if is_custom:
                    yield (target.target, name), plan.compiler(entity).rule(rule)


def _has_value(rule: CompiledRule, context: Context) -> bool:
    """Say whether a rule gives a value for this record; one that cannot be read is a value too."""
    try:
        return not is_empty(rule.value(context))
    except (ValueProblem, RecordProblem):
        return True


def _report_empty(mapping: Mapping, empty: Iterable[tuple[str, str]], findings: _Findings) -> None:
    """Report custom fields that no record of the account fills: they stay empty, or what holds them has another name there (D-03)."""
    for target, name in sorted(empty):
        declared = mapping.schema_.fields.get(target, {}).get(name)
        label = declared.name if declared is not None else name
        message = f"no record of the account fills {label}, it will stay empty; if a property of the account holds it, name that property in the rule"
        findings.add(_INFO, f"schema.fields.{target}.{name}", message, "D-03")


def _check_states(mapping: Mapping, view: Lookup, findings: _Findings) -> None:
    """Check that every state the source lists has its entry: a missing one is found here, not in the load."""
    for proposal in mapping.propose.states:
        seen: set[tuple[str, str]] = set()
        for one in view.iterate(proposal.entity):
            kind = proposal.kind_of(one.data)
            group = proposal.groups.get(kind)
            name = str(one.data.get(proposal.name) or "").casefold().strip()
            if group is None or one.is_deleted or not name or (kind, name) in seen:
                continue
            seen.add((kind, name))
            table = mapping.value_maps.get(group.value_map, {})
            if "*" not in table and name not in {str(known).casefold().strip() for known in table}:
                message = f"the state {one.data.get(proposal.name)!r} has no entry: say which stage and status it means"
                findings.add(_ERROR, f"value_maps.{group.value_map}", message, "L-03")


def _report_unknown(mapping: Mapping, entity: str, unknown: Counter[tuple[str, ...]], findings: _Findings) -> None:
    main = mapping.entities[entity].targets[0].target if mapping.entities[entity].targets else ""
    for keys, count in sorted(unknown.items()):
        where = f"entities.{entity}.properties"
        if main in CUSTOM_FIELD_ENTITIES:
            message = f"the property {' > '.join(keys)} ({count} records) goes nowhere: add it to properties, or to not_moved with the reason"
            findings.add(_WARNING, where, message, "X-03")
        else:
            message = f"the property {' > '.join(keys)} ({count} records) is written to the note: {main} records have no custom fields"
            findings.add(_INFO, where, message, "X-03")


def _mapped_rules(mapping: Mapping, entity: str) -> Iterator[tuple[str, FieldRule]]:
    """Go through all rules of an entity's targets that stand outside lists, cases opened."""
    for target in mapping.entities[entity].targets:
        if target.for_each is None:
            for name, rule, _ in field_rules(mapping, target):
                for one in opened(rule):
                    yield name, one


def _value_reader(plan: MappingPlan, entity: str, rule: FieldRule) -> Any:
    """Make a function that says what is wrong with a record's value for a value map, None when nothing is."""
    compiled = plan.compiler(entity).rule(rule)

    def read(context: Context) -> str | None:
        try:
            compiled.value(context)
        except ValueProblem as problem:
            return problem.message if problem.reason == "VALUE_UNMAPPED" else None
        return None

    return read
