"""Persons in version 2."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.memberships import people_of
from sandbox.pipedrive.account.schema import Check, Problems, address, boolean, check_object, day, not_a, one_of, rfc3339, string, text_max
from sandbox.pipedrive.gateway.call import Call
from sandbox.pipedrive.gateway.errors import ApiError
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.counts import PERSON_COUNTS, PERSON_GET_COUNTS, counts
from sandbox.pipedrive.v2.listing import ListQuery, ListRules
from sandbox.pipedrive.v2.organizations import LIST_EXTRAS
from sandbox.pipedrive.v2.resource import Resource

_CONTACT_SYNC = ("notes", "im", "birthday", "job_title", "postal_address")
_NO_CONSENT = "no_consent"
_NOTES_MAX = 10_000
_ENTRY: dict[str, Check] = {"value": string, "primary": boolean, "label": string}


def contacts(value: Any, path: str, problems: Problems) -> Any:
    """E-mails, phones or messengers: the label defaults to work, the first becomes primary unless another is, two cannot be."""
    if type(value) is not list:
        problems.add(path, not_a("array"))
        return value
    stored = []
    for index, item in enumerate(value):
        entry = check_object(item, _ENTRY, ("value",), problems, f"{path}[{index}]")
        stored.append({"value": entry.get("value"), "primary": entry.get("primary", False), "label": entry.get("label") or "work"})
    primaries = sum(entry["primary"] is True for entry in stored)
    if primaries > 1:
        problems.add(path, "Only one item can be primary")
    elif primaries == 0 and stored:
        stored[0]["primary"] = True
    return stored


class Persons(Resource):
    """`/persons`."""

    kind = "person"
    title = "Person"
    required = ()
    rules = ListRules(filters={"owner_id": int, "org_id": int}, extras=(*LIST_EXTRAS, "deal_id"), includes=PERSON_COUNTS)
    get_includes = PERSON_GET_COUNTS

    def checks(self, *, is_update: bool) -> dict[str, Check]:
        """Return the keys a body may have."""
        account = self.account
        checks: dict[str, Check] = {
            "name": account.name_text,
            "first_name": string,
            "last_name": string,
            "owner_id": account.owner,
            "org_id": account.link("organization"),
            "emails": contacts,
            "phones": contacts,
            "visible_to": account.visible_to,
            "label_ids": account.label_ids(self.kind),
            "custom_fields": account.custom_fields(self.kind),
            "im": contacts,
            "notes": text_max(_NOTES_MAX),
            "birthday": day,
            "job_title": string,
            "postal_address": address,
            "marketing_status": one_of(_NO_CONSENT, "unsubscribed", "subscribed", "archived"),
        }
        if not is_update:
            checks["add_time"] = rfc3339
        return checks

    def make(self, call: Call, body: Any, beside: Record | None = None) -> Record:
        """Make and store a person."""
        self._refuse_missing_features(body)
        return super().make(call, body, beside)

    def amend(self, call: Call, before: Record, body: Any, beside: Record | None = None) -> Record:
        """Change and store a person."""
        self._refuse_missing_features(body)
        return super().amend(call, before, body, beside)

    def _refuse_missing_features(self, body: Any) -> None:
        """Refuse keys that exist only where the account has contact sync or Campaigns (403 reported, text assumed)."""
        if type(body) is not dict:
            return
        missing = [] if self.account.options.contact_sync else [name for name in _CONTACT_SYNC if name in body]
        if not self.account.options.campaigns and "marketing_status" in body:
            missing.append("marketing_status")
        if missing:
            raise ApiError(403, f"The feature behind {', '.join(missing)} is not enabled for this company")

    def build(self, call: Call, values: dict[str, Any], problems: Problems) -> Record:
        """Make a person; the caller owns it unless someone else is named."""
        first, last, name = _names({}, values, problems)
        account = self.account
        emails = values.get("emails", [])
        if "marketing_status" in values and not emails:
            problems.add("marketing_status", "Email must be given if marketing status is set.")
        return account.new_record(
            self.kind,
            name=name,
            first_name=first,
            last_name=last,
            owner_id=values.get("owner_id", call.user["id"]),
            org_id=values.get("org_id"),
            emails=emails,
            phones=values.get("phones", []),
            visible_to=values.get("visible_to", account.visible_to_default),
            label_ids=values.get("label_ids", []),
            custom_fields=values.get("custom_fields", {}),
            add_time=values.get("add_time"),
            marketing_status=values.get("marketing_status"),
            **{key: values.get(key) for key in _CONTACT_SYNC},
        )

    def change(self, call: Call, record: Record, values: dict[str, Any], problems: Problems) -> Record:
        """Take over values; a new part of the name makes a new name and the other way round."""
        del call
        if values.keys() & {"name", "first_name", "last_name"}:
            first, last, name = _names(record, values, problems)
            values |= {"first_name": first, "last_name": last, "name": name}
        return {**record, **values, **_marketing(record, values)}

    def list_query(self, call: Call, rules: ListRules) -> ListQuery:
        """Return the checked query of a list; one of the people of a deal names them by their ids."""
        query = super().list_query(call, rules)
        if query.deal_id is not None and query.filter_id is None:
            deal = self.account.live("deal", query.deal_id)
            people = people_of(self.account, deal) if deal is not None else []
            query.ids = people if query.ids is None else [person_id for person_id in query.ids if person_id in people]
        return query

    def render(self, record: Record, query: ListQuery) -> dict[str, Any]:
        """Return a person as the API shows it."""
        shown = {
            "id": record["id"],
            "name": record["name"],
            "first_name": record["first_name"],
            "last_name": record["last_name"],
            "owner_id": record["owner_id"],
            "org_id": record["org_id"],
            "add_time": record["add_time"],
            "update_time": record["update_time"],
            "emails": record["emails"],
            "phones": record["phones"],
            "is_deleted": record["is_deleted"],
            "visible_to": record["visible_to"],
            "label_ids": record["label_ids"],
            "picture_id": record.get("picture_id"),
            "custom_fields": self.custom_values(record, query),
        }
        if self.account.options.contact_sync:
            shown |= {key: record[key] for key in _CONTACT_SYNC} | {"im": record["im"] or []}
        if query.includes:
            shown |= counts(self.account, self.kind, record, query.includes)
            if "marketing_status" in query.includes:
                shown["marketing_status"] = record["marketing_status"] or (_NO_CONSENT if self.account.options.campaigns else None)
        if query.has_labels:
            shown |= self.labels(record)
        return shown


def _marketing(record: Record, values: dict[str, Any]) -> dict[str, Any]:
    """Return marketing status and whether it was changed. It can be changed once; further calls leave it as it is (official)."""
    before = record["marketing_status"] or _NO_CONSENT
    after = values.get("marketing_status", before)
    if after == before:
        return {"marketing_status": record["marketing_status"]}
    return {"marketing_status": before if record.get("is_marketing_settled") else after, "is_marketing_settled": True}


def _names(record: Record, values: dict[str, Any], problems: Problems) -> tuple[str | None, str | None, str]:
    """Return first name, last name and name. A name is split at its first space (where it is split is assumed)."""
    if "name" in values:
        name = values["name"]
        if not name.strip():
            problems.add("name", "Name must be given.")
        first, _, last = name.strip().partition(" ")
        return values.get("first_name", first) or None, values.get("last_name", last.strip()) or None, name
    if not record and not {"first_name", "last_name"} <= values.keys():
        problems.add("name", "Name must be given.")
        return None, None, ""
    first = values.get("first_name", record.get("first_name")) or ""
    last = values.get("last_name", record.get("last_name")) or ""
    name = f"{first} {last}".strip()
    if not name:
        problems.add("name", "Name must be given.")
    return first or None, last or None, name


def routes(account: Account) -> list[Route]:
    """Return the operations on persons."""
    return Persons(account).routes("persons", 10)
