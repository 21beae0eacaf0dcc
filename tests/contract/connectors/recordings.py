"""One recording for each connector: a source with awkward content, and what reading it must give.

Sources that are read from bundles have one made of their layout. A new connector of the product joins by a line in `RECORDINGS`, one of another
package by an entry point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from services.extractor.connectors.bundle.connector import BundleConnector
from services.extractor.registry import CONNECTORS
from tests.contract.connectors.bundle_recording import bundle_recording
from tests.contract.connectors.recording import HOSTILE_NAMES, Recording
from tests.fixtures.servicetracker.org import PARTS, URL, org
from tests.fixtures.stel_order.stand_in import BASE_URL, FILES_URL, KEY, STAMP, StandIn, failure, row


def stel_order(_: Path) -> Recording:
    """A STEL Order account with two pages of clients, hostile names, an archived product and files."""
    clients = [row(number, **{"legal-name": HOSTILE_NAMES[number % len(HOSTILE_NAMES)]}) for number in range(1, 504)]
    stand_in = StandIn(
        {
            **{entity.source_name: [] for entity in CONNECTORS["stel_order"].entities},
            "clients": clients,
            "products": [row(58, **{"item-images": [{"item-image-path": f"{FILES_URL}/58?token=t", "order": 1}]}), row(59, inactive=True)],
            "workOrders": [row(77, signed=True, **{"pdf-path": f"{FILES_URL}/77?token=t"}), row(78, **{"pdf-path": f"{FILES_URL}/78?token=t"})],
            "entityAttachments": [{"id": 5, "entity-id": 77, "entity-type": "WORKORDER", "file-url": f"{FILES_URL}/5?token=t"}],
            "taxLines": [{"id": -2, "name": "IVA"}],
        }
    )

    later = "2026-03-02T12:00:00+0000"

    def repeat() -> None:
        stand_in.ignores_start = True

    def disturb() -> set[str]:
        clients[0].update({"deleted": True, STAMP: later})
        clients[400][STAMP] = later
        clients.append(row(900, **{STAMP: later}))
        return {"900"}

    def delete() -> str:
        clients[6].update({"deleted": True, STAMP: later})
        return "7"

    def clear() -> None:
        for collection in stand_in.collections.values():
            collection.clear()

    assert STAMP in clients[0]
    return Recording(
        connector="stel_order",
        expected_ids={
            "client": {str(number) for number in range(1, 504)},
            "product": {"58", "59"},
            "work_order": {"77", "78"},
            "entity_attachment": {"5"},
            "tax_line": {"-2"},
            "item_image": {"product-58-1"},
            "document_pdf": {"work_order-77-1"},
        },
        http_transport=stand_in.transport(),
        key=KEY,
        base_url=BASE_URL,
        repeat_first_page=repeat,
        disturb=disturb,
        delete=delete,
        clear=clear,
        refuse=lambda: stand_in.script.append(("*", failure("E000001"))),
        paged_entity="client",
    )


def servicetracker(_: Path) -> Recording:
    """An org with several pages of every kind, hostile names, notes with images, and files of both kinds."""
    made = org(customers=12, page_size=7)
    store, moment = made.store, datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    refusal = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    for customer, name in zip(made.rows("Account"), HOSTILE_NAMES, strict=False):
        customer["Name"] = name
    roles = {
        "customer": "Account",
        "contact": "Contact",
        "user": "User",
        "record_type": "RecordType",
        "task": "Task",
        "event": "Event",
        "note": "Note",
    }
    roles |= {"technician": ".Technician__c", "site": ".Site__c", "contract": ".Contract__c", "asset": ".Equipment__c", "invoice": ".Invoice__c"}
    roles |= {"work_order": ".Work_Order__c", "visit": ".Visit__c", "part": ".Part__c", "sign_off": ".Signature__c", "attachment": "Attachment"}
    roles["service_record"] = ".Inspection__c"
    versions = {row["ContentDocumentId"]: row for row in made.rows("ContentVersion")}
    linked = [row for row in made.rows("ContentDocumentLink") if not row["LinkedEntityId"].startswith("005")]
    notes = {f"{row['ContentDocumentId']}-{row['LinkedEntityId']}" for row in linked if versions[row["ContentDocumentId"]]["FileType"] == "SNOTE"}
    files = [row for row in linked if versions[row["ContentDocumentId"]]["FileType"] != "SNOTE"]
    described = {name for name, one in made.store.objects.items() if not one.is_custom_setting and not name.endswith("__History") and name != "Group"}

    def repeat() -> None:
        made.simulator.repeats_first_page = True

    def disturb() -> set[str]:
        first, *_, last = [row["Id"] for row in store.live("Account")]
        store.delete("Account", first, moment)
        store.update("Account", last, {"Name": "renamed"}, moment)
        return {first, store.create("Account", {"Name": "new"}, moment)["Id"]}

    def delete() -> str:
        gone: str = next(iter(store.live("Account")))["Id"]
        store.delete("Account", gone, moment)
        return gone

    def clear() -> None:
        store._rows.clear()

    return Recording(
        connector="servicetracker",
        expected_ids={
            **{entity: made.ids(name) for entity, name in roles.items()},
            "custom_record": made.ids("Rodent_Log__c") | made.ids("Water_Survey__c"),
            "content_note": notes,
            "content_version": {f"{versions[row['ContentDocumentId']]['Id']}-{row['LinkedEntityId']}" for row in files},
            "inline_image": {f"{note}-{number}" for note in notes for number in (1, 2)},
            "object_description": described,
            "field_description": {f"{name}.{field}" for name in described for field in made.store.objects[name].fields},
        },
        http_transport=made.transport,
        key=PARTS["client_secret"],
        base_url=URL,
        parts={"client_id": PARTS["client_id"], "client_secret": ""},
        repeat_first_page=repeat,
        disturb=disturb,
        delete=delete,
        clear=clear,
        refuse=lambda: made.simulator.faults.add({"kind": "status", "status": 403, "times": 1, "path": "/query", "body": refusal}),
        always=frozenset({"object_description", "field_description"}),
        paged_entity="customer",
        has_small_pages=True,
        reading_calls=frozenset({"POST /services/oauth2/token"}),
    )


def _of_bundles() -> Mapping[str, Callable[[Path], Recording]]:
    return {name: partial(bundle_recording, name) for name, kind in CONNECTORS.items() if issubclass(kind, BundleConnector)}


def _of_other_packages() -> Mapping[str, Callable[[Path], Recording]]:
    return {one.name: one.load() for one in entry_points(group=GROUP)}


GROUP = "transload.recordings"
"""Entry points of other packages: a function that is given an empty folder and answers a `Recording`."""
RECORDINGS: Mapping[str, Callable[[Path], Recording]] = {
    **_of_bundles(),
    "servicetracker": servicetracker,
    "stel_order": stel_order,
    **_of_other_packages(),
}
