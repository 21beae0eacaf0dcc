"""What the kinds of record of version 2 have in common: list, get, create, update, delete."""

from typing import Any, ClassVar

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.filters import condition_of
from sandbox.pipedrive.account.merging import merged_into
from sandbox.pipedrive.account.schema import Check, Problems, check_object
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import ListQuery, ListRules, page, parse_query

_PLAIN = ListQuery()
_GET_EXTRAS = ("custom_fields", "include_fields", "include_option_labels", "include_labels")


class Resource:
    """One kind of record. Subclasses name its keys and say how a record is made, changed and rendered."""

    kind: ClassVar[str]
    title: ClassVar[str]
    """Name in messages."""
    created_status: ClassVar[int] = 200
    required: ClassVar[tuple[str, ...]] = ("name",)
    rules: ClassVar[ListRules] = ListRules()
    get_includes: ClassVar[tuple[str, ...]] = ()
    """Names `include_fields` knows when one record is read."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.create_checks = self.checks(is_update=False)
        self.update_checks = self.checks(is_update=True)
        self._get_rules = ListRules((), {}, tuple(extra for extra in self.rules.extras if extra in _GET_EXTRAS), self.get_includes, ())

    def routes(self, name: str, list_tokens: int) -> list[Route]:
        """Return the operations at `/api/v2/<name>`."""
        base = f"/api/v2/{name}"
        return [
            Route("GET", base, 2, list_tokens, self.list_all),
            Route("POST", base, 2, 5, self.create),
            Route("GET", base + "/{id}", 2, 1, self.get),
            Route("PATCH", base + "/{id}", 2, 5, self.update),
            Route("DELETE", base + "/{id}", 2, 3, self.delete),
        ]

    def checks(self, *, is_update: bool) -> dict[str, Check]:
        """Return the keys a body may have."""
        raise NotImplementedError

    def build(self, call: Call, values: dict[str, Any], problems: Problems) -> Record:
        """Make a record of checked values; problems that depend on several values are noted."""
        raise NotImplementedError

    def change(self, call: Call, record: Record, values: dict[str, Any], problems: Problems) -> Record:
        """Return a record with checked values taken over."""
        del call, problems
        return {**record, **values}

    def render(self, record: Record, query: ListQuery) -> dict[str, Any]:
        """Return a record as the API shows it."""
        raise NotImplementedError

    def save(self, record: Record) -> None:
        """Store a new or changed record."""
        self.account.store.put(self.kind, record)

    def accept(self, record: Record, query: ListQuery) -> bool:
        """Whether a record belongs into a list."""
        del query
        return not record["is_deleted"]

    def list_all(self, call: Call) -> Result:
        """Answer a list request."""
        query = self.list_query(call, self.rules)
        found, cursor = page(self.account.store[self.kind], query, lambda record: self.accept(record, query) and can_see(call.user, record))
        return success([self.render(record, query) for record in found], additional_data={"next_cursor": cursor})

    def list_query(self, call: Call, rules: ListRules) -> ListQuery:
        """Return the checked query of a list, with the condition of the saved filter it names."""
        query = parse_query(call.query, rules)
        if query.filter_id is not None:
            query.condition = condition_of(self.account, query.filter_id, self.kind)
        return query

    def get(self, call: Call) -> Result:
        """Answer a request for one record."""
        query = parse_query(call.query, self._get_rules) if call.query else _PLAIN
        return success(self.render(self.find(call), query))

    def create(self, call: Call) -> Result:
        """Create a record."""
        return success(self.render(self.make(call, call.json()), _PLAIN), self.created_status)

    def make(self, call: Call, body: Any, beside: Record | None = None) -> Record:
        """Make and store a record of a body.

        Args:
            call: The call, for its user.
            body: What the body gives, in the terms of version 2.
            beside: Stored values that no body of version 2 can give.

        Raises:
            ApiError: 400 naming every problem.
        """
        problems = Problems()
        values = check_object(body, self.create_checks, self.required, problems)
        problems.raise_if_any()
        record = self.build(call, values, problems)
        problems.raise_if_any()
        if beside:
            record |= beside
        self.save(record)
        return record

    def update(self, call: Call) -> Result:
        """Change a record; keys that are absent keep their values."""
        return success(self.render(self.amend(call, self.find(call), call.json()), _PLAIN))

    def amend(self, call: Call, before: Record, body: Any, beside: Record | None = None) -> Record:
        """Change and store a record; see `make`."""
        problems = Problems()
        values = check_object(body, self.update_checks, (), problems)
        problems.raise_if_any()
        if before["is_deleted"]:
            raise not_found(self.title)
        custom = values.pop("custom_fields", None)
        record = self.change(call, before, values, problems)
        problems.raise_if_any()
        if custom:
            record["custom_fields"] = {**before["custom_fields"], **custom}
        record |= {**(beside or {}), "update_time": self.account.now()}
        self.save(record)
        return record

    def delete(self, call: Call) -> Result:
        """Mark a record as deleted. Nothing linked to it is touched."""
        record = self.find(call)
        if not record["is_deleted"]:
            self.save({**record, "is_deleted": True, "update_time": self.account.now()})
        return success({"id": record["id"]})

    def find(self, call: Call) -> Record:
        """Return the record a path names.

        Raises:
            ApiError: 404 when it is unknown, or deleted and the account hides these.
        """
        record = self.account.store[self.kind].get(call.id(self.title))
        if record is not None and "merged_into" in record and call.request.method == "GET" and self.account.options.merged_get == "survivor":
            record = merged_into(self.account, self.kind, record)
        if record is None or (record["is_deleted"] and self.account.options.deleted_get == "404") or not can_see(call.user, record):
            raise not_found(self.title)
        return record

    def custom_values(self, record: Record, query: ListQuery) -> dict[str, Any]:
        """Return the custom fields of a record: all of them, null when empty, or those asked for."""
        fields = self.account.fields
        values = fields.values(self.kind, record["custom_fields"])
        if query.projection is not None:
            values = {code: value for code, value in values.items() if code in query.projection}
        if query.has_option_labels:
            for code, value in values.items():
                values[code] = self._labelled(code, value)
        return values

    def _labelled(self, code: str, value: Any) -> Any:
        """Replace option ids by objects with their labels."""
        kind = self.account.fields.custom[self.kind][code]["field_type"]
        if value is None or kind not in {"enum", "set"}:
            return value
        known = self.account.fields.labels(self.kind, code)
        shown = [{"id": item, "label": known[item]["label"]} for item in (value if kind == "set" else [value]) if item in known]
        if kind == "set":
            return shown
        return shown[0] if shown else None

    def labels(self, record: Record) -> Record:
        """Return the label objects of a record."""
        known = self.account.fields.labels(self.kind, "label_ids")
        return {"labels": [known[item] for item in record["label_ids"] if item in known]}


def can_see(user: Record, record: Record) -> bool:
    """Whether a user sees a record. Only `visible_to` 1 (owner) hides one, and never from an admin; there is one visibility group."""
    return user["is_admin"] or record.get("visible_to") != 1 or record["owner_id"] == user["id"]
