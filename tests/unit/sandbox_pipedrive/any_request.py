"""Makes plausible requests for every operation that writes, whatever it is: tries a rich body and leaves out what is refused."""

import json
import random
import re
from typing import Any

from sandbox.common.asgi import ConnectionCutError, Request
from sandbox.pipedrive.gateway.routes import Route
from tests.unit.sandbox_pipedrive.driver import TOKEN, Driver

TRIES = 10
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000080000000808020000004b6d29dc0000000b49444154789c6360a03d0000006800017cbf0cbd0000000049454e44ae426082"
)
_BOUNDARY = "between"
_UPLOADS = {"files": "file", "picture": "file", "recordings": "file", "images": "data"}
KINDS = {
    "deals": "deal", "persons": "person", "organizations": "organization", "products": "product", "activities": "activity", "leads": "lead",
    "pipelines": "pipeline", "stages": "stage", "notes": "note", "files": "file", "activityTypes": "activity_type", "users": "user",
    "organizationRelationships": "organization_relation", "leadLabels": "lead_label", "filters": "filter", "callLogs": "call_log",
    "webhooks": "webhook",
}  # fmt: skip
"""Kinds of record by the collection in a path."""
_INNER = {
    ("deals", "products"): ("deal_product", "deal_id"), ("deals", "discounts"): ("discount", "deal_id"),
    ("deals", "installments"): ("installment", "deal_id"), ("deals", "participants"): ("participant", "deal_id"),
    ("products", "variations"): ("product_variation", "product_id"), ("notes", "comments"): ("comment", "note_id"),
    ("deals", "followers"): ("follower", "followed"), ("persons", "followers"): ("follower", "followed"),
    ("organizations", "followers"): ("follower", "followed"), ("products", "followers"): ("follower", "followed"),
}  # fmt: skip
"""Kinds that have their place below another, and the column that names the other."""


class Requests:
    """Draws requests for an account."""

    def __init__(self, api: Driver, seed: int) -> None:
        self._api = api
        self._draw = random.Random(seed)
        self.routes = sorted((route for route in api.app.engine.router.routes if route.method != "GET"), key=lambda route: route.operation)

    async def send(self, route: Route) -> int:
        """Send a request to an operation, a few times with less and less in it; return the last status, 0 for a cut connection."""
        body: Any = self._body(route)
        path = self._path(route)
        status = 400
        for _ in range(TRIES):
            content, kind = self._content(route, body)
            try:
                answer = await self._api.app.handle(_request(route.method, path, content, kind))
            except ConnectionCutError:
                return 0
            status = answer.status
            if status != 400 or not isinstance(body, dict):
                return status
            error = str(json.loads(answer.body).get("error", ""))
            body = self._less(route, body, error)
        return status

    def _less(self, route: Route, body: dict[str, Any], error: str) -> dict[str, Any]:
        """Return a body without what was refused, and with what is missing."""
        everything = self._values(route)
        named = {key for key in everything if re.search(rf"\b{re.escape(key)}\b", error, re.IGNORECASE)}
        if "required" in error or "must be" in error:
            return {**body, **{key: everything[key] for key in named}}
        kept = {key: value for key, value in body.items() if key not in named}
        return kept if len(kept) < len(body) else {key: value for key, value in body.items() if self._draw.random() < 0.6}

    def _kind_of(self, route: Route) -> str:
        return KINDS.get(route.template.split("/")[3 if route.version == 2 else 2], "")

    def _path(self, route: Route) -> str:
        segments = route.template.split("/")
        start = 3 if route.version == 2 else 2
        kind = KINDS.get(segments[start], "")
        inner = _INNER.get((segments[start], segments[start + 2])) if len(segments) == start + 4 and segments[-1].endswith("}") else None
        child = self._live(inner[0]) if inner is not None else None
        if child is not None and inner is not None:
            parent = str(child[inner[1]]).rpartition("/")[2]
            path = "/".join([*segments[: start + 1], parent, segments[start + 2], str(child.get("uuid") or child["id"])])
        else:
            path = re.sub(r"\{[^}]*\}", lambda _: self._id(kind, segments[start], route.version), route.template)
        if route.method == "DELETE" and route.template.count("/") == 2:
            return f"{path}?ids={self._id(kind, segments[start], route.version)}"
        return path

    def _id(self, kind: str, collection: str, version: int) -> str:
        """Return the id of a record of a kind, mostly of one that is there."""
        draw = self._draw
        if collection.endswith("Fields"):
            fields = list(self._api.account.fields.custom.get(collection.removesuffix("Fields"), {}).values())
            if not fields:
                return "label_ids"
            return str(draw.choice(fields)["field_code" if version == 2 else "id"])
        record = self._live(kind) if draw.random() < 0.9 else None
        if record is None:
            return str(draw.randint(1, 14))
        return str(record.get("uuid") or record["id"])

    def _live(self, kind: str) -> dict[str, Any] | None:
        if kind not in self._api.account.store.tables:
            return None
        live = [record for record in self._api.account.store[kind] if not record["is_deleted"]]
        return self._draw.choice(live) if live else None

    def _link(self, kind: str) -> int:
        record = self._live(kind)
        return self._draw.randint(1, 14) if record is None else int(record["id"])

    def _body(self, route: Route) -> Any:
        draw = self._draw
        if route.template.endswith("/options"):
            fields = [
                field for field in self._api.account.store["field"] if field["is_custom_field"] and field["options"] and not field["is_deleted"]
            ]
            known = [option["id"] for field in fields for option in field["options"]] or [1]
            item: dict[str, Any] = {} if route.method == "POST" else {"id": draw.choice(known)}
            return [item | ({} if route.method == "DELETE" else {"label": f"Option {draw.randint(1, 99)}"})]
        everything = self._values(route)
        if route.template.endswith("/bulk"):
            line = {"product_id": draw.randint(1, 12), "item_price": draw.randint(1, 99), "quantity": draw.randint(1, 5)}
            return {"data": [line] * draw.randint(1, 3)}
        return {key: value for key, value in everything.items() if draw.random() < 0.8}

    def _content(self, route: Route, body: Any) -> tuple[bytes, bytes]:
        part = _UPLOADS.get(route.template.rpartition("/")[2])
        if part is None or route.template == "/v1/files/{id}":
            return json.dumps(body).encode(), b"application/json"
        lines = [f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="deal_id"\r\n\r\n{self._draw.randint(1, 12)}\r\n'] if part == "file" else []
        lines.append(f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{part}"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n')
        return "".join(lines).encode() + _PNG + f"\r\n--{_BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={_BOUNDARY}".encode()

    def _values(self, route: Route) -> dict[str, Any]:
        """Return a plausible value for every key any operation may know."""
        draw, word = self._draw, f"Word {self._draw.randint(1, 999)}"
        is_v2 = route.version == 2

        def one(most: int = 12) -> int:
            return draw.randint(1, most)

        link = self._link
        values: dict[str, Any] = {
            "title": word, "name": word, "content": word, "subject": word, "label": word, "description": word, "note": word, "code": word,
            "field_name": word, "field_type": draw.choice(["varchar", "double", "enum", "set", "monetary", "date"]),
            "options": [{"label": "One"}, {"label": "Two"}],
            "deal_id": link("deal"), "person_id": link("person"), "org_id": link("organization"), "product_id": link("product"),
            "organization_id": link("organization"), "owner_id": one(5), "user_id": one(5), "merge_with_id": self._link(self._kind_of(route)),
            "rel_owner_org_id": link("organization"), "rel_linked_org_id": link("organization"), "stage_id": one(5), "pipeline_id": 1,
            "value": one(999) if route.template != "/v1/leads" else {"amount": one(999), "currency": "EUR"}, "currency": "EUR", "item_price": one(99),
            "quantity": one(9), "price": one(99), "amount": one(20), "discount": one(9), "discount_type": "percentage", "tax": one(20),
            "status": draw.choice(["open", "won", "lost"]), "expected_close_date": "2026-07-01", "due_date": "2026-07-02",
            "billing_date": "2026-07-03",
            "due_time": "10:00", "duration": "01:00", "done": draw.choice([True, False]) if is_v2 else draw.choice([0, 1]), "visible_to": 3,
            "type": draw.choice(["call", "meeting", "percentage", "parent", "related", "deals"]),
            "icon_key": "cart", "color": "red", "order_nr": one(9),
            "is_archived": draw.choice([True, False]), "label_ids": [], "unit": "pc", "outcome": "connected",
            "email": f"{word.replace(' ', '')}@example.com",
            "to_phone_number": "+34600", "start_time": "2026-07-01 10:00:00", "end_time": "2026-07-01 10:05:00", "active_flag": True,
            "file_type": "gdoc", "item_type": "deal", "item_id": link("deal"), "remote_id": word, "remote_location": "googledrive",
            "subscription_url": "https://hooks.example/x", "event_action": "*", "event_object": "deal",
            "prices": [{"currency": "EUR", "price": one(99)}], "is_enabled": draw.choice([True, False]), "probability": one(90),
            "conditions": {"glue": "and", "conditions": [{"glue": "and", "conditions": []}, {"glue": "or", "conditions": []}]},
            "is_deal_rot_enabled": True, "days_to_rotten": one(9), "deal_probability": one(90),
        }  # fmt: skip
        return values


def _request(method: str, path: str, content: bytes, kind: bytes) -> Request:
    path, _, query = path.partition("?")
    return Request(method, path, query.encode(), {b"x-api-token": TOKEN.encode(), b"content-type": kind}, content)
