"""Organizations in version 2."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.schema import Check, Problems, address, integer, nullable, rfc3339, string
from sandbox.pipedrive.gateway.call import Call
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.counts import ORGANIZATION_COUNTS, ORGANIZATION_GET_COUNTS, counts
from sandbox.pipedrive.v2.listing import ListQuery, ListRules
from sandbox.pipedrive.v2.resource import Resource

LIST_EXTRAS = ("ids", "filter_id", "updated_since", "updated_until", "custom_fields", "include_fields", "include_option_labels", "include_labels")
_EXTRAS = ("website", "linkedin", "industry", "annual_revenue", "employee_count")


class Organizations(Resource):
    """`/organizations`."""

    kind = "organization"
    title = "Organization"
    rules = ListRules(filters={"owner_id": int}, extras=LIST_EXTRAS, includes=ORGANIZATION_COUNTS)
    get_includes = ORGANIZATION_GET_COUNTS

    def checks(self, *, is_update: bool) -> dict[str, Check]:
        """Return the keys a body may have."""
        account = self.account
        checks: dict[str, Check] = {
            "name": account.name,
            "owner_id": account.owner,
            "visible_to": account.visible_to,
            "label_ids": account.label_ids(self.kind),
            "address": address,
            "custom_fields": account.custom_fields(self.kind),
        }
        if account.options.organization_extras:
            checks |= {
                "website": nullable(string),
                "linkedin": nullable(string),
                "industry": nullable(account.option_of(self.kind, "industry")),
                "annual_revenue": nullable(integer),
                "employee_count": nullable(integer),
            }
        if not is_update:
            checks["add_time"] = rfc3339
        return checks

    def build(self, call: Call, values: dict[str, Any], problems: Problems) -> Record:
        """Make an organization; the caller owns it unless someone else is named."""
        del problems
        return self.account.new_record(
            self.kind,
            name=values["name"],
            owner_id=values.get("owner_id", call.user["id"]),
            address=values.get("address"),
            visible_to=values.get("visible_to", self.account.visible_to_default),
            label_ids=values.get("label_ids", []),
            custom_fields=values.get("custom_fields", {}),
            add_time=values.get("add_time"),
            **{name: values.get(name) or None for name in _EXTRAS},
        )

    def render(self, record: Record, query: ListQuery) -> dict[str, Any]:
        """Return an organization as the API shows it."""
        shown = {
            "id": record["id"],
            "name": record["name"],
            "owner_id": record["owner_id"],
            "add_time": record["add_time"],
            "update_time": record["update_time"],
            "address": record["address"],
            "is_deleted": record["is_deleted"],
            "visible_to": record["visible_to"],
            "label_ids": record["label_ids"],
        }
        if self.account.options.organization_extras:
            shown |= {name: record[name] for name in _EXTRAS}
        shown["custom_fields"] = self.custom_values(record, query)
        if query.includes:
            shown |= counts(self.account, self.kind, record, query.includes)
        if query.has_labels:
            shown |= self.labels(record)
        return shown


def routes(account: Account) -> list[Route]:
    """Return the operations on organizations."""
    return Organizations(account).routes("organizations", 10)
