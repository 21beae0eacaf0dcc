"""Rows of a tenant's properties and of fields that go nowhere, and new fields made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.transformer.guessing import guess_type, slug
from services.transformer.target import CUSTOM_FIELD_ENTITIES, CUSTOM_KINDS
from services.transformer.workbook.decisions import LEAVE, MOVE, NEW_FIELD
from services.transformer.workbook.samples import HIDDEN, percent, samples_of
from services.transformer.workbook.sheet import Edit, Refused, Row, choice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.transformer.guessing import Guess
    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.entities import EntityMapping
    from services.transformer.workbook.layer import Layer
    from services.transformer.workbook.survey import Survey


PICKLISTS: Final = frozenset({"enum", "set"})


def property_rows(mapping: MappingModel, survey: Survey, entity: str, rule: EntityMapping) -> Iterator[Row]:
    """Make a row for each property a tenant added."""
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
            "Samples": samples_of(seen),
            "Filled %": percent(seen),
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


def other_rows(survey: Survey, entity: str, rule: EntityMapping) -> Iterator[Row]:
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
            "Samples": "" if name.casefold() in HIDDEN else samples_of(seen_one),
            "Filled %": percent(seen_one),
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
