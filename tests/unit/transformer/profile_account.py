"""A generated account as a snapshot in memory, with a mapping that knows its states. Shared by the tests of profile, quality, sample and exports."""

from __future__ import annotations

from typing import Any

import yaml

from sandbox.stel_order.generator import Plan, generate
from sandbox.stel_order.generator.build import Builder
from sandbox.stel_order.store import Store
from services.extractor.connectors.stel_order.entities import BY_NAME
from services.transformer.mapping.document import Mapping
from services.transformer.mapping.reading import connector_mapping_text, load_mapping
from tests.unit.transformer.support import Snapshot

_GROUPS = {"SALESESTIMATE": "quotes", "SALESORDER": "orders", "WORKORDER": "work_orders", "ORDINARYINVOICE": "invoices"}
_MAPS = {"quotes": "quote_states", "orders": "order_states", "work_orders": "work_order_states", "invoices": "invoice_states"}
SECRET = "token=secret-of-a-link"
FILES: list[dict[str, Any]] = [
    {"id": 1, "owner_entity": "client", "owner_id": "1001", "name": "a.pdf", "file": {"digest": "d1", "byte_count": 2000, "problem": None}},
    {"id": 2, "owner_entity": "client", "owner_id": "1001", "name": "b.mp4", "file": {"byte_count": 30_000_000, "problem": "FILE_TOO_LARGE"}},
    {"id": 3, "owner_entity": "work_order", "owner_id": "999999", "name": "c.pdf", "file": {"digest": "d3", "byte_count": 5, "problem": None}},
    {"id": 4, "owner_entity": "client", "owner_id": "1002", "name": "d.pdf", "file": {"byte_count": 0, "problem": "FILE_UNAVAILABLE"}},
]


def account(*, clients: int = 40, seed: int = 1) -> tuple[Snapshot, Builder]:
    """Answer a generated account as lists show it, with four files."""
    builder = generate(Store(), Plan(seed=seed, clients=clients))
    records = {
        entity: [record for record in builder.store.records(collection.entity.source_name) if not record.get("deleted")]
        for entity, collection in BY_NAME.items()
        if not collection.entity.has_files
    }
    return Snapshot({**records, "entity_attachment": FILES}), builder


def mapping_for(snapshot: Snapshot, **overrides: Any) -> Mapping:
    """Answer the connector's mapping with the account's states filled in, as the proposal does."""
    maps: dict[str, Any] = {}
    pipelines: dict[str, Any] = {}
    for state in snapshot.iterate("document_state"):
        if pipeline := _GROUPS.get(state.data["type"]):
            maps.setdefault(_MAPS[pipeline], {})[state.data["name"]] = {"stage": f"{pipeline}.s{state.id}", "status": "open"}
            pipelines.setdefault(pipeline, {}).setdefault("stages", {})[f"s{state.id}"] = state.data["name"]
    layers = {"account": {"value_maps": maps, "schema": {"pipelines": pipelines}}, "overrides": overrides}
    return load_mapping(connector_mapping_text("stel_order") + "\n" + yaml.safe_dump(layers, allow_unicode=True))
