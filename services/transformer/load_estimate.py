"""What the load will take (L-01): mapped records, tokens, days, and the head-room of the target's plan (G-05)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import MappingError
from services.transformer.context import Context, LeaveOut, RecordProblem
from services.transformer.plan import MappingPlan
from services.transformer.rules.skipping import skip_reason
from services.transformer.target import CUSTOM_FIELD_ENTITIES, EXTERNAL_ID_NAME
from services.transformer.transforms.problem import ValueProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.plan import EntityPlan, TargetPlan
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup

_FIRST_BULK_LINE_COUNT: Final = 5
"""From this many lines on a bulk call (25 tokens) is no dearer than single ones (5 each)."""
_BULK_LINES_MAX: Final = 100
_IDS_MAX: Final = 100

CREATE_TOKENS: Final[Mapping[str, int]] = {
    "product": 5,
    "organization": 5,
    "organization_relation": 10,
    "person": 5,
    "deal": 5,
    "activity": 5,
    "note": 10,
    "file": 10,
    "custom_field": 5,
    "field_option": 5,
    "pipeline": 5,
    "stage": 5,
    "activity_type": 10,
}
"""Tokens of one create: version 2 of Pipedrive's API costs 5, version 1, the only one for notes, files, relations and activity types, 10."""
BULK_LINES_TOKENS: Final = 25
LIST_TOKENS: Final = 10
USERS_TOKENS: Final = 20


class LoadEstimate:
    """How many mapped records the load will create, and what they cost. Conditions, lists and references are evaluated; values are not fitted."""

    def __init__(self, mapping: MappingModel, lookup: Lookup) -> None:
        self._mapping = mapping
        self._lookup = lookup
        self._records: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._held = 0
        self.open_deals = 0
        self.remarks: list[str] = []
        try:
            self._plans: Mapping[str, EntityPlan] = MappingPlan(mapping).entities
        except MappingError as error:
            self._plans = {}
            self.remarks.append(f"the load could not be estimated, because the mapping cannot be used yet: {error.message}")

    def take(self, envelope: Envelope) -> None:
        """Count what one record becomes."""
        plan = self._plans.get(envelope.entity)
        if plan is None or skip_reason(self._mapping, envelope) is not None:
            return
        is_held = False
        for target in plan.targets:
            made, stopped = self._count(target, envelope)
            if target.position == 0 and stopped and not made:
                is_held = True
            if target.position and is_held:
                break
            self._records[target.target] += made
            self._tokens[target.target] += _tokens(target.target, made)
        self._held += is_held

    def _count(self, target: TargetPlan, envelope: Envelope) -> tuple[int, int]:
        """Answer how many mapped records come of a target, and how many of those are stopped by a value or a missing record."""
        try:
            elements = target.elements(Context(envelope=envelope, lookup=self._lookup))
        except ValueProblem:
            return 0, 1
        made = stopped = 0
        for element in elements:
            context = Context(envelope=envelope, lookup=self._lookup, element=element)
            try:
                if target.when is not None and not target.when(context):
                    continue
                if any(stop.test(context) for stop in target.stops):
                    stopped += 1
                    continue
                self._evaluate(target, context)
            except (ValueProblem, RecordProblem, LeaveOut):
                stopped += 1
            else:
                made += 1
        return made, stopped

    def _evaluate(self, target: TargetPlan, context: Context) -> None:
        for one in target.fields:
            is_status = target.target == "deal" and one.name == "status"
            if not one.can_stop and not is_status:
                continue
            value = one.rule.value(context)
            if value is not None and not one.is_custom:
                context.payload[one.name] = value
        if target.target == "deal" and context.payload.get("status", "open") == "open":
            self.open_deals += 1

    def summary(self, target: Mapping[str, Any] | None) -> dict[str, Any]:
        """Answer the sums and how many days of Pipedrive's token budget they take."""
        quota = (target or {}).get("quota") or {}
        daily = int(quota.get("daily_token_limit") or 0)
        remaining = int(quota.get("daily_token_remaining") or daily)
        schema_tokens = sum(CREATE_TOKENS[name] * count for name, count in schema_needs(self._mapping, target or {}).items()) + USERS_TOKENS
        token_count = self._token_count
        whole = token_count + schema_tokens
        days = 0 if not daily else 1 if whole <= remaining else 1 + -(-(whole - remaining) // daily)
        return {
            "mapped_record_count": self._records.total(),
            "held_record_count": self._held,
            "open_deal_count": self.open_deals,
            "token_count": token_count,
            "schema_token_count": schema_tokens,
            "daily_token_limit": daily or None,
            "daily_token_remaining": remaining or None,
            "day_count": days or None,
        }

    @property
    def _token_count(self) -> int:
        return self._tokens.total() + -(-self._records["deal_value"] // _IDS_MAX) * LIST_TOKENS

    def rows(self) -> dict[str, dict[str, int]]:
        """Answer records and tokens by target entity."""
        rows = {name: {"records": count, "tokens": self._tokens[name]} for name, count in self._records.items() if count}
        if "deal_value" in rows:
            rows["deal_value"]["tokens"] = self._token_count - self._tokens.total()
        return rows


def _tokens(target: str, count: int) -> int:
    if target == "line_item":
        if count < _FIRST_BULK_LINE_COUNT:
            return count * CREATE_TOKENS["product"]
        full, rest = divmod(count, _BULK_LINES_MAX)
        return full * BULK_LINES_TOKENS + min(BULK_LINES_TOKENS, rest * CREATE_TOKENS["product"])
    return count * CREATE_TOKENS.get(target, 0)


def schema_needs(mapping: MappingModel, target: Mapping[str, Any]) -> Counter[str]:
    """Count what the mapping needs in Pipedrive and the account does not have yet, by kind."""
    needs: Counter[str] = Counter()
    fields = {entity: {row.get("field_name") for row in rows} for entity, rows in (target.get("fields") or {}).items()}
    for entity in CUSTOM_FIELD_ENTITIES:
        wanted = {one.name for one in mapping.schema_.fields.get(entity, {}).values()} | {EXTERNAL_ID_NAME}
        needs["custom_field"] += len(wanted - fields.get(entity, set()))
    pipelines = {row.get("name"): row.get("id") for row in target.get("pipelines") or []}
    stages = {(row.get("pipeline_id"), row.get("name")) for row in target.get("stages") or []}
    for pipeline in mapping.schema_.pipelines.values():
        needs["pipeline"] += pipeline.name not in pipelines
        needs["stage"] += sum((pipelines.get(pipeline.name), name) not in stages for name in pipeline.stages.values())
    types = {row.get("name") for row in target.get("activity_types") or []}
    needs["activity_type"] += sum(one.name not in types for one in mapping.schema_.activity_types.values())
    needs["field_option"] += sum(len(labels) for labels in [*mapping.schema_.labels.values(), *mapping.schema_.options.values()])
    return needs


def headroom(mapping: MappingModel, target: Mapping[str, Any], load: LoadEstimate) -> dict[str, dict[str, Any]]:
    """Compare what the mapping needs with the caps of the account's plan (G-05)."""
    caps, counts = target.get("caps") or {}, target.get("counts") or {}
    needs = {"custom_fields": schema_needs(mapping, target)["custom_field"], "open_deals": load.open_deals}
    rows = {}
    for name, needed in needs.items():
        used, cap = counts.get(name), caps.get(name)
        left = cap - used - needed if isinstance(used, int) and isinstance(cap, int) else None
        rows[name] = {"used": used, "needed": needed, "cap": cap, "left_after": left, "fits": None if left is None else left >= 0}
    return rows
