"""The sheet of custom fields: what will be created in Pipedrive or found there, with what the account has that is like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.transformer.plan import field_rules
from services.transformer.target import CUSTOM_KINDS, NAME_CHARACTERS_MAX
from services.transformer.workbook.decisions import LEAVE, MOVE
from services.transformer.workbook.new_field_rows import PICKLISTS, set_type
from services.transformer.workbook.sheet import Column, Edit, Refused, Row, Sheet, choice
from services.transformer.workbook.similar import likenesses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.schema import CustomField
    from services.transformer.workbook.layer import Layer
    from services.transformer.workbook.similar import Likeness

USE: str = "use: "


def custom_fields_sheet(mapping: MappingModel, target: Mapping[str, Any]) -> Sheet:
    """One row for each custom field the mapping needs."""
    sheet = Sheet(
        "Custom fields",
        "Custom fields Pipedrive needs. One of the same name and type is used; one that is like it can be used instead.",
        (
            Column("Of", width=14),
            Column("Id", width=26),
            Column("Name", "The name in Pipedrive.", 32, is_editable=True),
            Column("Type", "The type in Pipedrive; it cannot be changed later.", 14, is_editable=True),
            Column("Options", "For picklists: one option a line.", 28, is_editable=True),
            Column("Decision", "move, leave (the values do not move), or use: and the name of a field the account has.", 30, is_editable=True),
            Column("In Pipedrive", width=24),
            Column("Filled from", width=40),
            Column("Score", "How sure the type is, 0 to 1; empty for fields the mapping names itself.", 8),
            Column("Reason", width=50),
            Column("Like it in the account", width=60),
        ),
    )
    filled = _filled_from(mapping)
    for entity, fields in mapping.schema_.fields.items():
        existing = [field for field in (target.get("fields") or {}).get(entity, []) if field.get("is_custom_field")]
        for field_id, one in fields.items():
            sheet.rows.append(_row(mapping, (entity, field_id), one, existing, filled.get((entity, field_id), [])))
    return sheet


def _row(mapping: MappingModel, place: tuple[str, str], one: CustomField, existing: list[Mapping[str, Any]], sources: list[str]) -> Row:
    entity, field_id = place
    proposal = next((rule.properties[field_id] for rule in mapping.entities.values() if field_id in rule.properties and _main(rule) == entity), None)
    is_there = any(field.get("field_name") == one.name and field.get("field_type") == one.type for field in existing)
    like = [] if is_there else likenesses(one.name, one.type, one.options, existing, [proposal.keys[-1]] if proposal else [])
    path = f"schema.fields.{entity}.{field_id}"
    cells: dict[str, Any] = {
        "Of": entity,
        "Id": field_id,
        "Name": one.name,
        "Type": one.type,
        "Options": "\n".join(one.options),
        "Decision": MOVE,
        "In Pipedrive": "is there, same name and type" if is_there else "will be created",
        "Filled from": "\n".join(sources),
        "Score": proposal.score if proposal else None,
        "Reason": (proposal.reason or "") if proposal else "named by the mapping",
        "Like it in the account": "\n".join(
            f"{field.name} ({field.type}): {field.score:.2f}, {field.reason}{'' if field.fits else '; does not fit'}" for field in like
        ),
    }
    fitting = [field for field in like if field.fits]
    row = Row(f"{entity}.{field_id}", cells)
    row.edits = {
        "Name": Edit(_name_edit(entity, field_id), f"{path}.name"),
        "Type": Edit(_type_edit(entity, field_id), f"{path}.type", tuple(CUSTOM_KINDS)),
        "Options": Edit(_options_edit(entity, field_id), f"{path}.options"),
        "Decision": Edit(_decision_edit(entity, field_id, fitting), path, (MOVE, LEAVE, *(f"{USE}{field.name}" for field in fitting))),
    }
    return row


def _main(rule: Any) -> str:
    return rule.targets[0].target if rule.targets else ""


def _filled_from(mapping: MappingModel) -> dict[tuple[str, str], list[str]]:
    """Answer by custom field the entities and paths that fill it."""
    found: dict[tuple[str, str], list[str]] = {}
    for entity, rule in mapping.entities.items():
        if rule.use != "move":
            continue
        for target in rule.targets:
            for name, one, is_custom in field_rules(mapping, target):
                if is_custom:
                    paths = [one.from_] if isinstance(one.from_, str) else one.from_ or []
                    found.setdefault((target.target, name), []).append(f"{entity}: {' | '.join(paths)}" if paths else entity)
        for field_id, added in rule.properties.items():
            if added.move:
                found.setdefault((_main(rule), field_id), []).append(f"{entity}: {' > '.join(added.keys)}")
    return found


def _keys(entity: str, field_id: str) -> tuple[str, ...]:
    return ("schema", "fields", entity, field_id)


def _name_edit(entity: str, field_id: str) -> Any:
    def apply(layer: Layer, written: str) -> None:
        name = written.strip()
        if not name:
            raise Refused("Pipedrive refuses an empty name")
        if len(name) > NAME_CHARACTERS_MAX:
            raise Refused(f"Pipedrive takes names of at most {NAME_CHARACTERS_MAX} characters; this has {len(name)}")
        layer.set((*_keys(entity, field_id), "name"), name)

    return apply


def _type_edit(entity: str, field_id: str) -> Any:
    def apply(layer: Layer, written: str) -> None:
        set_type(layer, _keys(entity, field_id), choice(written, tuple(CUSTOM_KINDS)))

    return apply


def _options_edit(entity: str, field_id: str) -> Any:
    def apply(layer: Layer, written: str) -> None:
        options = [line.strip() for line in written.splitlines() if line.strip()]
        kind = layer.get(*_keys(entity, field_id), "type")
        if options and kind not in PICKLISTS:
            raise Refused(f"a field of type {kind} has no options; choose enum (one value) or set (several) under Type", sorted(PICKLISTS))
        if len({option.casefold() for option in options}) < len(options):
            raise Refused("an option stands twice")
        layer.set((*_keys(entity, field_id), "options"), options or None)

    return apply


def _decision_edit(entity: str, field_id: str, like: list[Likeness]) -> Any:
    words = {f"{USE}{field.name}": field for field in like}

    def apply(layer: Layer, written: str) -> None:
        word = choice(written, (MOVE, LEAVE, *words))
        if word == LEAVE:
            leave_field(layer, entity, field_id)
        elif word != MOVE:
            field = words[word]
            layer.set((*_keys(entity, field_id), "name"), field.name)
            set_type(layer, _keys(entity, field_id), field.type)
            if field.type in PICKLISTS:
                ours = layer.get(*_keys(entity, field_id), "options") or []
                layer.set((*_keys(entity, field_id), "options"), list(dict.fromkeys([*field.options, *ours])))

    return apply


def leave_field(layer: Layer, target_entity: str, field_id: str) -> None:
    """Take a custom field out of the mapping: its declaration, and every rule and property that fills it."""
    for entity, rule in (layer.get("entities") or {}).items():
        raw_targets = rule.get("targets") or [] if isinstance(rule, dict) else []
        if raw_targets and raw_targets[0].get("target") == target_entity and field_id in (rule.get("properties") or {}):
            layer.set(("entities", entity, "properties", field_id, "move"), value=False)
        targets = layer.targets(entity) if raw_targets else []
        changed = False
        for target in targets:
            if target.get("target") != target_entity:
                continue
            custom = target.get("custom") or {}
            shared = any(field_id in (layer.get("fragments", name, "custom") or {}) for name in target.get("include") or [])
            if custom.pop(field_id, None) is not None:
                changed = True
            if not custom and "custom" in target:
                target.pop("custom")
            if shared:
                _split_fragments(layer, target, field_id)
                changed = True
        if changed:
            layer.set(("entities", entity, "targets"), targets)
    layer.set(_keys(target_entity, field_id), None)


def _split_fragments(layer: Layer, target: dict[str, Any], field_id: str) -> None:
    """Take the field out of the fragments a target includes."""
    for name in target.get("include") or []:
        if field_id in (layer.get("fragments", name, "custom") or {}):
            layer.set(("fragments", name, "custom", field_id), None)
