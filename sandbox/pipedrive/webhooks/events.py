"""What webhooks tell: the events made of changes in the store, and their payloads in both versions.

The frame of the payload is documented. Assumed: `data` of version 2 is what version 2 of the API shows (notes, leads and users, which it
does not have, are shown in version 1's terms); an update that changes nothing but the time of change tells nothing; names of the younger
objects end as in `deal_field`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.fields import subfields
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.leads import Leads
from sandbox.pipedrive.v1.notes import Notes
from sandbox.pipedrive.v1.rendering import Rendering
from sandbox.pipedrive.v1.users import COMPANY_ID, Users
from sandbox.pipedrive.v2 import installments
from sandbox.pipedrive.v2.activities import Activities
from sandbox.pipedrive.v2.deal_products import DealProducts
from sandbox.pipedrive.v2.deals import Deals
from sandbox.pipedrive.v2.listing import ListQuery
from sandbox.pipedrive.v2.organizations import Organizations
from sandbox.pipedrive.v2.persons import Persons
from sandbox.pipedrive.v2.pipelines import Pipelines, Stages
from sandbox.pipedrive.v2.products import Products
from sandbox.pipedrive.v2.resource import Resource, can_see

ACTIONS = ("create", "change", "delete", "*")
OBJECTS = ("activity", "deal", "lead", "note", "organization", "person", "pipeline", "product", "stage", "user")
"""Objects named in the official request; the younger ones are documented elsewhere."""
YOUNGER_OBJECTS = ("deal_product", "deal_installment", "deal_field", "person_field", "organization_field", "product_field")
_OBJECT_OF = {name: name for name in OBJECTS} | {"deal_product": "deal_product", "installment": "deal_installment"}
_FIELD_ENTITIES = ("deal", "person", "organization", "product")
_ACTIONS_V1 = {"create": "added", "change": "updated", "delete": "deleted"}
_PLAIN = ListQuery()
_RESOURCES: tuple[type[Resource], ...] = (Deals, Persons, Organizations, Products, Activities, Pipelines, Stages)

Rendered = dict[str, Any]
Show = Callable[[Record, Record], Rendered]
"""Renders a record for a user."""


@dataclass(slots=True)
class Event:
    """One change, rendered as it was at that moment."""

    number: int
    action: str
    object: str
    kind: str
    before: Record | None
    after: Record
    user_id: int
    source: str
    epoch: float
    """Seconds since 1970 in the account."""
    merged: dict[str, str] = field(default_factory=dict)
    """`merged_to_id` or `merged_from_id`, for changes a merge made."""


def object_of(kind: str, record: Record) -> str | None:
    """Return what a kind of record is called in webhooks; None for those that have none."""
    if kind == "field":
        return f"{record['entity']}_field" if record["entity"] in _FIELD_ENTITIES else None
    return _OBJECT_OF.get(kind)


def action_of(before: Record | None, after: Record) -> str | None:
    """Return what happened to a record; None for nothing worth telling."""
    if before is None:
        return "create"
    if before["is_deleted"]:
        return None if after["is_deleted"] else "change"
    if after["is_deleted"]:
        return "delete"
    is_same = all(before.get(name) == value for name, value in after.items() if name != "update_time")
    return None if is_same else "change"


class Payloads:
    """Makes payloads of events."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._views, self._notes, self._users, leads = Rendering(account), Notes(account), Users(account), Leads(account)
        self._lines = DealProducts(account)
        self._resources = {resource.kind: resource(account) for resource in _RESOURCES}
        self._others: dict[str, Show] = {
            "note": self._notes.render,
            "user": self._users.render,
            "lead": lambda lead, _: leads.render(lead),
            "deal_product": lambda line, _: self._lines.render(line),
            "installment": lambda installment, _: installments.render(installment),
            "field": lambda definition, _: _field(definition),
        }

    def payload(self, event: Event, webhook: Record, attempt: int) -> Rendered:
        """Return what is sent to one webhook at one attempt, from 1."""
        owner = self._account.store["user"].records[webhook["user_id"]]
        if webhook["version"] == "1.0":
            return self._version_1(event, webhook, owner, attempt)
        return self._version_2(event, webhook, owner, attempt)

    def permitted(self, event: Event) -> list[int]:
        """Return the active users who may see what an event is about."""
        return [user["id"] for user in self._account.store["user"] if user["active_flag"] and can_see(user, event.after)]

    def _version_2(self, event: Event, webhook: Record, owner: Record, attempt: int) -> Rendered:
        meta = {
            "action": event.action,
            "entity": event.object,
            "company_id": str(COMPANY_ID),
            "correlation_id": self._uuid("correlation", event),
            "entity_id": str(_id(event)),
            "id": self._uuid("event", event),
            "is_bulk_edit": False,
            "timestamp": datetime.fromtimestamp(event.epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "type": "general",
            "user_id": str(event.user_id),
            "version": "2.0",
            "webhook_id": str(webhook["id"]),
            "webhook_owner_id": str(webhook["owner_id"]),
            "change_source": event.source,
            "attempt": attempt,
            "host": self._host(),
            **event.merged,
        }
        if event.kind != "user":
            meta["permitted_user_ids"] = [str(user_id) for user_id in self.permitted(event)]
        after = self._show(event.kind, event.after, owner)
        if event.before is None:
            return {"meta": meta, "data": after, "previous": None}
        before = self._show(event.kind, event.before, owner)
        if event.action == "delete":
            return {"meta": meta, "data": None, "previous": before}
        return {"meta": meta, "data": after, "previous": _changed(before, after)}

    def _version_1(self, event: Event, webhook: Record, owner: Record, attempt: int) -> Rendered:
        action = "merged" if "merged_from_id" in event.merged else _ACTIONS_V1[event.action]
        before, after = (self._show_1(event.kind, record, owner) if record is not None else None for record in (event.before, event.after))
        filters: Rendered = {"current": []}
        meta = {
            "v": 1,
            "action": action,
            "object": event.object,
            "id": _id(event),
            "company_id": COMPANY_ID,
            "user_id": event.user_id,
            "host": self._host(),
            "timestamp": int(event.epoch),
            "timestamp_micro": int(event.epoch * 1_000_000),
            "permitted_user_ids": self.permitted(event),
            "trans_pending": False,
            "is_bulk_update": False,
            "pipedrive_service_name": False,
            "change_source": event.source,
            "matches_filters": filters,
            "webhook_id": str(webhook["id"]),
        }
        return {
            "v": 1,
            "matches_filters": filters,
            "meta": meta,
            "current": None if event.action == "delete" else after,
            "previous": before,
            "event": f"{action}.{event.object}",
            "retry": attempt - 1,
        }

    def _uuid(self, what: str, event: Event) -> str:
        return str(uuid5(NAMESPACE_OID, f"{self._account.store.meta['salt']}:{what}:{event.number}"))

    def _host(self) -> str:
        return f"{self._account.store.meta['company']['company_domain']}.pipedrive.com"

    def _show(self, kind: str, record: Record, owner: Record) -> Rendered:
        resource = self._resources.get(kind)
        return self._others[kind](record, owner) if resource is None else resource.render(record, _PLAIN)

    def _show_1(self, kind: str, record: Record, owner: Record) -> Rendered:
        return self._views.render(kind, record) if kind in self._views.kinds else self._others[kind](record, owner)


def _id(event: Event) -> int | str:
    """Return the id of what an event is about, as the API shows it."""
    if event.kind == "field":
        return str(event.after["field_code"])
    return str(event.after["uuid"]) if event.kind == "lead" else int(event.after["id"])


def _changed(before: Rendered, after: Rendered) -> Rendered:
    """Return the old values of what changed; of custom fields only those that did."""
    changed = {name: value for name, value in before.items() if after.get(name) != value}
    if "custom_fields" in changed:
        now = after["custom_fields"]
        changed["custom_fields"] = {code: value for code, value in before["custom_fields"].items() if now.get(code) != value}
    return changed


def _field(definition: Record) -> Rendered:
    names = ("field_code", "field_name", "description", "field_type", "options", "is_custom_field", "add_time", "update_time")
    return {**{name: definition[name] for name in names}, "subfields": subfields(definition)}
