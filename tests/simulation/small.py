"""Small accounts for small simulations: every kind of object moves, but not eighty custom fields, forty states and all that only others point to.

What is left out is left out of data, not of code: the connector is told to skip entities nobody maps, the connector's mapping file has fewer custom
fields, and the source holds fewer states.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import yaml

from sandbox.stel_order.generator import Plan, generate
from sandbox.stel_order.store import Store
from services.transformer.mapping.reading import connector_mapping_text, load_mapping, read_document
from services.transformer.plan import MappingPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTITIES_LEFT_OUT: Final = (
    *("account_category", "tax_line", "serial_number", "warehouse", "incident_state", "incident_type", "event_type", "calendar", "payment_option"),
    *("potential_client", "work_estimate", "refund_invoice", "refund_invoice_receipt", "incident", "event"),
    *("item_image", "asset_image"),
)
"""What the connector does not read: nothing that is moved is reached through these in an account without defects."""

FIELDS_KEPT: Final[dict[str, frozenset[str]]] = {
    "organization": frozenset({"reference"}),
    "person": frozenset({"job_title"}),
    "product": frozenset({"kind"}),
    "deal": frozenset({"document_number", "document_date", "total", "payment_status", "invoicing_address"}),
}
"""Custom fields that are still made: at least one of each type Pipedrive treats in its own way."""

STATES_KEPT: Final[dict[str, frozenset[str]]] = {
    "SALESESTIMATE": frozenset({"Aceptado", "Pendiente"}),
    "SALESORDER": frozenset({"Pendiente", "En curso"}),
    "WORKORDER": frozenset({"Pendiente", "En curso", "Cerrada"}),
    "ORDINARYINVOICE": frozenset({"Pendiente", "Cerrada"}),
}
"""States of the source: what its documents and the changes of a delta refer to."""

TWINS_IN: Final = ("salesOrders", "workOrders")
LINES_MAX: Final = 10

SAMPLE_CLIENTS: Final = 20
"""Size of the account whose records tell which properties a source record has."""


@cache
def small_mapping() -> str:
    """Answer the connector's mapping with few custom fields; what filled the others is named as left out, so that no property is proposed for it."""
    document = read_document(connector_mapping_text("stel_order"))
    for target, fields in document["schema"]["fields"].items():
        document["schema"]["fields"][target] = {name: field for name, field in fields.items() if name in FIELDS_KEPT[target]}
    _keep_customs("deal", document["fragments"]["document"])
    for entity in document["entities"].values():
        for target in entity.get("targets", ()):
            _keep_customs(target["target"], target)
        entity.pop("property_groups", None)
    _name_the_rest(document)
    return str(yaml.dump(document, allow_unicode=True, sort_keys=False, width=140))


def _keep_customs(target: str, rules: dict[str, Any]) -> None:
    if "custom" in rules:
        rules["custom"] = {name: rule for name, rule in rules["custom"].items() if name in FIELDS_KEPT[target]}


def _name_the_rest(document: dict[str, Any]) -> None:
    """Say of every property that no rule reads any more that it does not move."""
    plan = MappingPlan(load_mapping(yaml.dump(document)))
    account = generate(Store(), Plan(1, SAMPLE_CLIENTS, 1.0, is_clean=True))
    collections = {entity: collection for collection, entity in document["collections"].items()}
    for name, entity in document["entities"].items():
        if entity.get("targets") and name in collections:
            known = plan.entities[name].used.keys
            keys = {key for record in account.store.records(collections[name]) for key in record}
            left_out = dict(entity.get("not_moved", {})) | dict.fromkeys(sorted(keys - known), "left out of small simulations")
            entity["not_moved"] = left_out


def thin_out(store: Store) -> None:
    """Take the states that nothing refers to out of a source account, and give some documents two lines that cannot be told apart."""
    for collection in TWINS_IN:
        for record in store.records(collection):
            _double_a_line(store, collection, record)
    for state in list(_states_left_out(store)):
        del store._rows["documentStates"][state]
        store._ids["documentStates"].remove(state)


def _double_a_line(store: Store, collection: str, record: dict[str, Any]) -> None:
    twin = next((line for line in record["lines"] if line["line-type"] == "ITEM" and not line["deleted"]), None)
    if twin is not None and len(record["lines"]) < LINES_MAX:
        last = max(record["lines"], key=lambda line: int(line["id"]))
        record["lines"].append({**twin, "id": last["id"] + 1})
        store.put(collection, record)


def _states_left_out(store: Store) -> Iterator[int]:
    used = {record.get("document-state-id") for collection in store.collections() for record in store.records(collection)}
    for state in store.records("documentStates"):
        if state["id"] not in used and state["name"] not in STATES_KEPT.get(state["type"], frozenset()):
            yield state["id"]
