"""An account of the Pipedrive simulator with a record of every kind, made by calling its API, that can be put back to that state at once."""

import asyncio
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any
from urllib.parse import urlencode

from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.account.fields import FIELD_TYPES
from sandbox.pipedrive.options import Options
from sandbox.pipedrive.store.store import Record, Table
from tests.openapi.spec import JSON, MULTIPART
from tests.unit.sandbox_pipedrive.driver import CONTROL_KEY, TOKEN, Answer, Driver

BOUNDARY = "conformance"
NOW = 1_780_000_000.0
FILTERS = {
    "deals": ("deal", "title"),
    "org": ("organization", "name"),
    "people": ("person", "name"),
    "products": ("product", "name"),
    "activity": ("activity", "subject"),
    "leads": ("deal", "title"),
}
"""Field that has a value in all records, by type of filter."""


def everything_on() -> Options:
    """Options with every feature switched on and nothing held back by limits."""
    switches: dict[str, Any] = {one.name: True for one in fields(Options) if isinstance(one.default, bool)}
    return Options(**{**switches, "token": TOKEN, "control_key": CONTROL_KEY, "seed": 7, "limits": False})


def encode(content: str, body: Any) -> bytes:
    """Return a body in the form of its content type. Bytes in a multipart body become files."""
    if content == MULTIPART:
        parts = (_part(name, value) for name, value in body.items())
        return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return urlencode(body).encode()


def _part(name: str, value: Any) -> bytes:
    file = '; filename="note.txt"\r\nContent-Type: text/plain' if isinstance(value, bytes) else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + (value if isinstance(value, bytes) else str(value).encode()) + b"\r\n"


class World:
    """The account, the calls to it, and what there is to refer to."""

    def __init__(self) -> None:
        self.driver = Driver(everything_on(), SandboxClock(lambda: NOW, lambda: 100.0))
        self.account = self.driver.account
        self._runner = asyncio.Runner()
        self.preferred: set[tuple[str, int]] = set()
        """Records with the most around them, by kind and id."""
        self._runner.run(_fill(self))
        store = self.account.store
        tables = {kind: {name: getattr(table, name) for name in Table.__slots__} for kind, table in store.tables.items()}
        self._frozen = pickle.dumps((tables, store.meta))
        self._live = {kind: sorted((one for one in table if not one.get("is_deleted")), key=self._rank(kind)) for kind, table in store.tables.items()}

    def _rank(self, kind: str) -> Callable[[Record], tuple[bool, bool, int]]:
        return lambda record: ((kind, record["id"]) not in self.preferred, not record.get("options"), record["id"])

    def close(self) -> None:
        """Close the event loop."""
        self._runner.close()

    def live(self, kind: str) -> list[Record]:
        """Return the records of a kind that are not deleted, as they were at first, the most useful ones in front."""
        return self._live[kind]

    def codes(self, entity: str, *kinds: str) -> list[str]:
        """Return the hashes of an entity's custom fields, of all types or of some."""
        return [
            one["field_code"]
            for one in self.live("field")
            if one["entity"] == entity and one["is_custom_field"] and (not kinds or one["field_type"] in kinds)
        ]

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Put the account back to its first state afterwards."""
        try:
            yield
        finally:
            tables, meta = pickle.loads(self._frozen)  # noqa: S301 - our own bytes
            for kind, state in tables.items():
                for name, value in state.items():
                    setattr(self.account.store.tables[kind], name, value)
            self.account.store.meta.clear()
            self.account.store.meta.update(meta)
            self.account.attach()

    def send(self, method: str, path: str, body: Any = None, content: str = JSON, query: dict[str, Any] | None = None) -> Answer:
        """Send one request and wait for its answer."""
        return self._runner.run(self.call(method, path, body, content, query))

    async def call(self, method: str, path: str, body: Any = None, content: str = JSON, query: dict[str, Any] | None = None) -> Answer:
        """Send one request."""
        headers = {"content-type": f"{content}; boundary={BOUNDARY}" if content == MULTIPART else content}
        return await self.driver.send(method, path, body if content == JSON else encode(content, body), headers=headers, **(query or {}))


class _Filler:
    """Adds records; what is not served is left out, so that the account can be built of any part of the simulator."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def add(self, path: str, body: Any, content: str = JSON) -> Any:
        """Create a record and return it, an empty object when the operation is not served."""
        methods = self._world.driver.app.engine.router.find(path)[1]
        if "POST" not in methods:
            return {}
        answer = await self._world.call("POST", path, body, content)
        assert answer.status in {200, 201}, (path, answer.body)
        return answer.body["data"]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._world.account.clock.advance(seconds)

    def option(self, entity: str, code: str) -> int:
        """Return the first option of a field."""
        return min(self._world.account.fields.option_ids(entity, code))

    def field_id(self, entity: str, code: str) -> int:
        """Return the number of a field."""
        return int(self._world.account.fields.by_code[entity][code]["id"])

    async def change(self, method: str, path: str, body: Any = None) -> None:
        """Change or delete a record, or read one."""
        answer = await self._world.call(method, path, body)
        assert answer.status == 200, (path, answer.body)


async def _fill(world: World) -> None:
    filler = _Filler(world)
    await _set_up(filler)
    places = {"route": "High Street", "locality": "Ghent", "country": "Belgium", "value": "1 High Street, Ghent"}
    add = filler.add
    organization = await add(
        "/api/v2/organizations",
        {"name": "Alder timber", "address": places, "label_ids": [filler.option("organization", "label_ids")], "website": "https://alder.example"},
    )
    other = await add(
        "/api/v2/organizations",
        {
            "name": "Birch timber",
            "address": {"value": "Ghent"},
            "industry": filler.option("organization", "industry"),
            "annual_revenue": 5,
            "employee_count": 2,
        },
    )
    await add("/v1/organizationRelationships", {"type": "parent", "rel_owner_org_id": organization["id"], "rel_linked_org_id": other["id"]})
    person = await add(
        "/api/v2/persons",
        {
            "name": "Cedar timber",
            "org_id": organization["id"],
            "emails": [{"value": "cedar@example.com"}],
            "phones": [{"value": "+3212"}],
            "im": [{"value": "cedar"}],
        },
    )
    await add(f"/v1/persons/{person['id']}/picture", {"file": square_image()}, MULTIPART)
    links = {"person_id": person["id"], "org_id": organization["id"]}
    deal = await add("/api/v2/deals", {"title": "Fir timber", "value": 10, "currency": "EUR", "probability": 20, **links})
    await add("/api/v2/deals", {"title": "Gum timber", "status": "won", "won_time": "2026-01-02T03:04:05Z", **links})
    await add("/api/v2/deals", {"title": "Hazel timber", "status": "lost", "lost_reason": "price", **links})
    await add("/api/v2/deals", {"title": "Iroko timber", "is_archived": True, **links})
    gone = await add("/api/v2/deals", {"title": "Juniper"})
    await filler.change("DELETE", f"/api/v2/deals/{gone['id']}")
    await filler.change("PATCH", f"/api/v2/deals/{deal['id']}", {"title": "Fir timber trees", "value": 12})
    await filler.change("PATCH", f"/api/v2/persons/{person['id']}", {"name": "Cedar timber & Elm"})
    await filler.change("PATCH", f"/api/v2/organizations/{organization['id']}", {"name": "Alder timber & sons"})
    world.preferred |= {("organization", organization["id"]), ("person", person["id"]), ("deal", deal["id"])}
    await _sales(world, filler, deal["id"], links)
    await _custom_values(world, filler, deal["id"], person["id"], organization["id"])
    await _work(world, filler, deal["id"], links)


async def _set_up(filler: _Filler) -> None:
    for entity in ("deal", "person", "organization", "product"):
        for kind in FIELD_TYPES:
            options = {"options": [{"label": "one"}, {"label": "two"}]} if kind in {"enum", "set"} else {}
            await filler.add(f"/api/v2/{entity}Fields", {"field_name": f"My {kind}", "field_type": kind, **options})
    pipeline = await filler.add("/api/v2/pipelines", {"name": "Service", "is_deal_probability_enabled": True})
    await filler.add(
        "/api/v2/stages", {"name": "Planned", "pipeline_id": pipeline["id"], "deal_probability": 50, "is_deal_rot_enabled": True, "days_to_rotten": 5}
    )
    await filler.add("/v1/activityTypes", {"name": "Visit", "icon_key": "car", "color": "aabbcc"})
    await filler.add("/api/v2/productFields/category/options", [{"label": "Pumps"}])
    for kind, (entity, code) in FILTERS.items():
        leaf = {"object": entity, "field_id": str(filler.field_id(entity, code)), "operator": "IS NOT NULL", "value": None, "extra_value": None}
        groups = [{"glue": "and", "conditions": [leaf]}, {"glue": "or", "conditions": []}]
        await filler.add("/v1/filters", {"name": f"All {kind}", "type": kind, "conditions": {"glue": "and", "conditions": groups}})


async def _sales(world: World, filler: _Filler, deal_id: int, links: dict[str, int]) -> None:
    add = filler.add
    prices = [{"currency": "EUR", "price": 12.5, "cost": 3, "direct_cost": 1, "notes": "list"}]
    product = await add(
        "/api/v2/products", {"name": "Pump timber", "code": "P1", "unit": "piece", "tax": 21, "description": "A pump", "prices": prices}
    )
    world.preferred.add(("product", product["id"]))
    variation = await add(f"/api/v2/products/{product['id']}/variations", {"name": "Large", "prices": [{"currency": "EUR", "price": 20}]})
    await add(f"/api/v2/products/{product['id']}/images", {"data": square_image()}, MULTIPART)
    line = {"product_id": product["id"], "item_price": 12.5, "quantity": 2}
    varied = {"product_variation_id": variation["id"]} if variation else {}
    await add(f"/api/v2/deals/{deal_id}/products", line | varied)
    yearly = await add("/api/v2/deals", {"title": "Kauri timber", **links})
    recurring = {"billing_frequency": "annually", "billing_frequency_cycles": 2, "billing_start_date": "2026-10-01"}
    await add(f"/api/v2/deals/{yearly['id']}/products", line | recurring)
    await add(f"/api/v2/deals/{deal_id}/discounts", {"description": "Loyal", "amount": 5, "type": "percentage"})
    await add(f"/api/v2/deals/{deal_id}/installments", {"description": "First", "amount": 5, "billing_date": "2026-10-01"})
    guest = await add("/api/v2/persons", {"first_name": "Larch", "last_name": ""})
    await add(f"/v1/deals/{deal_id}/participants", {"person_id": guest["id"]})
    followed = {"deals": deal_id, "persons": links["person_id"], "organizations": links["org_id"], "products": product["id"]}
    for name, record_id in followed.items():
        for user_id in (2, 3):
            await add(f"/api/v2/{name}/{record_id}/followers", {"user_id": user_id})


async def _custom_values(world: World, filler: _Filler, deal_id: int, person_id: int, org_id: int) -> None:
    for entity, name, record_id in (
        ("deal", "deals", deal_id),
        ("person", "persons", person_id),
        ("organization", "organizations", org_id),
        ("product", "products", 1),
    ):
        values = {}
        for code, one in world.account.fields.custom[entity].items():
            options = [option["id"] for option in one["options"] or ()]
            values[code] = custom_value(one["field_type"], options, {"user": 1, "org": org_id, "people": person_id})
        await filler.change("PATCH", f"/api/v2/{name}/{record_id}", {"custom_fields": values})


async def _work(world: World, filler: _Filler, deal_id: int, links: dict[str, int]) -> None:
    add = filler.add
    label = await add("/v1/leadLabels", {"name": "Warm", "color": "green"})
    value = {"amount": 10, "currency": "EUR"}
    lead_body = {"title": "Maple timber", "person_id": links["person_id"], "organization_id": links["org_id"], "value": value}
    lead = await add("/v1/leads", lead_body | ({"label_ids": [label["id"]]} if label else {}))
    await add("/v1/leads", {"title": "Nutmeg timber", "person_id": links["person_id"]})
    activity = await add(
        "/api/v2/activities",
        {
            "subject": "Visit", "type": "call", "deal_id": deal_id, "org_id": links["org_id"], "participants": [{"person_id": links["person_id"]}],
            "due_date": "2026-10-01", "due_time": "10:00", "duration": "01:00", "location": {"value": "Ghent"}, "note": "Bring the pump",
            "done": True,
            "attendees": [{"email": "a@example.com", "name": "A"}], "public_description": "About the pump",
        },
    )  # fmt: skip
    note = await add("/v1/notes", {"content": "Called", "deal_id": deal_id, **links, "pinned_to_deal_flag": 1})
    world.preferred.add(("note", note["id"]))
    await add("/api/v2/activities", {"subject": "Call back", "type": "call", "deal_id": deal_id})
    for text in ("first", "second"):
        await add(f"/v1/notes/{note['id']}/comments", {"content": text})
        await add("/v1/files", {"file": text.encode(), "deal_id": deal_id, **links}, MULTIPART)
    call = {"outcome": "connected", "to_phone_number": "+3212", "start_time": "2026-01-02 03:04:05", "end_time": "2026-01-02 03:05:05"}
    texts = {"from_phone_number": "+3213", "subject": "Pump", "note": "Agreed", "duration": "60"}
    await add("/v1/callLogs", call | texts | {"deal_id": deal_id, "activity_id": activity["id"], **links})
    await add("/v1/webhooks", {"subscription_url": "http://127.0.0.1:9/hook", "event_action": "delete", "event_object": "pipeline", "name": "Orders"})
    if lead:
        await add("/v1/notes", {"content": "Lead", "lead_id": lead["id"]})
        await _convert(filler, links)


async def _convert(filler: _Filler, links: dict[str, int]) -> None:
    """Turn a lead into a deal and a deal into a lead, and leave one of each waiting."""
    for _ in range(2):
        filler.advance(3600)
        lead = await filler.add("/v1/leads", {"title": "Olive timber", "person_id": links["person_id"]})
        await filler.add(f"/api/v2/leads/{lead['id']}/convert/deal", {})
        deal = await filler.add("/api/v2/deals", {"title": "Pine timber", **links})
        await filler.add(f"/api/v2/deals/{deal['id']}/convert/lead", None)
    await filler.change("GET", "/api/v2/deals")


def custom_value(kind: str, options: list[int], links: dict[str, int]) -> Any:
    """Return a value for a custom field of some type."""
    zone = {"timezone_name": "Europe/Brussels"}
    values: dict[str, Any] = {
        "double": 12.5,
        "monetary": {"value": 12.5, "currency": "EUR"},
        "date": "2026-10-01",
        "daterange": {"value": "2026-10-01", "until": "2026-10-02"},
        "time": {"value": "10:00:00", **zone},
        "timerange": {"value": "10:00:00", "until": "11:00:00", **zone},
        "enum": options[0] if options else None,
        "set": options,
        "address": {"value": "Ghent", "country": "Belgium"},
        **links,
    }
    return values.get(kind, "some text")


def square_image() -> bytes:
    """Return a white PNG of 128 by 128 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = (b"\x00" + b"\xff" * 128) * 128
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 128, 128, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
