"""Rows of fields that a rule fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.transformer.links import Links
from services.transformer.plan import field_rules
from services.transformer.target import TARGET_FIELDS
from services.transformer.workbook.decisions import LEAVE, MOVE
from services.transformer.workbook.entities_sheet import for_each_words
from services.transformer.workbook.rule_edits import PATHS_SEPARATOR, chain_edit, decision_edit, default_edit, paths_edit, written_chain
from services.transformer.workbook.samples import percent, samples_of
from services.transformer.workbook.sheet import Edit, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.entities import Target
    from services.transformer.mapping.rules import FieldRule
    from services.transformer.workbook.survey import Survey


_SIMPLE: Final = frozenset({"from", "transforms", "map", "default", "currency", "cost", "required", "on_invalid", "on_unmapped", "when"})


def rule_rows(mapping: MappingModel, survey: Survey, entity: str, position: int, target: Target) -> Iterator[Row]:
    """Make a row for each rule of a target."""
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
            "Samples": samples_of(seen),
            "Filled %": percent(seen) if sources else None,
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
            row.edits["Decision"] = Edit(decision_edit(place), row.key, (MOVE, LEAVE))
        if _is_simple(rule):
            paths = [rule.from_] if isinstance(rule.from_, str) else rule.from_ or []
            row.cells["Take from"] = f"{PATHS_SEPARATOR} ".join(paths)
            row.cells["Transforms"] = written_chain(rule.transforms)
            alias = target.as_ if target.for_each else ""
            row.edits["Take from"] = Edit(paths_edit(place, Links(mapping.links, mapping.collections), alias), f"{row.key}.from")
            row.edits["Transforms"] = Edit(chain_edit(place), f"{row.key}.transforms")
            if rule.default is None or isinstance(rule.default, str):
                row.cells["If empty"] = rule.default or ""
                row.edits["If empty"] = Edit(default_edit(place), f"{row.key}.default")
        yield row


def _paths_of(rule: FieldRule) -> list[str]:
    return [rule.from_] if isinstance(rule.from_, str) else list(rule.from_ or [])


def _is_simple(rule: FieldRule) -> bool:
    """Say whether a rule only takes a value and changes it: those can be edited in cells."""
    return rule.from_ is not None and set(rule.model_dump(by_alias=True, exclude_defaults=True)) <= _SIMPLE
