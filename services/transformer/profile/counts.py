"""How many records there are of each kind, and what reading them again costs of the source's calls."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from services.transformer.rules.skipping import skip_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.sections import CallPlan
    from services.transformer.profile.files import Files
    from services.transformer.snapshot.envelope import Envelope


class Counts:
    """Records by entity, archived and deleted ones apart."""

    def __init__(self, mapping: MappingModel) -> None:
        self._mapping = mapping
        self.records: Counter[str] = Counter()
        self._archived: Counter[str] = Counter()
        self._deleted: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def take(self, envelope: Envelope) -> None:
        """Count one record."""
        self.records[envelope.entity] += 1
        self._archived[envelope.entity] += envelope.is_archived
        self._deleted[envelope.entity] += envelope.is_deleted
        self._left_out[envelope.entity] += skip_reason(self._mapping, envelope) is not None

    def summary(self) -> dict[str, int]:
        """Answer the sums."""
        return {
            "records": self.records.total(),
            "entities": len(self.records),
            "archived": self._archived.total(),
            "deleted": self._deleted.total(),
            "to_move": self.records.total() - self._left_out.total(),
        }

    def rows(self) -> dict[str, dict[str, Any]]:
        """Answer the counts by entity, in the mapping's order."""
        rows = {}
        for entity, count in self.records.items():
            rule = self._mapping.entities.get(entity)
            rows[entity] = {
                "label": rule.label if rule and rule.label else entity.replace("_", " ").capitalize(),
                "use": rule.use if rule else "not_moved",
                "records": count,
                "archived": self._archived[entity],
                "deleted": self._deleted[entity],
                "to_move": count - self._left_out[entity],
            }
        return rows


def source_budget(known: CallPlan | None, counts: Counts, files: Files, options: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the source's plan and what reading everything once more, or a delta, costs of it."""
    if known is None:
        return {}
    plan = str(options.get("plan") or known.default).lower()
    limits = known.plans.get(plan, known.plans[known.default])
    per_minute, per_day = int(options.get("calls_per_minute", limits.calls_per_minute)), int(options.get("calls_per_day", limits.calls_per_day))
    collections = {entity: count for entity, count in counts.records.items() if not files.of(entity)}
    listing = sum(count // known.page_size + 1 for count in collections.values())
    full = listing + (files.count if options.get("counts_files", True) else 0)
    return {
        "plan": plan,
        "calls_per_minute": per_minute or None,
        "calls_per_day": per_day or None,
        "calls_to_read_lists": listing,
        "calls_to_read_all": full,
        "days_to_read_all": -(-full // per_day) if per_day else 1,
        "calls_of_a_delta": len(collections),
    }
