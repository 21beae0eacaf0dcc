"""Field definitions in version 1: the same fields as in version 2, with numeric ids, other keys, and options that are sent all at once."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import v1_time
from sandbox.pipedrive.account.fields import FIELD_TYPES, OPTIONS_MAX, subfields
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, ids_of, paged
from sandbox.pipedrive.v2.fields import FieldDefinitions

NAME_MAX = 255
_SEARCHABLE = frozenset({"address", "varchar", "text", "varchar_auto", "double", "monetary", "phone"})
_KEYS: dict[str, dict[str, str]] = {
    "deal": {"label_ids": "label", "owner_id": "user_id"},
    "person": {},
    "organization": {},
    "product": {"is_linkable": "selectable"},
    "activity": {"owner_id": "user_id", "busy": "busy_flag"},
}
"""Keys of built-in fields that differ from the code of version 2."""


class FieldDefinitionsOfVersion1:
    """`/dealFields` and its sisters; one instance for each kind of record."""

    def __init__(self, account: Account, entity: str) -> None:
        self.account = account
        self.entity = entity
        self._version2 = FieldDefinitions(account, entity)

    def list_all(self, call: Call) -> Result:
        """Answer the list of fields."""
        return paged(call, self.account.fields.by_code[self.entity].values(), self.render, ("id",))

    def get(self, call: Call) -> Result:
        """Answer a request for one field."""
        return success(self.render(self._find(call)))

    def create(self, call: Call) -> Result:
        """Define a custom field."""
        body = body_of(call)
        name, kind = _name(body.get("name")), body.get("field_type")
        if kind not in FIELD_TYPES:
            raise bad_request(f"field_type must be one of: {', '.join(FIELD_TYPES)}")
        labels = None
        if kind in {"enum", "set"}:
            labels = [label for _, label in _options(body.get("options"))]
        extras = {"ui_visibility": {"add_visible_flag": _flag(body.get("add_visible_flag", True))}}
        field = self.account.fields.create_custom(self.entity, name, kind, labels, extras)
        return success(self.render(field), 201 if self.entity == "product" else 200)

    def update(self, call: Call) -> Result:
        """Rename a field, or replace its options: those that are not sent again are dropped, with the values that used them."""
        field, body = self._find(call), body_of(call)
        if not field["is_custom_field"] and "name" in body:
            raise bad_request("A built-in field can not be renamed")
        changes: Record = {}
        if "name" in body:
            changes["field_name"] = _name(body["name"])
        if "add_visible_flag" in body:
            changes["ui_visibility"] = {**field["ui_visibility"], "add_visible_flag": _flag(body["add_visible_flag"])}
        gone: frozenset[int] = frozenset()
        if body.get("options") is not None:
            changes["options"] = self._new_options(field, _options(body["options"]))
            gone = self.account.option_ids(field) - {option["id"] for option in changes["options"]}
        changed = self.account.fields.change(field, changes)
        if gone:
            self._version2.empty_values(field, gone)
        return success(self.render(changed))

    def delete(self, call: Call) -> Result:
        """Delete a custom field."""
        field = self._find(call)
        self._remove(field)
        return success({"id": field["id"]})

    def delete_many(self, call: Call) -> Result:
        """Delete several custom fields, all or none; unknown ones are left out (assumed)."""
        found = [field for field_id in ids_of(call) if (field := self._known(field_id)) is not None]
        for field in found:
            _refuse_built_in(field)
        for field in found:
            self._remove(field)
        return success({"id": [field["id"] for field in found]})

    def _known(self, field_id: int) -> Record | None:
        field = self.account.live("field", field_id)
        return field if field is not None and field["entity"] == self.entity else None

    def _find(self, call: Call) -> Record:
        """Return the field a path names.

        Raises:
            ApiError: 404 when it is unknown, 410 for a field of products (official).
        """
        field = self._known(call.id("Field"))
        if field is None:
            raise ApiError(410, "The field is not found") if self.entity == "product" else not_found("Field")
        return field

    def _remove(self, field: Record) -> None:
        _refuse_built_in(field)
        self.account.fields.change(field, {"is_deleted": True})

    def _new_options(self, field: Record, sent: list[tuple[int | None, str]]) -> list[Record]:
        """Return the options a field has from now on: known ids keep theirs under the label sent, those without an id are new."""
        if not self._version2.has_changeable_options(field):
            raise bad_request(f"Options of field '{field['id']}' can not be changed")
        known = self.account.fields.labels(self.entity, field["field_code"])
        kept = [option_id for option_id, _ in sent if option_id is not None]
        if unknown := [option_id for option_id in kept if option_id not in known]:
            raise bad_request(f"Option {unknown[0]} not found")
        if len(set(kept)) < len(kept):
            raise bad_request("An option is given twice")
        return [self.account.fields.new_option(label) if option_id is None else {**known[option_id], "label": label} for option_id, label in sent]

    def render(self, field: Record) -> dict[str, Any]:
        """Return a field as version 1 shows it."""
        is_custom, kind = field["is_custom_field"], field["field_type"]
        shown: dict[str, Any] = {
            "id": field["id"],
            "key": key_of(field),
            "name": field["field_name"],
            "order_nr": list(self.account.fields.by_code[self.entity]).index(field["field_code"]) + 1,
            "field_type": kind,
            "add_time": v1_time(field["add_time"]),
            "update_time": v1_time(field["update_time"]),
            "last_updated_by_user_id": None,
            "created_by_user_id": None,
            "active_flag": not field["is_deleted"],
            "edit_flag": is_custom,
            "index_visible_flag": True,
            "details_visible_flag": bool(field["ui_visibility"].get("details_visible_flag", True)),
            "add_visible_flag": bool(field["ui_visibility"].get("add_visible_flag", not is_custom)),
            "important_flag": bool(field["important_fields"].get("enabled", False)),
            "bulk_edit_allowed": True,
            "searchable_flag": is_custom and kind in _SEARCHABLE,
            "filtering_allowed": True,
            "sortable_flag": True,
            "mandatory_flag": bool(field["required_fields"].get("enabled", False)),
            "options": field["options"],
        }
        if self.entity != "product" and (parts := subfields(field)) is not None:
            shown["subfields"] = [
                {"key": f"{shown['key']}_{part['field_code']}", "name": part["field_name"], "field_type": part["field_type"]}
                for part in parts
                if part["field_code"] != "value"
            ]
        # Fields of products have no nulls in the official schema; what they lack is left out, as in its example.
        return shown if self.entity != "product" else {name: value for name, value in shown.items() if value is not None}


def key_of(field: Record) -> str:
    """Return the key of a field in version 1."""
    code: str = field["field_code"]
    return _KEYS[field["entity"]].get(code, code)


def _refuse_built_in(field: Record) -> None:
    if not field["is_custom_field"]:
        raise bad_request("A built-in field can not be deleted")


def _name(value: Any) -> str:
    if type(value) is not str or not value.strip():
        raise bad_request("Name must be given.")
    if len(value) > NAME_MAX:
        raise bad_request(f"Name is too long. It should have {NAME_MAX} characters or less.")
    return value


def _flag(value: Any) -> bool:
    if value not in (True, False, "0", "1", "true", "false"):
        raise bad_request("add_visible_flag must be a boolean")
    return value in (True, "1", "true")


def _options(value: Any) -> list[tuple[int | None, str]]:
    """Return id (None for a new one) and label of the options sent."""
    if type(value) is not list or not value:
        raise bad_request("Options must be given.")
    if len(value) > OPTIONS_MAX:
        raise bad_request(f"A field can have {OPTIONS_MAX} options at most")
    sent: list[tuple[int | None, str]] = []
    for option in value:
        if type(option) is not dict or type(option.get("label")) is not str or not 1 <= len(option["label"].strip()) <= NAME_MAX:
            raise bad_request("Each option must have a label")
        option_id = option.get("id")
        if option_id is not None and type(option_id) is not int:
            raise bad_request("The id of an option must be an integer")
        sent.append((option_id, option["label"]))
    return sent


def routes(account: Account) -> list[Route]:
    """Return the operations on field definitions."""
    routes = [Route("GET", "/v1/activityFields", 1, 20, FieldDefinitionsOfVersion1(account, "activity").list_all)]
    for entity in ("deal", "person", "organization", "product"):
        definitions = FieldDefinitionsOfVersion1(account, entity)
        base = f"/v1/{entity}Fields"
        routes += [
            Route("GET", base, 1, 20, definitions.list_all),
            Route("POST", base, 1, 10, definitions.create),
            Route("DELETE", base, 1, 10, definitions.delete_many),
            Route("GET", base + "/{id}", 1, 2, definitions.get),
            Route("PUT", base + "/{id}", 1, 10, definitions.update),
            Route("DELETE", base + "/{id}", 1, 6, definitions.delete),
        ]
    return routes
