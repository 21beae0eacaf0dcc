"""Plan of the calls that read back what was loaded, and of those that take it back."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from services.common.sampling import sample_size
from services.transformer import plan_costs as costs
from services.transformer.target import CUSTOM_FIELD_ENTITIES

if TYPE_CHECKING:
    from services.transformer.plan_spending import Spending

_LISTED: Final = ("product", "organization", "person", "deal", "activity", "note", "file")
_SCANNED: Final = ("note", "file")
_CHUNKED: Final = ("product", "organization", "person", "deal", "deal_value", "activity")


def plan_diff(planner: Spending) -> None:
    """Count the reading back of the sample."""
    for entity in (*_CHUNKED, *_SCANNED):
        count = planner.records_of("sample", entity)
        kind = "deal" if entity == "deal_value" else entity
        highest = planner.records_of("sample", kind)
        planner.spend("sample", "diff", costs.read_back(kind, count, highest))
    lines = planner.records_of("sample", "line_item")
    if lines:
        deals = max(1, planner.records_of("sample", "deal_value") or planner.records_of("sample", "deal"))
        planner.spend("sample", "diff", _lines_read(lines, deals))
    relations = planner.records_of("sample", "organization_relation")
    planner.spend("sample", "diff", +Counter({"organization_relations.get": relations}))


def plan_reconciliation(planner: Spending) -> None:
    """Count the reading back of everything: each list once, lines by their deals, relations and the bytes of files on a sample."""
    spend = planner.spend
    spend("reconcile", "custom_field", {f"{entity}_fields.list": 1 for entity in CUSTOM_FIELD_ENTITIES})
    for entity in ("pipeline", "stage", "activity_type"):
        spend("reconcile", entity, +Counter({f"{costs.OPERATIONS[entity]}.list": int(bool(planner.schema_created[entity]))}))
    for entity in _LISTED:
        spend("reconcile", entity, costs.read_all(entity, planner.loaded(entity)), planner.loaded(entity))
    spend("reconcile", "deal_value", {}, planner.loaded("deal_value"))
    parts = [(planner.lines[entity], planner.line_deals[entity]) for entity in sorted(planner.lines)]
    spend("reconcile", "line_item", costs.lines_read(parts), planner.loaded("line_item"))
    relations = sample_size(planner.loaded("organization_relation"))
    spend("reconcile", "organization_relation", +Counter({"organization_relations.get": relations}), relations)
    files = sample_size(planner.loaded("file"))
    spend("reconcile", "file_bytes", +Counter({"files.download": files}), files)


def plan_rollback(planner: Spending) -> None:
    """Count the deletion of everything and the look whether it is gone. Lines and values of our deals go with them."""
    for entity in ("file", "note", "activity", "deal", "person", "organization_relation", "organization", "product"):
        count = planner.loaded(entity)
        planner.spend("rollback", entity, +Counter({f"{costs.OPERATIONS[entity]}.delete": count}), count)
        if entity in _CHUNKED:
            for part in _chunks(count):
                planner.spend("rollback", entity, costs.read_gone(entity, part, count))
    created = planner.schema_created
    for entity in ("activity_type", "stage", "pipeline"):
        name = costs.OPERATIONS[entity]
        planner.spend("rollback", entity, +Counter({f"{name}.delete": created[entity], f"{name}.list": int(bool(created[entity]))}), created[entity])
    if created["field_option"]:
        # Which entity's options they are changes no price. Each deletion looks at the field first.
        calls = Counter({"deal_fields.list": created["field_option"], "deal_fields.delete_options": created["field_option"]})
        calls.update({f"{entity}_fields.list": 1 for entity in CUSTOM_FIELD_ENTITIES})
        planner.spend("rollback", "field_option", calls, created["field_option"])
    if created["custom_field"]:
        calls = Counter({"deal_fields.delete": created["custom_field"]})
        calls.update({f"{entity}_fields.list": 1 for entity in CUSTOM_FIELD_ENTITIES})
        planner.spend("rollback", "custom_field", calls, created["custom_field"])


def _chunks(count: int) -> list[int]:
    return [costs.CHUNK] * (count // costs.CHUNK) + ([count % costs.CHUNK] if count % costs.CHUNK else [])


def _lines_read(lines: int, deals: int) -> costs.Calls:
    """Answer the lists that read lines: a hundred deals each, 500 lines a page."""
    lists = -(-deals // costs.IDS_MAX)
    return Counter({"line_items.list": max(lists, -(-lines // costs.LIST_PAGE))})
