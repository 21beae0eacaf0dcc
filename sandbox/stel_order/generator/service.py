"""Customer equipment, incidents and the agenda."""

from datetime import timedelta
from random import Random

from sandbox.stel_order.generator.build import FILES_BASE, Builder, link, midnight, moment, texts, times
from sandbox.stel_order.generator.reference import TECHNICIANS, series_id
from sandbox.stel_order.store import Record

_ASSET_IMAGE_COUNT = 3
_STATUSES = ("Activo", "Retirado", "En reparación")
_PRIORITIES = ("VERYLOW", "LOW", "NORMAL", "HIGH", "VERYHIGH", "URGENT")
_EVENT_STATES = ("PENDING", "CONFIRMED", "COMPLETED", "CANCELLED", "REFUSED")


def build_assets(builder: Builder) -> None:
    """Make equipment: none for most clients, several for some."""
    rng = builder.rng("assets")
    images = builder.plan.count(_ASSET_IMAGE_COUNT * builder.plan.files)
    wanted = builder.plan.count(60)
    for index in range(wanted):
        party = builder.parties[(index // 3 * 5 if index % 3 else index * 2) % len(builder.parties)]
        record = asset_record(rng, index, builder.new_id("assets"), party.id) | link("address", "addresses", party.address_id)
        if index % 19 == 4 and index // 19 < images:
            image_id = builder.new_id("assetImages")
            url = f"{FILES_BASE}/assetImages/{image_id}.png?token=ast{image_id:x}s{builder.plan.seed}"
            record["asset-images"] = [{"asset-image-id": image_id, "asset-image-path": url, "order": 1}]
        asset_id = builder.put("assets", record | times(rng, moment(rng, rng.random())))
        builder.asset_ids.setdefault(party.id, []).append(asset_id)


def asset_record(rng: Random, index: int, asset_id: int, account_id: int) -> Record:
    """Return a piece of equipment without address and times."""
    start = moment(rng, rng.random() * 0.5)
    kinds, brands = texts()["equipment"], texts()["brands"]
    serial = "" if index % 23 == 22 else f"SN-{4000 + (index - 1 if index % 29 == 28 else index)}"
    return {
        "id": asset_id,
        "reference": f"{asset_id:05d}",
        "full-reference": f"ACT{asset_id:05d}",
        "name": f"{kinds[index % len(kinds)]} {index}",
        "identifier": f"EQ/{asset_id}" if index % 4 else "",
        "description": rng.choice(texts()["texts"]) if index % 2 else "",
        "private-comments": None,
        "brand": brands[index % len(brands)],
        "model": rng.choice(("X-200", "x200", "X 200 ", "Ω-5", "型番-7")),
        "serial-number": serial,
        **link("serial-number", "serialNumbers", series_id("assets")),
        **link("account", "clients", account_id),
        "subject-to-maintenance": index % 2 == 0,
        "warranty-start-date": midnight(start) if index % 5 else None,
        "warranty-end-date": midnight(start + timedelta(days=730)) if index % 5 else None,
        "asset-images": [],
        **({"custom-fields": {"Estado": _STATUSES[index % len(_STATUSES)]}} if index % 4 != 3 else {}),
    }


def build_agenda(builder: Builder) -> None:
    """Make incidents and events."""
    rng = builder.rng("incidents")
    incident_ids = [builder.put("incidents", _incident(builder, rng, index)) for index in range(builder.plan.count(12))]
    rng = builder.rng("events")
    for index in range(builder.plan.count(15)):
        builder.put("events", _event(builder, rng, index, incident_ids))


def _incident(builder: Builder, rng: Random, index: int) -> Record:
    incident_id = builder.new_id("incidents")
    party = builder.parties[rng.randrange(len(builder.parties))]
    day = moment(rng, rng.random())
    is_closed = index % 3 == 2
    return {
        "id": incident_id,
        "reference": f"{incident_id:05d}",
        "full-reference": f"INC{incident_id:05d}",
        "name": rng.choice(texts()["titles"]),
        "description": rng.choice(texts()["texts"]),
        "date": midnight(day),
        "assigned-date": midnight(day + timedelta(days=1)),
        "closing-date": midnight(day + timedelta(days=4)) if is_closed else None,
        **link("account", "clients", party.id),
        **link("address", "addresses", party.address_id),
        **link("assignee", "employees", TECHNICIANS[index % len(TECHNICIANS)]),
        **link("creator", "employees", 5),
        **link("incident-type", "incidentTypes", 211 + index % 3),
        **link("incident-state", "incidentStates", 201 + index % 3),
        "priority": _PRIORITIES[index % len(_PRIORITIES)],
        "phone": "",
        "resolution": rng.choice(texts()["texts"]) if is_closed else "",
        "length": 30 * (index % 5),
        "assets": [{"id": asset_id} for asset_id in builder.asset_ids.get(party.id, [])],
        "external-id": None,
        **times(rng, day),
    }


def _event(builder: Builder, rng: Random, index: int, incident_ids: list[int]) -> Record:
    """Return an agenda entry. Its start and end are local wall-clock time although written as UTC."""
    event_id = builder.new_id("events")
    party = builder.parties[rng.randrange(len(builder.parties))]
    day = moment(rng, rng.random())
    start = day.replace(hour=9 + index % 8, minute=30, second=0)
    orders = builder.issued.get("workOrders", [])
    document = orders[index % len(orders)] if orders and index % 2 else None
    return {
        "id": event_id,
        "subject": rng.choice(texts()["titles"]),
        "description": rng.choice(texts()["texts"]),
        "location": "",
        "start-date": f"{start:%Y-%m-%dT%H:%M:%S}+0000",
        "end-date": f"{start + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}+0000",
        "all-day": index % 7 == 0,
        "event-state": _EVENT_STATES[index % len(_EVENT_STATES)],
        **link("calendar", "calendars", 300 + TECHNICIANS[index % len(TECHNICIANS)]),
        **link("event-type", "eventTypes", 221 + index % 3),
        **link("creator", "employees", 5),
        **link("account", "clients", party.id),
        **link("incident", "incidents", incident_ids[index % len(incident_ids)] if index % 4 == 0 else None),
        **link("asset", "assets", None),
        **link("document", document.collection if document else "", document.id if document else None),
        **times(rng, day),
    }
