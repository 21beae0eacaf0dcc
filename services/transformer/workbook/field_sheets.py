"""Sheets about what moves: entities, and every source field with where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from services.common.errors import MappingError
from services.transformer.catalogue import CATALOGUE
from services.transformer.guessing import guess_type, slug
from services.transformer.links import Links
from services.transformer.paths import parse_path
from services.transformer.plan import field_rules
from services.transformer.target import CUSTOM_FIELD_ENTITIES, CUSTOM_KINDS, TARGET_FIELDS
from services.transformer.workbook.sheet import Column, Edit, Refused, Row, Sheet, choice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from services.transformer.guessing import Guess
    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.entities import EntityMapping, Target
    from services.transformer.mapping.rules import FieldRule
    from services.transformer.workbook.layer import Layer
    from services.transformer.workbook.survey import Seen, Survey

MOVE: Final = "move"
LEAVE: Final = "leave"
NEW_FIELD: Final = "new field"
AS_POLICY: Final = "as the policy says"
NOTHING: Final[Mapping[str, Any]] = {"value": None}
"""A rule that gives no value."""
PICKLISTS: Final = frozenset({"enum", "set"})
_PATHS_SEPARATOR: Final = ";"
_SIMPLE: Final = frozenset({"from", "transforms", "map", "default", "currency", "cost", "required", "on_invalid", "on_unmapped", "when"})
_HIDDEN: Final = frozenset({"bank-account", "bank_account", "iban"})


def entities_sheet(mapping: MappingModel, survey: Survey) -> Sheet:
    """One row for each kind of record."""
    sheet = Sheet(
        "Entities",
        "Kinds of record in the source, and what becomes of them.",
        (
            Column("Entity", width=26),
            Column("Name", width=24),
            Column("Use", "move: becomes records in Pipedrive; not_moved: only in the reference export.", 16, is_editable=True),
            Column("Records", width=10),
            Column("Archived", width=10),
            Column("Deleted", width=10),
            Column("Move now", "Records that move with the decisions as they stand.", 10),
            Column("Becomes", width=44),
            Column("Archived records", "skip, load, or as the policy says.", 20, is_editable=True),
            Column("Deleted records", "skip, load, or as the policy says.", 20, is_editable=True),
        ),
    )
    for entity in [*mapping.entities, *sorted(set(survey.records) - set(mapping.entities))]:
        rule = mapping.entities.get(entity)
        cells: dict[str, Any] = {
            "Entity": entity,
            "Name": rule.label if rule else "",
            "Use": rule.use if rule else "not_moved",
            "Records": survey.records[entity],
            "Archived": survey.archived[entity],
            "Deleted": survey.deleted[entity],
            "Move now": survey.moving[entity],
            "Becomes": becomes(rule) if rule else "",
        }
        row = Row(entity, cells)
        if rule is not None and rule.targets:
            row.edits["Use"] = _choice_edit(("entities", entity, "use"), ("move", "not_moved"))
            if rule.use == "move":
                for heading, name, value in (("Archived records", "archived", rule.archived), ("Deleted records", "deleted", rule.deleted)):
                    row.cells[heading] = value or AS_POLICY
                    row.edits[heading] = _choice_edit(("entities", entity, name), ("skip", "load", AS_POLICY))
        sheet.rows.append(row)
    return sheet


def becomes(rule: EntityMapping) -> str:
    """Say in words which records are made of one entity."""
    if rule.use == "reference_data":
        return "looked up, not moved"
    if rule.use == "part":
        return f"part of the record it belongs to ({rule.part_of})" if rule.part_of else "part of the record it belongs to"
    if rule.use == "not_moved":
        return "reference export"
    # The value of a deal is set after its lines; to a reader it is no record of its own.
    parts = [_target_words(target) for target in rule.targets if target.target != "deal_value"]
    return ", ".join(dict.fromkeys(parts))


def _target_words(target: Target) -> str:
    more = "; ".join(part for part in (for_each_words(target).removeprefix(", "), "sometimes" if target.when else "") if part)
    return f"{target.target.replace('_', ' ')}{f' ({more})' if more else ''}"


def for_each_words(target: Target) -> str:
    """Say of which list a target is made several times, empty for once."""
    if target.for_each is None:
        return ""
    return f", one for each of {target.for_each}" if isinstance(target.for_each, str) else ", one for each element of a list that is computed"


def _choice_edit(keys: tuple[str, ...], allowed: tuple[str, ...]) -> Edit:
    def apply(layer: Layer, written: str) -> None:
        word = choice(written, allowed)
        is_default = word == AS_POLICY or (word == MOVE and layer.in_base(*keys) is None)
        layer.set(keys, None if is_default else word)

    return Edit(apply, ".".join(keys), allowed)


def fields_sheet(mapping: MappingModel, survey: Survey) -> Sheet:
    """One row for each rule, property, field left out on purpose, and field no rule reads."""
    sheet = Sheet(
        "Fields",
        "Every field of the source: where it goes, or why it does not.",
        (
            Column("Entity", width=22),
            Column("Source field", width=36),
            Column("Samples", "Values as they stand in the source; links and bank details are masked.", 40),
            Column("Filled %", width=10),
            Column("Goes to", width=16),
            Column("Field in Pipedrive", width=30),
            Column("Type", width=14),
            Column("Decision", "move, leave, or new field for one that goes nowhere yet.", 14, is_editable=True),
            Column("Take from", "Source paths; of several, separated by ; the first with a value counts.", 36, is_editable=True),
            Column("Transforms", "Named steps in order, e.g. strip, {truncate: {length: 80}}.", 36, is_editable=True),
            Column("If empty", "The value for records without one.", 18, is_editable=True),
            Column("New field: name", "For the decision new field.", 28, is_editable=True),
            Column("New field: type", "For the decision new field.", 16, is_editable=True),
            Column("Value map", width=22),
            Column("Rule in words", width=34),
            Column("Score", width=8),
            Column("Reason", width=60),
        ),
    )
    for entity, rule in mapping.entities.items():
        if rule.use == "move":
            for position, target in enumerate(rule.targets):
                sheet.rows.extend(_rule_rows(mapping, survey, entity, position, target))
            sheet.rows.extend(_property_rows(mapping, survey, entity, rule))
            sheet.rows.extend(_other_rows(survey, entity, rule))
    for entity in [*mapping.entities, *sorted(set(survey.fields) - set(mapping.entities))]:
        if entity not in mapping.entities or mapping.entities[entity].use != "move":
            sheet.rows.extend(_read_only_rows(survey, entity, mapping.entities.get(entity)))
    return sheet


def _read_only_rows(survey: Survey, entity: str, rule: EntityMapping | None) -> Iterator[Row]:
    """Make rows of the fields of records that are no records of their own in Pipedrive: other rules read them, or nothing does."""
    why = "reference export" if rule is None else becomes(rule)
    for keys, seen in survey.fields[entity].items():
        name = " > ".join(keys)
        cells: dict[str, Any] = {
            "Entity": entity,
            "Source field": name,
            "Samples": "" if keys[-1].casefold() in _HIDDEN else _samples(seen),
            "Filled %": _percent(seen),
            "Reason": (rule.not_moved.get(keys[0]) if rule else None) or why,
        }
        yield Row(f"entities.{entity}.read.{name}", cells)


def _percent(seen: Seen | None) -> float | None:
    return None if seen is None or seen.rate is None else round(seen.rate * 100, 1)


def _samples(seen: Seen | None) -> str:
    return "\n".join(seen.samples) if seen else ""


def _rule_rows(mapping: MappingModel, survey: Survey, entity: str, position: int, target: Target) -> Iterator[Row]:
    compiler = survey.plan.compiler(entity)
    own_path = f"entities.{entity}.targets[{position}]"
    for name, rule, is_custom in field_rules(mapping, target):
        part = "custom" if is_custom else "fields"
        seen = survey.rules.get((entity, position, name, is_custom))
        compiled = compiler.rule(rule) if target.for_each is None else None
        sources = list(dict.fromkeys(path for path, _ in compiled.sources)) if compiled else _paths_of(rule)
        declared = mapping.schema_.fields.get(target.target, {}).get(name) if is_custom else None
        spec = None if is_custom else TARGET_FIELDS[target.target].get(name)
        is_left = rule.model_dump(exclude_defaults=True) == {}
        cells: dict[str, Any] = {
            "Entity": entity,
            "Source field": " | ".join(sources) or ("" if is_left else "(fixed value)"),
            "Samples": _samples(seen),
            "Filled %": _percent(seen) if sources else None,
            "Goes to": f"{target.target} {target.part}".strip(),
            "Field in Pipedrive": declared.name if declared else name,
            "Type": declared.type if declared else str(spec.kind) if spec else "",
            "Value map": rule.map or "",
            "Rule in words": compiled.words if compiled else for_each_words(target).removeprefix(", "),
            "Decision": LEAVE if is_left else MOVE,
        }
        row = Row(f"{own_path}.{part}.{name}", cells)
        place = (entity, position, part, name)
        if not (spec and spec.required) and not rule.required:
            row.edits["Decision"] = Edit(_decision_edit(place), row.key, (MOVE, LEAVE))
        if _is_simple(rule):
            paths = [rule.from_] if isinstance(rule.from_, str) else rule.from_ or []
            row.cells["Take from"] = f"{_PATHS_SEPARATOR} ".join(paths)
            row.cells["Transforms"] = written_chain(rule.transforms)
            alias = target.as_ if target.for_each else ""
            row.edits["Take from"] = Edit(_paths_edit(place, Links(mapping.links, mapping.collections), alias), f"{row.key}.from")
            row.edits["Transforms"] = Edit(_chain_edit(place), f"{row.key}.transforms")
            if rule.default is None or isinstance(rule.default, str):
                row.cells["If empty"] = rule.default or ""
                row.edits["If empty"] = Edit(_default_edit(place), f"{row.key}.default")
        yield row


def _paths_of(rule: FieldRule) -> list[str]:
    return [rule.from_] if isinstance(rule.from_, str) else list(rule.from_ or [])


def _is_simple(rule: FieldRule) -> bool:
    """Say whether a rule only takes a value and changes it: those can be edited in cells."""
    return rule.from_ is not None and set(rule.model_dump(by_alias=True, exclude_defaults=True)) <= _SIMPLE


def written_chain(steps: Sequence[str | dict[str, Any]]) -> str:
    """Write a chain of transforms as it is written in the mapping, without the brackets around it."""
    return yaml.dump(list(steps), default_flow_style=True, allow_unicode=True, width=100_000, sort_keys=False).strip()[1:-1] if steps else ""


def read_chain(written: str) -> list[Any]:
    """Read a chain of transforms.

    Raises:
        Refused: it cannot be read, or names a transform that is not there.
    """
    try:
        steps = yaml.safe_load(f"[{written}]")
    except yaml.YAMLError as error:
        raise Refused(
            f"{written!r} cannot be read; write names separated by commas, options in braces: strip, {{truncate: {{length: 80}}}}"
        ) from error
    for step in steps:
        name = next(iter(step)) if isinstance(step, dict) and len(step) == 1 else step
        if name not in CATALOGUE:
            raise Refused(f"there is no transform {name!r}", sorted(CATALOGUE))
    return list(steps)


Place = tuple[str, int, str, str]
"""Entity, position of the target, `fields` or `custom`, name."""


def _raw_rule(layer: Layer, place: Place) -> dict[str, Any]:
    """Answer a rule as it is written, the one of a fragment where the target has none of its own."""
    entity, position, part, name = place
    target = layer.targets(entity)[position]
    raw = (target.get(part) or {}).get(name)
    if raw is None:
        for fragment in target.get("include") or []:
            raw = layer.get("fragments", fragment, part, name) or raw
    return dict(raw) if isinstance(raw, dict) else {"from": raw}


def write_rule(layer: Layer, place: Place, raw: Any) -> None:
    """Write a rule into the overrides: lists are replaced whole, so the entity's targets are written as they will be. None takes the rule away."""
    entity, position, part, name = place
    targets = layer.targets(entity)
    rules = targets[position].setdefault(part, {})
    if raw is None:
        rules.pop(name, None)
    else:
        rules[name] = raw
    if not rules:
        targets[position].pop(part)
    layer.set(("entities", entity, "targets"), targets)


def _decision_edit(place: Place) -> Any:
    entity, position, part, name = place

    def apply(layer: Layer, written: str) -> None:
        word = choice(written, (MOVE, LEAVE))
        if word == LEAVE:
            write_rule(layer, place, dict(NOTHING))
            return
        # Back to what the mapping says without the wish to leave it.
        base = layer.base.get("entities", {}).get(entity, {}).get("targets") or []
        raw = (base[position].get(part) or {}).get(name) if position < len(base) else None
        write_rule(layer, place, raw if raw != NOTHING else None)

    return apply


def _paths_edit(place: Place, links: Links, alias: str) -> Any:
    def apply(layer: Layer, written: str) -> None:
        paths = [path.strip() for path in written.split(_PATHS_SEPARATOR) if path.strip()]
        if not paths:
            raise Refused("must not be empty; to leave the field out, write leave under Decision")
        for path in paths:
            try:
                parse_path(path, links, alias)
            except MappingError as error:
                raise Refused(error.message) from error
        write_rule(layer, place, _raw_rule(layer, place) | {"from": paths[0] if len(paths) == 1 else paths})

    return apply


def _chain_edit(place: Place) -> Any:
    def apply(layer: Layer, written: str) -> None:
        _set_key(layer, place, "transforms", read_chain(written) or None)

    return apply


def _default_edit(place: Place) -> Any:
    def apply(layer: Layer, written: str) -> None:
        _set_key(layer, place, "default", written.strip() or None)

    return apply


def _set_key(layer: Layer, place: Place, key: str, value: Any) -> None:
    raw = _raw_rule(layer, place)
    if value is None:
        raw.pop(key, None)
    else:
        raw[key] = value
    write_rule(layer, place, raw)


# ------------------------------------------------------------------ properties, and fields that go nowhere


def _property_rows(mapping: MappingModel, survey: Survey, entity: str, rule: EntityMapping) -> Iterator[Row]:
    if not rule.targets:
        return
    target = rule.targets[0].target
    for field_id, one in rule.properties.items():
        declared = mapping.schema_.fields.get(target, {}).get(field_id)
        seen = survey.fields[entity].get(tuple(one.keys))
        path = f"entities.{entity}.properties.{field_id}"
        cells: dict[str, Any] = {
            "Entity": entity,
            "Source field": " > ".join(one.keys),
            "Samples": _samples(seen),
            "Filled %": _percent(seen),
            "Goes to": target,
            "Field in Pipedrive": declared.name if declared else field_id,
            "Type": declared.type if declared else "",
            "Decision": MOVE if one.move else LEAVE,
            "Rule in words": "property of this account",
            "Score": one.score,
            "Reason": one.reason or "",
        }
        yield Row(path, cells, {"Decision": Edit(_property_edit(entity, field_id), f"{path}.move", (MOVE, LEAVE))})


def _property_edit(entity: str, field_id: str) -> Any:
    def apply(layer: Layer, written: str) -> None:
        word = choice(written, (MOVE, LEAVE))
        keys = ("entities", entity, "properties", field_id, "move")
        # Moving is the default and stands in no proposal.
        layer.set(keys, None if word == MOVE and layer.in_base(*keys) is None else word == MOVE)

    return apply


def _other_rows(survey: Survey, entity: str, rule: EntityMapping) -> Iterator[Row]:
    """Make rows of what is left out with a reason, and of what no rule reads."""
    target = rule.targets[0].target if rule.targets else ""
    can_be_field = target in CUSTOM_FIELD_ENTITIES
    used = survey.plan.entities[entity].used.keys if entity in survey.plan.entities else set()
    moved = {tuple(one.keys) for one in rule.properties.values()}
    taken = {keys[0] for keys in moved}
    reasons = dict(rule.not_moved)
    for keys, seen in survey.fields[entity].items():
        if len(keys) == 1 and keys[0] not in used and keys[0] not in taken and keys[0] not in rule.property_groups:
            reasons.setdefault(keys[0], rule.not_moved.get(keys[0], ""))
        elif len(keys) > 1 and keys[0] in rule.property_groups and keys not in moved and seen.filled:
            reasons.setdefault(" > ".join(keys), "")
    for name, reason in reasons.items():
        keys = tuple(name.split(" > "))
        seen_one = survey.fields[entity].get(keys)
        if seen_one is None and keys in moved:
            continue
        words = reason or ("written to the note of the record where it has one" if not can_be_field else "no rule reads it")
        cells: dict[str, Any] = {
            "Entity": entity,
            "Source field": name,
            "Samples": "" if name.casefold() in _HIDDEN else _samples(seen_one),
            "Filled %": _percent(seen_one),
            "Decision": LEAVE,
            "Reason": words,
        }
        row = Row(f"entities.{entity}.other.{name}", cells)
        if can_be_field and seen_one is not None:
            guess = guess_type(seen_one.observed) if seen_one.observed else None
            row.cells |= {"Score": guess.score if guess else None, "New field: name": keys[-1], "New field: type": guess.type if guess else "varchar"}
            row.cells["Reason"] = f"{words}; as a field: {guess.reason}" if guess else words
            place = (entity, target, keys)
            row.edits["Decision"] = Edit(_new_field_edit(place, guess), f"entities.{entity}.properties", (LEAVE, NEW_FIELD))
            row.edits["New field: name"] = Edit(_new_name_edit(place), f"schema.fields.{target}")
            row.edits["New field: type"] = Edit(_new_type_edit(place), f"schema.fields.{target}", tuple(CUSTOM_KINDS))
        yield row


NewPlace = tuple[str, str, tuple[str, ...]]
"""Entity, target entity, keys of the source field."""


def set_type(layer: Layer, keys: tuple[str, ...], kind: str) -> None:
    """Write a field's type; what is no picklist has no options."""
    layer.set((*keys, "type"), kind)
    if kind not in PICKLISTS and layer.get(*keys, "options"):
        layer.set((*keys, "options"), None)


def _new_id(place: NewPlace) -> str:
    entity, _, keys = place
    return f"added_{slug('_'.join((entity, *keys)), 'field')}"


def _new_field_edit(place: NewPlace, guess: Guess | None) -> Any:
    entity, target, keys = place

    def apply(layer: Layer, written: str) -> None:
        if choice(written, (LEAVE, NEW_FIELD)) == LEAVE:
            return
        field_id = _new_id(place)
        layer.set(("entities", entity, "properties", field_id), {"keys": list(keys), "reason": "asked for in the workbook"})
        if keys[0] in (layer.get("entities", entity, "not_moved") or {}):
            layer.set(("entities", entity, "not_moved", keys[0]), None)
        field: dict[str, Any] = {"name": keys[-1], "type": guess.type if guess else "varchar"}
        if guess and guess.options:
            field["options"] = list(guess.options)
        layer.set(("schema", "fields", target, field_id), field)

    return apply


def _needs_new(layer: Layer, place: NewPlace) -> tuple[str, ...]:
    keys = ("schema", "fields", place[1], _new_id(place))
    if layer.get(*keys) is None:
        raise Refused(f"counts only with the decision {NEW_FIELD!r} in the same row")
    return keys


def _new_name_edit(place: NewPlace) -> Any:
    def apply(layer: Layer, written: str) -> None:
        if not written.strip():
            raise Refused("Pipedrive refuses an empty name")
        layer.set((*_needs_new(layer, place), "name"), written.strip())

    return apply


def _new_type_edit(place: NewPlace) -> Any:
    def apply(layer: Layer, written: str) -> None:
        set_type(layer, _needs_new(layer, place), choice(written, tuple(CUSTOM_KINDS)))

    return apply
