"""Persons and organizations in version 1."""

from collections.abc import Mapping
from typing import Any, ClassVar

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import integer_of
from sandbox.pipedrive.v1.deprecated import convert
from sandbox.pipedrive.v1.deprecated.convert import Convert
from sandbox.pipedrive.v1.deprecated.details import mailbox, neighbours
from sandbox.pipedrive.v1.deprecated.entity import Entity
from sandbox.pipedrive.v1.objects import Related, trimmed
from sandbox.pipedrive.v2.organizations import Organizations
from sandbox.pipedrive.v2.persons import Persons

_SHARED: dict[str, tuple[str, Convert]] = {
    "name": ("name", convert.plain),
    "owner_id": ("owner_id", integer_of),
    "visible_to": ("visible_to", integer_of),
    "label": ("label_ids", convert.labels),
    "label_ids": ("label_ids", convert.labels),  # after `label`, so that the list decides where both are sent (assumed)
}
_LABELS = frozenset({"label", "label_ids"})


def _added(body: Record) -> Record:
    return {"add_time": convert.moment(body["add_time"], "add_time")} if body.get("add_time") else {}


class _Contact(Entity):
    """Persons and organizations tell of the activities around now when one alone is asked for."""

    def get(self, call: Call) -> Result:
        """Answer a request for one record."""
        record = self.version2.find(call)
        result = self.answer(record)
        result.body["data"] |= neighbours(self.account, self.kind, record)
        result.body["additional_data"] = mailbox(self.account, self.kind, record)
        return result


class DeprecatedPersons(_Contact):
    """`/persons`."""

    kind = "person"
    clears = _LABELS | {"org_id", "email", "phone"}
    keys: ClassVar[Mapping[str, tuple[str, Convert]]] = {
        **_SHARED,
        "first_name": ("first_name", convert.plain),
        "last_name": ("last_name", convert.plain),
        "org_id": ("org_id", integer_of),
        "email": ("emails", convert.contacts),
        "phone": ("phones", convert.contacts),
        "marketing_status": ("marketing_status", convert.plain),
        "im": ("im", convert.contacts),
        "birthday": ("birthday", convert.plain),
        "job_title": ("job_title", convert.plain),
        "notes": ("notes", convert.plain),
    }
    sorts: ClassVar[Mapping[str, str]] = {**Entity.sorts, "first_name": "first_name", "last_name": "last_name", "org_id": "org_id"}

    def show(self, record: Record, related: Related) -> dict[str, Any]:
        """Return a person."""
        return {
            **trimmed(self.rendering.person(record)),
            "owner_id": related.user(record["owner_id"]),
            "org_id": related.organization(record["org_id"]),
        }

    def check_name(self, body: Record, before: Record | None) -> None:
        """Refuse a person without a name; its two parts are one as well."""
        if not {"first_name", "last_name"} & body.keys():
            super().check_name(body, before)

    def terms(self, body: Record, before: Record | None) -> tuple[Record, Record]:
        """Return a body in the terms of version 2; the time of adding can be changed too (official body)."""
        values, beside = super().terms(body, before)
        given, address = convert.address("postal_address", body, before["postal_address"] if before else None)
        if given:
            values["postal_address"] = address
        return values, beside | _added(body)


class DeprecatedOrganizations(_Contact):
    """`/organizations`."""

    kind = "organization"
    name_text = "Organization name must be given."
    clears = _LABELS | {"website", "linkedin", "industry", "annual_revenue", "employee_count"}
    keys: ClassVar[Mapping[str, tuple[str, Convert]]] = {
        **_SHARED,
        **{name: (name, convert.plain) for name in ("website", "linkedin")},
        **{name: (name, convert.number) for name in ("industry", "annual_revenue", "employee_count")},
    }

    def show(self, record: Record, related: Related) -> dict[str, Any]:
        """Return an organization."""
        related.user(record["owner_id"])
        return self.rendering.organization(record)

    def terms(self, body: Record, before: Record | None) -> tuple[Record, Record]:
        """Return a body in the terms of version 2; the time of adding is taken on create only."""
        values, beside = super().terms(body, before)
        given, address = convert.address("address", body, before["address"] if before else None)
        if given:
            values["address"] = address
        return values, beside | (_added(body) if before is None else {})


def routes(account: Account) -> list[Route]:
    """Return the deprecated operations on persons and organizations."""
    persons = DeprecatedPersons(account, Persons(account))
    organizations = DeprecatedOrganizations(account, Organizations(account))
    return [
        *persons.routes("persons"),
        Route("DELETE", "/v1/persons", 1, 10, persons.delete_many),
        *organizations.routes("organizations"),
        Route("DELETE", "/v1/organizations", 1, 10, organizations.delete_many),
    ]
