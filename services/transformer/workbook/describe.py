"""The whole workbook of a mapping: its sheets, and what moves where, for the migration scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.transformer.lint import lint
from services.transformer.mapping.reading import load_mapping
from services.transformer.workbook.custom_fields_sheet import custom_fields_sheet
from services.transformer.workbook.entities_sheet import becomes, entities_sheet
from services.transformer.workbook.fields_sheet import fields_sheet
from services.transformer.workbook.settings_sheets import owners_sheet, pipelines_sheet, policies_sheet, value_maps_sheet
from services.transformer.workbook.sheet import Column, Row, Sheet
from services.transformer.workbook.survey import Survey
from transload.v1 import transformer_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.snapshot.lookup import Snapshot

_WEIGHTS: Final = {
    pb.FINDING_SEVERITY_ERROR: "must be decided",
    pb.FINDING_SEVERITY_WARNING: "should be looked at",
    pb.FINDING_SEVERITY_INFO: "to know",
}
_SHEET_OF_PATH: Final = (
    ("value_maps.", "Value maps"),
    ("owners.", "Owners"),
    ("policies.", "Policies"),
    ("choices.", "Policies"),
    ("matching.", "Policies"),
    ("schema.fields", "Custom fields"),
    ("schema.pipelines", "Pipelines"),
    ("entities.", "Fields"),
)
QUESTIONS: Final = "Questions"
QUESTION_COLUMNS: Final = (
    Column("Weight", width=20),
    Column("Where to decide", width=22),
    Column("What", width=100),
    Column("Place in the mapping", width=50),
    Column("Requirement", width=12),
)


def describe(text: str, view: Snapshot, target: Mapping[str, Any], progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Answer the workbook of a mapping as JSON values.

    Raises:
        MappingError: the mapping cannot be read.
    """
    mapping = load_mapping(text)
    survey = Survey(mapping, view, progress)
    sheets = sheets_of(mapping, survey, view, target)
    return {
        "source": mapping.source,
        "title": mapping.title,
        "mapping_digest": mapping.digest,
        "sheets": [sheet.as_data() for sheet in sheets.values()],
        "scope": scope(mapping, survey, target),
    }


def sheets_of(mapping: MappingModel, survey: Survey, view: Snapshot, target: Mapping[str, Any]) -> dict[str, Sheet]:
    """Make all sheets, in the order in which they are read."""
    sheets = (
        questions_sheet(lint(mapping, view, target)),
        policies_sheet(mapping, target),
        entities_sheet(mapping, survey),
        fields_sheet(mapping, survey),
        custom_fields_sheet(mapping, target),
        value_maps_sheet(mapping, survey),
        pipelines_sheet(mapping),
        owners_sheet(mapping, survey, target),
    )
    return {sheet.name: sheet for sheet in sheets}


def questions_sheet(findings: Sequence[pb.MappingFinding]) -> Sheet:
    """One row for each remark of the linter, the gravest first."""
    sheet = Sheet(QUESTIONS, "What a person has to decide, look at, or should know. The answers are written on the other sheets.", QUESTION_COLUMNS)
    for number, finding in enumerate(sorted(findings, key=lambda one: one.severity)):
        place = next((name for start, name in _SHEET_OF_PATH if finding.path.startswith(start)), "")
        cells = {
            "Weight": _WEIGHTS.get(finding.severity, ""),
            "Where to decide": place,
            "What": finding.message,
            "Place in the mapping": finding.path,
            "Requirement": finding.requirement,
        }
        sheet.rows.append(Row(f"question/{number + 1}", dict(cells)))
    return sheet


def scope(mapping: MappingModel, survey: Survey, target: Mapping[str, Any]) -> dict[str, Any]:
    """Say what moves where and what does not, and why."""
    entities = []
    for entity in [*mapping.entities, *sorted(set(survey.records) - set(mapping.entities))]:
        rule = mapping.entities.get(entity)
        entities.append(
            {
                "entity": entity,
                "label": (rule.label if rule else "") or entity.replace("_", " ").capitalize(),
                "use": rule.use if rule else "not_moved",
                "records": survey.records[entity],
                "archived": survey.archived[entity],
                "deleted": survey.deleted[entity],
                "moves": survey.records[entity] - survey.deleted[entity] if rule and rule.use == "part" else survey.moving[entity],
                "becomes": becomes(rule) if rule else "reference export",
                "left_out": [{"field": name, "reason": reason} for name, reason in rule.not_moved.items()] if rule and rule.use == "move" else [],
            }
        )
    existing = {
        (entity, str(one.get("field_name")), str(one.get("field_type")))
        for entity, fields in (target.get("fields") or {}).items()
        for one in fields
        if one.get("is_custom_field")
    }
    fields = [
        {"entity": entity, "name": one.name, "type": one.type, "options": len(one.options), "is_there": (entity, one.name, one.type) in existing}
        for entity, declared in mapping.schema_.fields.items()
        for one in declared.values()
    ]
    return {
        "entities": entities,
        "policies": {name: value for name, value in mapping.policies.model_dump(mode="json").items() if not isinstance(value, (dict, list))},
        "pipelines": [{"name": one.name, "stages": list(one.stages.values())} for one in mapping.schema_.pipelines.values()],
        "activity_types": [one.name for one in mapping.schema_.activity_types.values()],
        "custom_fields": fields,
        "exports": [
            {"file": f"{name}.csv", "title": sheet.title or name.replace("-", " ").capitalize(), "about": sheet.about}
            for name, sheet in mapping.exports.sheets.items()
        ],
        "notes": list(mapping.exports.texts),
    }
