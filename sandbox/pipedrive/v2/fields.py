"""Field definitions in version 2: custom fields of deals, persons, organizations and products, and their options."""

from collections.abc import Collection, Iterable
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.field_settings import SETTINGS, check_of, filled_in
from sandbox.pipedrive.account.fields import FIELD_TYPES, OPTIONS_MAX, subfields
from sandbox.pipedrive.account.schema import Check, Problems, array, check_object, integer, label, not_a, nullable, obj, one_of, string
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import ListRules, page, parse_query

_DESCRIBED = frozenset({"deal", "person", "activity"})
"""Entities whose fields show a description."""


class FieldDefinitions:
    """`/dealFields` and its sisters; one instance for each kind of record."""

    def __init__(self, account: Account, entity: str) -> None:
        self.account = account
        self.entity = entity
        self._settings = SETTINGS[entity]
        self.rules = ListRules(("id",), {}, ("include_fields",), tuple(self._settings), ("limit", "cursor"))
        settings: dict[str, Check] = {name: check_of(default) for name, default in self._settings.items()}
        if entity == "deal":
            settings["description"] = nullable(string)
        self._update_checks: dict[str, Check] = {"field_name": label, **settings}
        self._create_checks: dict[str, Check] = {
            "field_name": label,
            "field_type": one_of(*FIELD_TYPES),
            "options": array(obj({"label": label}, ("label",)), OPTIONS_MAX),
            **settings,
        }

    def list_all(self, call: Call) -> Result:
        """Answer the list of fields."""
        query = parse_query(call.query, self.rules)
        found, cursor = page(self.account.store["field"], query, lambda field: field["entity"] == self.entity and not field["is_deleted"])
        return success([self._render(field, query.includes) for field in found], additional_data={"next_cursor": cursor})

    def get(self, call: Call) -> Result:
        """Answer a request for one field."""
        query = parse_query(call.query, ListRules((), {}, ("include_fields",), tuple(self._settings), ()))
        return success(self._render(self._field(call), query.includes))

    def create(self, call: Call) -> Result:
        """Define a custom field."""
        problems = Problems()
        values = check_object(call.json(), self._create_checks, ("field_name", "field_type"), problems)
        problems.raise_if_any()
        kind = values.pop("field_type")
        has_options = kind in {"enum", "set"}
        if has_options and not values.get("options"):
            problems.add("options", f"Options are required for field type '{kind}'")
        if not has_options and "options" in values:
            problems.add("options", f"Options are not allowed for field type '{kind}'")
        problems.raise_if_any()
        labels = [option["label"] for option in values.pop("options", [])] if has_options else None
        field = self.account.fields.create_custom(self.entity, values.pop("field_name"), kind, labels, values)
        return success(self._render(field, self._settings))

    def update(self, call: Call) -> Result:
        """Rename a field or change its settings."""
        field = self._field(call)
        body = call.json()
        problems = Problems()
        values = check_object(body, self._update_checks, (), problems)
        if type(body) is dict and not body:
            problems.add("", "At least one parameter is required")
        problems.raise_if_any()
        if not field["is_custom_field"] and "field_name" in values:
            raise bad_request("A built-in field can not be renamed")
        return success(self._render(self.account.fields.change(field, values), self._settings))

    def delete(self, call: Call) -> Result:
        """Delete a custom field; its values vanish from all records."""
        field = self._field(call)
        if not field["is_custom_field"]:
            raise bad_request("A built-in field can not be deleted")
        self.account.fields.change(field, {"is_deleted": True})
        return success(self._render(field))

    def add_options(self, call: Call) -> Result:
        """Add options; only the new ones are returned, in the order given."""
        field = self._field_with_options(call)
        items = self._items(call.json(), {"label": label}, ("label",))
        if len(field["options"]) + len(items) > OPTIONS_MAX:
            raise bad_request(f"A field can have {OPTIONS_MAX} options at most")
        added = [self.account.fields.new_option(item["label"]) for item in items]
        self.account.fields.change(field, {"options": [*field["options"], *added]})
        return success(added, additional_data=None)

    def change_options(self, call: Call) -> Result:
        """Rename options."""
        field = self._field_with_options(call)
        items = self._items(call.json(), {"id": integer, "label": label}, ("id", "label"))
        self._require_known(field, items)
        names = {item["id"]: item["label"] for item in items}
        options = [{**option, "label": names.get(option["id"], option["label"])} for option in field["options"]]
        self.account.fields.change(field, {"options": options})
        return success([{"id": item["id"], "label": item["label"]} for item in items], additional_data=None)

    def delete_options(self, call: Call) -> Result:
        """Remove options, all or none; values that used them become empty."""
        field = self._field_with_options(call)
        items = self._items(call.json(), {"id": integer}, ("id",))
        self._require_known(field, items)
        gone = {item["id"] for item in items}
        removed = [{"id": option["id"], "label": option["label"]} for option in field["options"] if option["id"] in gone]
        self.account.fields.change(field, {"options": [option for option in field["options"] if option["id"] not in gone]})
        self.empty_values(field, gone)
        return success(removed, additional_data=None)

    def _render(self, field: Record, settings: Iterable[str] = ()) -> dict[str, Any]:
        shown = {
            "field_name": field["field_name"],
            "field_code": field["field_code"],
            "field_type": field["field_type"],
            "options": field["options"],
            "subfields": subfields(field),
            "is_custom_field": field["is_custom_field"],
            "is_optional_response_field": False,
        }
        if self.entity in _DESCRIBED:
            shown["description"] = field["description"]
        return shown | {name: filled_in(self._settings[name], field[name]) for name in settings}

    def _field(self, call: Call) -> Record:
        field = self.account.fields.by_code[self.entity].get(call.params[0])
        if field is None:
            raise not_found("Field")
        return field

    def _field_with_options(self, call: Call) -> Record:
        field = self._field(call)
        if not self.has_changeable_options(field):
            raise bad_request(f"Options of field '{field['field_code']}' can not be changed")
        return field

    @staticmethod
    def has_changeable_options(field: Record) -> bool:
        """Whether options of a field can be added and removed."""
        return field["options"] is not None and field["field_code"] not in {"status", "done"}

    def _items(self, body: Any, checks: dict[str, Check], required: tuple[str, ...]) -> list[dict[str, Any]]:
        problems = Problems()
        if type(body) is not list:
            problems.add("body", not_a("array"))
            body = []
        items = [check_object(item, checks, required, problems, f"[{index}]") for index, item in enumerate(body)]
        problems.raise_if_any()
        return items

    def _require_known(self, field: Record, items: list[dict[str, Any]]) -> None:
        known = self.account.option_ids(field)
        unknown = [item["id"] for item in items if item["id"] not in known]
        if unknown:
            raise bad_request(f"Option {unknown[0]} not found")

    def empty_values(self, field: Record, gone: Collection[int]) -> None:
        """Take removed options out of all records, also of leads, which have the custom fields of deals."""
        code, is_custom = field["field_code"], field["is_custom_field"]
        for kind in (self.entity, "lead") if self.entity == "deal" and is_custom else (self.entity,):
            for record in list(self.account.store[kind]):
                values = record["custom_fields"] if is_custom else record
                before = values.get(code)
                after = _without(before, gone)
                if after == before:
                    continue
                if is_custom:
                    self.account.store.put(kind, {**record, "custom_fields": {**values, code: after or None}})
                else:
                    self.account.store.put(kind, {**record, code: after})


def _without(value: Any, gone: Collection[int]) -> Any:
    """Return option ids without those that are gone."""
    if isinstance(value, list):
        return [item for item in value if item not in gone]
    return None if value in gone else value


def routes(account: Account) -> list[Route]:
    """Return the operations on field definitions."""
    routes = []
    for entity in ("deal", "person", "organization", "product", "activity"):
        definitions = FieldDefinitions(account, entity)
        base = f"/api/v2/{entity}Fields"
        one = base + "/{field_code}"
        routes += [Route("GET", base, 2, 10, definitions.list_all), Route("GET", one, 2, 1, definitions.get)]
        if entity == "activity":
            continue
        routes += [
            Route("POST", base, 2, 5, definitions.create),
            Route("PATCH", one, 2, 5, definitions.update),
            Route("DELETE", one, 2, 3, definitions.delete),
            Route("POST", one + "/options", 2, 5, definitions.add_options),
            Route("PATCH", one + "/options", 2, 5, definitions.change_options),
            Route("DELETE", one + "/options", 2, 3, definitions.delete_options),
        ]
    return routes
