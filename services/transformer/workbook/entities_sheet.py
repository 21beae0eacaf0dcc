"""The sheet about kinds of record, and what becomes of them in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.transformer.workbook.decisions import AS_POLICY, MOVE
from services.transformer.workbook.sheet import Column, Edit, Row, Sheet, choice

if TYPE_CHECKING:
    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.entities import EntityMapping, Target
    from services.transformer.workbook.layer import Layer
    from services.transformer.workbook.survey import Survey


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
