"""Relations between organizations, which only version 1 has. There is no list over all organizations."""

from collections.abc import Iterable
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, integer_of, paged, times

_ENDS = ("rel_owner_org_id", "rel_linked_org_id")


class Relations:
    """`/organizationRelationships`. In a `parent` relation the owner is the parent, the linked one the daughter."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the relations of one organization."""
        org_id = integer_of(call.query.get("org_id"), "org_id")
        if org_id is None:
            raise bad_request("org_id must be given.")
        if self.account.live("organization", org_id) is None:
            raise not_found("Organization")
        table = self.account.store["organization_relation"]
        found = {relation["id"]: relation for end in _ENDS for relation in table.find(end, org_id) if not relation["is_deleted"]}
        chosen = [found[relation_id] for relation_id in sorted(found)]
        result = paged(call, chosen, lambda relation: self._render(relation, org_id), ("id",))
        return Result(result.body | self._related(result.body["data"] or ()))

    def get(self, call: Call) -> Result:
        """Answer a request for one relation."""
        relation = self._find(call)
        return self._answer(relation, integer_of(call.query.get("org_id"), "org_id") or relation["rel_owner_org_id"])

    def create(self, call: Call) -> Result:
        """Relate two organizations."""
        body = body_of(call)
        for name in ("type", *_ENDS):
            if body.get(name) in (None, ""):
                raise bad_request(f"{name} must be given.")
        relation = self.account.new_record("organization_relation", **self._values(body))
        if relation["rel_owner_org_id"] == relation["rel_linked_org_id"]:
            raise bad_request("An organization can not be related to itself.")
        self.account.store.put("organization_relation", relation)
        return self._answer(relation, integer_of(body.get("org_id"), "org_id"))

    def update(self, call: Call) -> Result:
        """Change a relation."""
        body = body_of(call)
        relation = {**self._find(call), **self._values(body), "update_time": self.account.now()}
        if relation["rel_owner_org_id"] == relation["rel_linked_org_id"]:
            raise bad_request("An organization can not be related to itself.")
        self.account.store.put("organization_relation", relation)
        return self._answer(relation, integer_of(body.get("org_id"), "org_id"))

    def delete(self, call: Call) -> Result:
        """Undo a relation."""
        relation = self._find(call)
        self.account.store.put("organization_relation", {**relation, "is_deleted": True, "update_time": self.account.now()})
        return success({"id": relation["id"]})

    def _answer(self, relation: Record, viewpoint: int | None) -> Result:
        shown = self._render(relation, viewpoint)
        return success(shown, **self._related([shown]))

    def _related(self, shown: Iterable[Record]) -> dict[str, Any]:
        """Return the organizations at both ends by id."""
        ends = {relation[end]["value"] for relation in shown for end in _ENDS}
        organizations = {}
        for org_id in sorted(ends):
            known = self._organization(org_id)
            organizations[str(org_id)] = {"id": known.pop("value"), **known}
        return {"related_objects": {"organization": organizations}}

    def _find(self, call: Call) -> Record:
        relation = self.account.live("organization_relation", call.id("Organization relationship"))
        if relation is None:
            raise not_found("Organization relationship")
        return relation

    def _values(self, body: dict[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if "type" in body:
            if body["type"] not in ("parent", "related"):
                raise bad_request("type must be parent or related")
            values["type"] = body["type"]
        for end in _ENDS:
            if end in body:
                org_id = integer_of(body[end], end)
                if self.account.live("organization", org_id) is None:
                    raise bad_request(f"Organization {org_id} not found")
                values[end] = org_id
        return values

    def _render(self, relation: Record, viewpoint: int | None) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": relation["id"],
            "type": relation["type"],
            **{end: self._organization(relation[end]) for end in _ENDS},
            **times(relation),
            "active_flag": "true",
        }
        if viewpoint in {relation[end] for end in _ENDS}:
            is_owner = viewpoint == relation["rel_owner_org_id"]
            other = relation["rel_linked_org_id"] if is_owner else relation["rel_owner_org_id"]
            kind = relation["type"] if relation["type"] == "related" else ("parent" if not is_owner else "daughter")
            shown |= {"related_organization_name": self._organization(other)["name"], "calculated_type": kind, "calculated_related_org_id": other}
        return shown

    def _organization(self, org_id: int) -> dict[str, Any]:
        organization = self.account.store["organization"].get(org_id)
        if organization is None:
            return {"name": "", "value": org_id}
        people = sum(not person["is_deleted"] for person in self.account.store["person"].find("org_id", org_id))
        return {
            "name": organization["name"],
            "people_count": people,
            "owner_id": organization["owner_id"],
            "address": (organization["address"] or {}).get("value"),
            "active_flag": not organization["is_deleted"],
            "cc_email": None,
            "value": org_id,
        }


def routes(account: Account) -> list[Route]:
    """Return the operations on relations."""
    relations = Relations(account)
    return [
        Route("GET", "/v1/organizationRelationships", 1, 20, relations.list_all),
        Route("POST", "/v1/organizationRelationships", 1, 10, relations.create),
        Route("GET", "/v1/organizationRelationships/{id}", 1, 2, relations.get),
        Route("PUT", "/v1/organizationRelationships/{id}", 1, 10, relations.update),
        Route("DELETE", "/v1/organizationRelationships/{id}", 1, 6, relations.delete),
    ]
