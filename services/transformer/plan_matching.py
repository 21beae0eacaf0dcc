"""Plan of the calls that read what records may be matched with (RS-01)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.transformer import plan_costs as costs
from services.transformer.matching import compile_matching

if TYPE_CHECKING:
    from services.transformer.mapping.document import Mapping
    from services.transformer.plan_spending import Spending

_IN_PIPEDRIVE = "create"


def plan_matching(planner: Spending, mapping: Mapping) -> None:
    """Count the lists: all records before the sample, and before the load those that the sample made."""
    for entity, rules in compile_matching(mapping).items():
        if rules["policy"] == _IN_PIPEDRIVE:
            continue
        name = f"{costs.OPERATIONS[entity]}.list"
        planner.spend("sample", entity, {name: 1})
        planner.spend("load", entity, {name: max(1, -(-planner.records_of("sample", entity) // costs.LIST_PAGE))})


def assumptions(mapping: Mapping) -> list[str]:
    """Say what the plan cannot know about matching."""
    entities = [entity for entity, rules in compile_matching(mapping).items() if rules["policy"] != _IN_PIPEDRIVE]
    if not entities:
        return []
    kinds = ", ".join(entities)
    return [
        f"matching reads what is in Pipedrive already ({kinds}): planned are 500 records of each; every 500 more cost 10 tokens, once",
        "matching finds nothing: one that is linked and filled costs at most 2 tokens more than one that is created, one only linked 4 less",
    ]
