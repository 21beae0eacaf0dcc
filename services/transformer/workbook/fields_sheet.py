"""The sheet with every source field, and where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.transformer.workbook.entities_sheet import becomes
from services.transformer.workbook.new_field_rows import other_rows, property_rows
from services.transformer.workbook.rule_rows import rule_rows
from services.transformer.workbook.samples import HIDDEN, percent, samples_of
from services.transformer.workbook.sheet import Column, Row, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.entities import EntityMapping
    from services.transformer.workbook.survey import Survey


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
                sheet.rows.extend(rule_rows(mapping, survey, entity, position, target))
            sheet.rows.extend(property_rows(mapping, survey, entity, rule))
            sheet.rows.extend(other_rows(survey, entity, rule))
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
            "Samples": "" if keys[-1].casefold() in HIDDEN else samples_of(seen),
            "Filled %": percent(seen),
            "Reason": (rule.not_moved.get(keys[0]) if rule else None) or why,
        }
        yield Row(f"entities.{entity}.read.{name}", cells)
