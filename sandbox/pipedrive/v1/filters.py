"""Saved filters in version 1, the only version that makes them; lists of both versions use them by `filter_id`."""

from typing import Any

from sandbox.pipedrive.account import filter_operators, relative_dates
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.filters import KINDS, check_conditions
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, ids_of, times

_ADDRESS_PARTS = {
    "subpremise": "Apartment/suite no", "street_number": "House number", "route": "Street/road name", "sublocality": "District/sublocality",
    "locality": "City/town/village/locality", "admin_area_level_1": "State/county", "admin_area_level_2": "Region", "country": "Country",
    "postal_code": "ZIP/Postal code", "formatted_address": "Full/combined address",
}  # fmt: skip
_PRIVATE = "1"


class Filters:
    """`/filters`. Every user can see and use every filter (assumed)."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the list of filters; it has no pages."""
        wanted = call.query.get("type")
        if wanted is not None and wanted not in KINDS:
            raise bad_request(f"type must be one of: {', '.join(KINDS)}")
        found = [item for item in self.account.store["filter"] if not item["is_deleted"] and wanted in (None, item["type"])]
        return success([render(item) for item in found] or None)

    def get(self, call: Call) -> Result:
        """Answer a request for one filter, with its conditions."""
        return self._answer(call, self._find(call))

    def create(self, call: Call) -> Result:
        """Save a filter."""
        body = body_of(call)
        name, type_ = _name(body.get("name")), body.get("type")
        if type(type_) is not str or type_ not in KINDS:
            raise bad_request(f"type must be one of: {', '.join(KINDS)}")
        conditions = check_conditions(self.account, type_, body.get("conditions"))
        saved = self.account.new_record("filter", name=name, type=type_, user_id=call.user["id"], visible_to=_PRIVATE, conditions=conditions)
        self.account.store.put("filter", saved)
        return self._answer(call, saved)

    def update(self, call: Call) -> Result:
        """Replace the conditions of a filter, and its name where one is given."""
        saved, body = self._find(call), body_of(call)
        changed = {**saved, "conditions": check_conditions(self.account, saved["type"], body.get("conditions")), "update_time": self.account.now()}
        if "name" in body:
            changed["name"] = _name(body["name"])
        self.account.store.put("filter", changed)
        return self._answer(call, changed)

    def delete(self, call: Call) -> Result:
        """Delete a filter."""
        saved = self._find(call)
        self._remove(saved)
        return success({"id": saved["id"]})

    def delete_many(self, call: Call) -> Result:
        """Delete several filters; unknown ones are left out (assumed)."""
        found = [saved for filter_id in ids_of(call) if (saved := self.account.live("filter", filter_id)) is not None]
        for saved in found:
            self._remove(saved)
        return success({"id": [saved["id"] for saved in found]})

    def _remove(self, saved: Record) -> None:
        self.account.store.put("filter", {**saved, "is_deleted": True, "update_time": self.account.now()})

    def _find(self, call: Call) -> Record:
        saved = self.account.live("filter", call.id("Filter"))
        if saved is None:
            raise not_found("Filter")
        return saved

    def _answer(self, call: Call, saved: Record) -> Result:
        has_code = call.query.get("include_field_code") == "true"
        groups = [
            {"glue": group["glue"], "conditions": [self._line(line, has_code=has_code) for line in group["conditions"]]}
            for group in saved["conditions"]["conditions"]
        ]
        return success(render(saved) | {"conditions": {"glue": "and", "conditions": groups}})

    def _line(self, line: Record, *, has_code: bool) -> Record:
        shown = {**line, "json_value_flag": False}
        if has_code:
            field = self.account.store["field"].get(int(line["field_id"]))
            shown["field_code"] = field["field_code"] if field is not None else None
        return shown


def _name(value: Any) -> str:
    if type(value) is not str or not value.strip():
        raise bad_request("Name must be given.")
    return value


def render(saved: Record) -> dict[str, Any]:
    """Return a saved filter as version 1 shows it."""
    return {
        "id": saved["id"],
        "name": saved["name"],
        "filter_code": None,
        "is_editable": True,
        "active_flag": not saved["is_deleted"],
        "type": saved["type"],
        "temporary_flag": None,
        "user_id": saved["user_id"],
        **times(saved),
        "visible_to": saved["visible_to"],
        "last_used_time": None,
        "custom_view_id": None,
    }


def helpers(call: Call) -> Result:
    """Answer which operators and relative dates there are."""
    del call
    operators: dict[str, Any] = dict(filter_operators.OPERATORS)
    operators["enum"] = [{name: text} for name, text in filter_operators.OPERATORS["enum"].items()]  # a list in the official example
    return success(
        {
            "operators": operators,
            "deprecated_operators": filter_operators.DEPRECATED,
            "relative_dates": {**relative_dates.HELPERS, "Deal specific": {"rotten_time": "Rotten time"}},
            "address_field_components": _ADDRESS_PARTS,
        }
    )


def routes(account: Account) -> list[Route]:
    """Return the operations on saved filters."""
    filters = Filters(account)
    return [
        Route("GET", "/v1/filters", 1, 20, filters.list_all),
        Route("POST", "/v1/filters", 1, 10, filters.create),
        Route("DELETE", "/v1/filters", 1, 10, filters.delete_many),
        Route("GET", "/v1/filters/helpers", 1, 20, helpers),
        Route("GET", "/v1/filters/{id}", 1, 2, filters.get),
        Route("PUT", "/v1/filters/{id}", 1, 10, filters.update),
        Route("DELETE", "/v1/filters/{id}", 1, 6, filters.delete),
    ]
