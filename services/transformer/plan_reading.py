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
    """Count the deletion of everything, the look at each record before it, and the lists of what people changed after each kind.

    Lines and values of our deals go with them. The rules are the ledger's (`services/ledger/rollback.py`).
    """
    loaded = {
        entity: planner.loaded(entity)
        for entity in ("file", "note", "activity", "deal", "person", "organization_relation", "organization", "product")
    }
    for entity, count in loaded.items():
        name = costs.OPERATIONS[entity]
        calls = Counter({f"{name}.delete": count})
        if entity in _SCANNED:
            page = costs.FILES_PAGE if entity == "file" else costs.LIST_PAGE
            calls[f"{name}.list"] += sum(-(-part // page) for part in _parts(count, costs.UNDO_ROUND))
        elif entity == "organization_relation":
            calls[f"{name}.get"] += count
        else:
            for part in _parts(count, costs.IDS_MAX):
                calls.update(costs.read_by_ids(entity, part))
        if entity == "deal" and count:
            per_deal = planner.lines.total() / count
            for part in _parts(count, costs.IDS_MAX):
                calls["line_items.list"] += max(1, -(-round(part * per_deal) // costs.LIST_PAGE))
        if entity != "organization_relation" and any(loaded.values()):
            calls[f"{name}.list"] += 1
            calls["deals.list_archived"] += entity == "deal"
        planner.spend("rollback", entity, +calls, count)
    _plan_schema_rollback(planner)


def _plan_schema_rollback(planner: Spending) -> None:
    created = planner.schema_created
    for entity in ("activity_type", "stage", "pipeline"):
        name = costs.OPERATIONS[entity]
        if created[entity]:
            # Looked at before, and again afterwards; of a pipeline, whether somebody put a stage into it.
            calls = Counter({f"{name}.delete": created[entity], f"{name}.list": 2})
            calls["stages.list"] += entity == "pipeline"
            planner.spend("rollback", entity, +calls, created[entity])
    for entity in ("field_option", "custom_field"):
        if not created[entity]:
            continue
        # Which entity's fields they are changes no price.
        calls = Counter({f"{one}_fields.list": 1 for one in CUSTOM_FIELD_ENTITIES})
        calls["deal_fields.list"] += len(planner.field_entities[entity]) * -(-created[entity] // costs.IDS_MAX)
        if entity == "field_option":
            calls.update({"deal_fields.list": planner.option_fields, "deal_fields.delete_options": planner.option_fields})
        else:
            calls["deal_fields.delete"] += created[entity]
        planner.spend("rollback", entity, calls, created[entity])


def _parts(count: int, size: int) -> list[int]:
    return [size] * (count // size) + ([count % size] if count % size else [])


def _chunks(count: int) -> list[int]:
    return _parts(count, costs.CHUNK)


def _lines_read(lines: int, deals: int) -> costs.Calls:
    """Answer the lists that read lines: a hundred deals each, 500 lines a page."""
    lists = -(-deals // costs.IDS_MAX)
    return Counter({"line_items.list": max(lists, -(-lines // costs.LIST_PAGE))})
