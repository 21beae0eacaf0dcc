"""Plan of the calls that look at the account and make the schema: what the mapping needs and the account does not have."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.transformer import plan_costs as costs
from services.transformer.target import CUSTOM_FIELD_ENTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from services.transformer.plan_spending import Spending
    from transload.v1 import records_pb2


_MAKING: Final = {"custom_field": ".create", "field_option": ".add_options"}
"""What the operations that make them end with."""


def plan_looks(planner: Spending, account: Mapping[str, Any]) -> None:
    """Count the calls of looking at the account, once in the audit and once before the schema."""
    open_deals = int((account.get("counts") or {}).get("open_deals") or 0)
    calls: costs.Calls = Counter({"users.me": 1, "users.list": 1, "pipelines.list": 1, "stages.list": 1, "activity_types.list": 1, "deals.list": 1})
    calls["activity_fields.list"] += 1
    for entity in CUSTOM_FIELD_ENTITIES:
        calls[f"{entity}_fields.list"] += max(1, -(-len((account.get("fields") or {}).get(entity, ())) // costs.LIST_PAGE))
    if open_deals > costs.LIST_PAGE:
        calls["deals.summary"] += 1
    for step in ("audit", "schema"):
        planner.spend(step, "account", calls)


def plan_schema(planner: Spending, schema: Sequence[records_pb2.MappedRecord], account: Mapping[str, Any]) -> None:
    """Count what the mapping needs and the account does not have, batch by batch as the ledger cuts them."""
    by_entity: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in schema:
        by_entity[record.target_entity].append(orjson.loads(record.payload_json))
    there = _There(account)
    there.name_pipelines(schema)
    for entity, payloads in by_entity.items():
        for start in range(0, len(payloads), costs.SCHEMA_BATCH):
            batch = payloads[start : start + costs.SCHEMA_BATCH]
            calls, created = there.calls(entity, batch)
            planner.schema_created[entity] += created
            if entity in _MAKING:
                made = {name: count for name, count in calls.items() if name.endswith(_MAKING[entity]) and count}
                planner.field_entities[entity] |= set(made)
                planner.option_fields += sum(made.values()) if entity == "field_option" else 0
            planner.spend("schema", entity, calls, len(batch))


class _There:
    """The schema the account has."""

    def __init__(self, account: Mapping[str, Any]) -> None:
        self._fields = {
            (entity, row.get("field_name"), row.get("field_type")): {option.get("label") for option in row.get("options") or []}
            for entity, rows in (account.get("fields") or {}).items()
            for row in rows
            if row.get("is_custom_field", True)
        }
        self._options = {
            (entity, row.get("field_code")): {option.get("label") for option in row.get("options") or []}
            for entity, rows in (account.get("fields") or {}).items()
            for row in rows
        }
        self._pipelines = {row.get("name"): row.get("id") for row in account.get("pipelines") or []}
        self._stages = {(row.get("pipeline_id"), row.get("name")) for row in account.get("stages") or []}
        self._types = {row.get("name") for row in account.get("activity_types") or []}
        self._pipeline_names: dict[str, Any] = {}

    def calls(self, entity: str, payloads: Sequence[Mapping[str, Any]]) -> tuple[costs.Calls, int]:
        """Answer the calls of one batch, and how many of its records are created."""
        if entity == "user":
            return Counter({"users.list": 1}), 0
        if entity == "custom_field":
            return self._field_calls(payloads)
        if entity == "field_option":
            return self._option_calls(payloads)
        name = costs.OPERATIONS[entity]
        created = sum(not self._is_there(entity, payload) for payload in payloads)
        return +Counter({f"{name}.list": 1, f"{name}.create": created}), created

    def _field_calls(self, payloads: Sequence[Mapping[str, Any]]) -> tuple[costs.Calls, int]:
        calls: costs.Calls = Counter({f"{entity}_fields.list": 1 for entity in {payload["entity"] for payload in payloads}})
        created = 0
        for payload in payloads:
            options = self._fields.get((payload["entity"], payload["field_name"], payload["field_type"]))
            if options is None:
                created += 1
                calls[f"{payload['entity']}_fields.create"] += 1
            elif set(payload.get("options") or ()) - options:
                calls[f"{payload['entity']}_fields.add_options"] += 1
        return calls, created

    def _option_calls(self, payloads: Sequence[Mapping[str, Any]]) -> tuple[costs.Calls, int]:
        wanted: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for payload in payloads:
            wanted[payload["entity"], payload["field_code"]].add(payload["label"])
        calls: costs.Calls = Counter()
        created = 0
        for (entity, code), labels in wanted.items():
            missing = labels - self._options.get((entity, code), set())
            created += len(missing)
            calls[f"{entity}_fields.list"] += 1
            calls[f"{entity}_fields.add_options"] += bool(missing)
        return +calls, created

    def _is_there(self, entity: str, payload: Mapping[str, Any]) -> bool:
        if entity == "pipeline":
            return payload["name"] in self._pipelines
        if entity == "activity_type":
            return payload["name"] in self._types
        # A stage is known by its pipeline, which stands in its reference by our own name of it.
        return any(name == payload["name"] and self._is_pipeline(pipeline, payload) for pipeline, name in self._stages)

    def _is_pipeline(self, pipeline: Any, payload: Mapping[str, Any]) -> bool:
        return pipeline is not None and pipeline == self._pipeline_names.get(payload["pipeline_id"]["$ref"])

    def name_pipelines(self, schema: Iterable[records_pb2.MappedRecord]) -> None:
        """Learn which of the account's pipelines are meant by the mapping's."""
        for record in schema:
            if record.target_entity == "pipeline":
                self._pipeline_names[record.key] = self._pipelines.get(orjson.loads(record.payload_json)["name"])
