"""Leads in version 1. They have no custom fields of their own but those of deals, flat at the root."""

import base64
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.filters import condition_of
from sandbox.pipedrive.account.schema import parse_time
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import LIMIT_DEFAULT, LIMIT_MAX, body_of, integer_of, milliseconds
from sandbox.pipedrive.v1.flat_fields import from_v1, is_flat_key, to_v1
from sandbox.pipedrive.v1.lead_values import NO_CONTACT, LeadChecks, not_allowed, required
from sandbox.pipedrive.v2.counts import activity_count
from sandbox.pipedrive.v2.resource import can_see

SOURCES = (
    "Manually created", "Deal", "Web forms", "Prospector", "Leadbooster", "Live chat", "Import", "Website visitors", "Workflow automation", "API",
)  # fmt: skip
"""The list is fixed (official)."""
_SORTS: dict[str, str] = {
    "id": "uuid", "title": "title", "owner_id": "owner_id", "creator_id": "creator_user_id", "was_seen": "was_seen",
    "expected_close_date": "expected_close_date", "next_activity_id": "", "add_time": "add_time", "update_time": "update_time",
}  # fmt: skip
"""Sort names by column; the next activity is none."""
_FILTERS = ("owner_id", "person_id", "organization_id")


class Leads:
    """`/leads`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        checks = LeadChecks(account)
        self._create_checks = checks.keys(is_update=False)
        self._update_checks = checks.keys(is_update=True)

    def list_open(self, call: Call) -> Result:
        """Answer the list of leads that are not archived."""
        since = call.query.get("updated_since")
        moment = None if since is None else parse_time(since)
        if since is not None and moment is None:
            raise bad_request('"updated_since" must be in ISO 8601 date format')
        return self._list(call, lambda lead: not lead["is_archived"] and (moment is None or lead["update_time"] >= moment))

    def list_archived(self, call: Call) -> Result:
        """Answer the list of archived leads."""
        return self._list(call, lambda lead: lead["is_archived"])

    def get(self, call: Call) -> Result:
        """Answer a request for one lead."""
        return success(self.render(self.find(call)))

    def create(self, call: Call) -> Result:
        """Create a lead; the caller owns it unless told otherwise."""
        body = body_of(call)
        values = self._values(body, is_update=False)
        lead = new_lead(self.account, {"owner_id": call.user["id"], **values}, creator=call.user["id"], custom=from_v1(self.account, "deal", body))
        _need_contact(lead)
        self.account.put_lead(lead)
        return success(self.render(lead), 201)

    def update(self, call: Call) -> Result:
        """Change a lead; null unsets a value."""
        before = self.find(call)
        if before["is_deleted"]:
            raise lead_not_found()
        body = body_of(call)
        values = self._values(body, is_update=True)
        if values.get("title", "") is None:
            del values["title"]
        custom = before["custom_fields"] | from_v1(self.account, "deal", body, before["custom_fields"])
        lead = {**before, **values, "custom_fields": custom, "update_time": self.account.now()}
        _need_contact(lead)
        self.account.put_lead(lead)
        return success(self.render(lead))

    def delete(self, call: Call) -> Result:
        """Mark a lead as deleted. Nothing linked to it is touched."""
        lead = self.find(call)
        if not lead["is_deleted"]:
            self.account.put_lead({**lead, "is_deleted": True, "update_time": self.account.now()})
        return success({"id": lead["uuid"]})

    def permitted_users(self, call: Call) -> Result:
        """Answer the ids of the users who see a lead."""
        lead = self.find(call)
        return success([user["id"] for user in self.account.store["user"] if user["active_flag"] and can_see(user, lead)])

    def find(self, call: Call) -> Record:
        """Return the lead a path names.

        Raises:
            ApiError: 404 when it is unknown, or deleted and the account hides these.
        """
        lead = lead_of(self.account, call.params[0])
        if lead is None or (lead["is_deleted"] and self.account.options.deleted_get == "404") or not can_see(call.user, lead):
            raise lead_not_found()
        return lead

    def _values(self, body: dict[str, Any], *, is_update: bool) -> dict[str, Any]:
        """Check what a body gives beside custom fields; keys that are absent stay absent."""
        checks = self._update_checks if is_update else self._create_checks
        if not is_update and "title" not in body:
            raise bad_request(required("title"))
        values: dict[str, Any] = {}
        for name, value in body.items():
            check = checks.get(name)
            if check is not None:
                values[name] = check(value, name)
            elif self.account.options.lead_keys == "refuse" and not is_flat_key(self.account, "deal", name):
                raise bad_request(not_allowed(name))
        if "value" in values:
            value = values.pop("value") or {}
            values |= {"value": value.get("amount"), "currency": value.get("currency")}
        return values

    def _list(self, call: Call, accept: Callable[[Record], bool]) -> Result:
        query, table = call.query, self.account.store["lead"]
        start = _position(query.get("start"), "start")
        limit = min(_position(query.get("limit"), "limit") or LIMIT_DEFAULT, LIMIT_MAX)
        wanted = {name: integer_of(query[name], name) for name in _FILTERS if name in query}
        filter_id = integer_of(query.get("filter_id"), "filter_id")
        condition = None
        if filter_id is not None:  # takes precedence over the others (official)
            wanted, condition = {}, condition_of(self.account, filter_id, "lead")
        indexed = next((name for name in wanted if table.is_indexed(name)), None)
        records = table if indexed is None else table.find(indexed, wanted[indexed])
        chosen: Iterator[Record] = (
            lead
            for lead in records
            if not lead["is_deleted"]
            and accept(lead)
            and all(lead[name] == value for name, value in wanted.items())
            and (condition is None or condition(lead))
            and can_see(call.user, lead)
        )
        if query.get("sort"):
            chosen = iter(self._sorted(list(chosen), query["sort"]))
        found = list(islice(chosen, start, start + limit + 1))
        shown = [self.render(lead) for lead in found[:limit]]
        return success(shown, additional_data={"start": start, "limit": limit, "more_items_in_collection": len(found) > limit})

    def _sorted(self, leads: list[Record], sort: str) -> list[Record]:
        """Order by a list such as `title ASC, id DESC`; without one, leads stand in the order of their creation."""
        for part in reversed([part.split() for part in sort.split(",") if part.strip()]):
            name, direction = part[0], (part[1].upper() if len(part) > 1 else "ASC")
            if name not in _SORTS or direction not in {"ASC", "DESC"} or len(part) > 2:
                raise bad_request(f"Sorting by '{' '.join(part)}' is not possible")
            values = {lead["id"]: self._next_activity(lead) if name == "next_activity_id" else lead[_SORTS[name]] for lead in leads}
            leads.sort(key=lambda lead: (values[lead["id"]] is not None, values[lead["id"]] or 0), reverse=direction == "DESC")
        return leads

    def _next_activity(self, lead: Record) -> int | None:
        linked = [activity for activity in self.account.store["activity"].find("lead_id", lead["uuid"]) if not activity["is_deleted"]]
        return activity_count(linked, "next_activity_id") if linked else None

    def render(self, lead: Record) -> dict[str, Any]:
        """Return a lead as the API shows it; of custom fields only those with a value."""
        return {
            "id": lead["uuid"],
            "title": lead["title"],
            "owner_id": lead["owner_id"],
            "creator_id": lead["creator_user_id"],
            "label_ids": lead["label_ids"],
            "person_id": lead["person_id"],
            "organization_id": lead["organization_id"],
            "source_name": lead["source_name"],
            "origin": lead["origin"],
            "origin_id": lead["origin_id"],
            "channel": lead["channel"],
            "channel_id": lead["channel_id"],
            "source_deal_id": lead["source_deal_id"],
            "is_archived": lead["is_archived"],
            "was_seen": lead["was_seen"],
            "value": {"amount": lead["value"], "currency": lead["currency"]} if lead["value"] is not None else None,
            "expected_close_date": lead["expected_close_date"],
            "next_activity_id": self._next_activity(lead),
            "add_time": milliseconds(lead["add_time"]),
            "update_time": milliseconds(lead["update_time"]),
            "visible_to": str(lead["visible_to"]),
            "cc_email": _cc_email(self.account, lead["uuid"]),
            **to_v1(self.account.fields.custom["deal"], lead["custom_fields"]),
        }


def new_lead(account: Account, values: dict[str, Any], *, creator: int, custom: Record) -> Record:
    """Return a lead of checked values with a new id; it is not stored yet."""
    return account.new_record(
        "lead",
        uuid=account.new_uuid(),
        title=values["title"],
        owner_id=values["owner_id"],
        creator_user_id=creator,
        label_ids=values.get("label_ids", []),
        person_id=values.get("person_id"),
        organization_id=values.get("organization_id"),
        source_name=values.get("source_name", "API"),
        origin=values.get("origin", "API"),
        origin_id=values.get("origin_id"),
        channel=values.get("channel"),
        channel_id=values.get("channel_id"),
        source_deal_id=values.get("source_deal_id"),
        is_archived=False,
        was_seen=values.get("was_seen", False),
        value=values.get("value"),
        currency=values.get("currency"),
        expected_close_date=values.get("expected_close_date"),
        visible_to=values.get("visible_to", account.visible_to_default),
        custom_fields=custom,
        add_time=values.get("add_time"),
    )


def lead_of(account: Account, text: str) -> Record | None:
    """Return the lead with an id of text form, deleted or not."""
    return next(iter(account.store["lead"].find("uuid", text.lower())), None)


def lead_not_found() -> ApiError:
    """404 for a lead (official)."""
    return ApiError(404, "requested lead not found", info="Object was not found.")


def sources(call: Call) -> Result:
    """Answer the list of sources."""
    del call
    return success([{"name": name} for name in SOURCES])


def _need_contact(lead: Record) -> None:
    if lead["person_id"] is None and lead["organization_id"] is None:
        raise bad_request(NO_CONTACT)


def _position(text: str | None, name: str) -> int:
    """Read `start` or `limit`; nothing and the empty text count as 0."""
    return integer_of(text, name) or 0


def _cc_email(account: Account, lead_id: str) -> str:
    """The address that files mail under the lead."""
    company = account.store.meta["company"]
    mark = base64.urlsafe_b64encode(uuid.UUID(lead_id).bytes).rstrip(b"=").decode().replace("-", "x").replace("_", "y")
    return f"{company['company_domain']}+{company['company_id']}+lead{mark}@pipedrivemail.com"


def routes(account: Account) -> list[Route]:
    """Return the operations on leads."""
    leads = Leads(account)
    return [
        Route("GET", "/v1/leads", 1, 20, leads.list_open),
        Route("POST", "/v1/leads", 1, 10, leads.create),
        Route("GET", "/v1/leads/archived", 1, 40, leads.list_archived),
        Route("GET", "/v1/leads/{id}", 1, 2, leads.get),
        Route("PATCH", "/v1/leads/{id}", 1, 10, leads.update),
        Route("DELETE", "/v1/leads/{id}", 1, 6, leads.delete),
        Route("GET", "/v1/leads/{id}/permittedUsers", 1, 10, leads.permitted_users),
        Route("GET", "/v1/leadSources", 1, 2, sources),
    ]
