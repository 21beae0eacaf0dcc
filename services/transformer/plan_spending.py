"""What is counted while a load is planned: calls by step and target entity."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.common.phases import TARGET_PHASES, phase_name
from services.transformer import plan_costs as costs

if TYPE_CHECKING:
    from collections.abc import Mapping

STEPS: Final = ("audit", "schema", "sample", "load", "reconcile", "rollback")
"""Steps of a migration that spend tokens, named like the kinds of runs."""


@dataclass(slots=True)
class Row:
    """What one step spends on one target entity."""

    records: int = 0
    calls: costs.Calls = field(default_factory=Counter)


class Spending:
    """Calls by step and target entity.

    Attributes:
        schema_created: schema records that are created, not found, by target entity.
        option_fields: fields that get options.
        field_entities: `custom_field` and `field_option` → kinds of records whose fields are made, or get options.
        parents: organizations that relations hang on.
        lines: line items, by source entity.
        line_deals: deals they hang on, by source entity.
    """

    def __init__(self) -> None:
        self.rows: defaultdict[tuple[str, str], Row] = defaultdict(Row)
        self.schema_created: Counter[str] = Counter()
        self.option_fields = 0
        self.field_entities: defaultdict[str, set[str]] = defaultdict(set)
        self.parents = 0
        self.lines: Counter[str] = Counter()
        self.line_deals: Counter[str] = Counter()

    def spend(self, step: str, entity: str, calls: Mapping[str, int], records: int = 0) -> None:
        """Add calls to a step."""
        row = self.rows[step, entity]
        row.records += records
        row.calls.update(calls)

    def records_of(self, step: str, entity: str) -> int:
        """Answer how many records of an entity a step makes."""
        return self.rows[step, entity].records if (step, entity) in self.rows else 0

    def loaded(self, entity: str) -> int:
        """Answer how many records of an entity stand in Pipedrive after the load."""
        return self.records_of("sample", entity) + self.records_of("load", entity)

    def report(self) -> dict[str, Any]:
        """Answer rows and sums as JSON values."""
        ordered = sorted(self.rows.items(), key=lambda item: (STEPS.index(item[0][0]), _place(item[0][1])))
        rows = [_line(step, entity, row) for (step, entity), row in ordered if row.records or row.calls.total()]
        steps = {
            step: {name: sum(row[name] for row in rows if row["step"] == step) for name in ("tokens", "call_count", "records")} for step in STEPS
        }
        return {"steps": steps, "rows": rows}


def _line(step: str, entity: str, row: Row) -> dict[str, Any]:
    return {
        "step": step,
        "phase": phase_name(TARGET_PHASES[entity]) if entity in TARGET_PHASES else "",
        "target_entity": entity,
        "records": row.records,
        "calls": {name: int(count) for name, count in sorted((+row.calls).items())},
        "call_count": row.calls.total(),
        "tokens": costs.tokens_of(row.calls),
    }


def _place(entity: str) -> int:
    return list(TARGET_PHASES).index(entity) if entity in TARGET_PHASES else -1
