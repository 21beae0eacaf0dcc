"""What the deprecated operations on one kind of record have in common."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.filters import condition_of
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, ids_of, integer_of, paged
from sandbox.pipedrive.v1.deprecated.convert import Convert
from sandbox.pipedrive.v1.flat_fields import from_v1
from sandbox.pipedrive.v1.objects import Related
from sandbox.pipedrive.v1.rendering import Rendering
from sandbox.pipedrive.v2.resource import Resource, can_see

Show = Callable[[Record, Related], dict[str, Any]]
_VALIDATION = "Validation failed: "
_RECORDED = ("Name must be given.", "Email must be given if marketing status is set.")
"""Texts of version 1 that stand without the key they are about."""


class Entity:
    """One kind of record at `/v1/<name>`. Subclasses name its keys and say how it is shown."""

    kind: ClassVar[str]
    keys: ClassVar[Mapping[str, tuple[str, Convert]]]
    """Keys of a body, with the name in version 2 and the conversion. Other keys are ignored."""
    clears: ClassVar[frozenset[str]] = frozenset()
    """Keys whose null (or empty text) means something; elsewhere it counts as absent (assumed)."""
    name_key: ClassVar[str] = "name"
    name_text: ClassVar[str] = "Name must be given."
    created_status: ClassVar[int] = 201
    sorts: ClassVar[Mapping[str, str]] = {name: name for name in ("id", "name", "add_time", "update_time")} | {"user_id": "owner_id"}
    has_custom_fields: ClassVar[bool] = True

    def __init__(self, account: Account, version2: Resource) -> None:
        self.account = account
        self.version2 = version2
        self.rendering = Rendering(account)

    def routes(self, name: str, list_tokens: int = 20) -> list[Route]:
        """Return list, get, create, update and delete."""
        base = f"/v1/{name}"
        return [
            Route("GET", base, 1, list_tokens, self.list_all),
            Route("POST", base, 1, 10, self.create),
            Route("GET", base + "/{id}", 1, 2, self.get),
            Route("PUT", base + "/{id}", 1, 10, self.update),
            Route("DELETE", base + "/{id}", 1, 6, self.version2.delete),
        ]

    # How a record is shown

    def show(self, record: Record, related: Related) -> dict[str, Any]:
        """Return a record with its links as objects, which are remembered as related."""
        raise NotImplementedError

    def answer(self, record: Record, status: int = 200) -> Result:
        """Answer with one record."""
        related = Related(self.account)
        return success(self.show(record, related), status, related_objects=related.objects)

    def answer_page(self, call: Call, records: Iterable[Record], show: Show | None = None) -> Result:
        """Answer with a page of those of the records that the caller may see, shown as usual or in another way."""
        related = Related(self.account)
        show = show or self.show
        chosen = (record for record in records if can_see(call.user, record))
        result = paged(call, chosen, lambda record: show(record, related), self.sorts)
        result.body["related_objects"] = related.objects
        return result

    # Reading

    def list_all(self, call: Call) -> Result:
        """Answer the list of records."""
        accept = self.accept(call)
        return self.answer_page(call, (record for record in self.account.store[self.kind] if accept(record)))

    def accept(self, call: Call) -> Callable[[Record], bool]:
        """Return what a record must fulfil to be in the list. A saved filter takes precedence over the owner (official)."""
        wanted = self.condition(call)
        if wanted is None:
            owner = integer_of(call.query.get("user_id"), "user_id")
            wanted = (lambda record: record["owner_id"] == owner) if owner is not None else (lambda _: True)
        letter = call.query.get("first_char", "").casefold()
        return lambda record: not record["is_deleted"] and wanted(record) and (not letter or record["name"].casefold().startswith(letter))

    def condition(self, call: Call) -> Callable[[Record], bool] | None:
        """Return what the saved filter of a query asks, None without one."""
        filter_id = integer_of(call.query.get("filter_id"), "filter_id")
        return None if filter_id is None else condition_of(self.account, filter_id, self.kind)

    def get(self, call: Call) -> Result:
        """Answer a request for one record."""
        return self.answer(self.version2.find(call))

    # Writing

    def create(self, call: Call) -> Result:
        """Create a record."""
        body = body_of(call)
        if "id" in body:
            raise bad_request("Inserting ID with POST request is not allowed")
        self.check_name(body, None)
        values, beside = self.terms(body, None)
        record = decided(lambda: self.version2.make(call, values, beside))
        return self.answer(record, self.created_status)

    def update(self, call: Call) -> Result:
        """Change a record; keys that are absent keep their values."""
        before, body = self.version2.find(call), body_of(call)
        self.check_name(body, before)
        values, beside = self.terms(body, before)
        return self.answer(decided(lambda: self.version2.amend(call, before, values, beside)))

    def delete_many(self, call: Call) -> Result:
        """Delete several records; unknown ones are left out (assumed)."""
        known = [record for record_id in ids_of(call) if (record := self.account.live(self.kind, record_id)) is not None]
        deleted = [record["id"] for record in known if can_see(call.user, record)]
        for record_id in deleted:
            self.version2.delete(replace(call, params=(str(record_id),)))
        return success({"id": deleted})

    def check_name(self, body: Record, before: Record | None) -> None:
        """Refuse a record without a name, in the words of version 1."""
        if before is not None and self.name_key not in body:
            return
        name = body.get(self.name_key)
        if name is None or (type(name) is str and not name.strip()):
            raise bad_request(self.name_text)

    def terms(self, body: Record, before: Record | None) -> tuple[Record, Record]:
        """Return a body in the terms of version 2, and the values that no body of version 2 can give."""
        values: Record = {}
        for key, (name, convert) in self.keys.items():
            if key in body and (key in self.clears or body[key] not in (None, "")):
                values[name] = convert(body[key], key)
        if self.has_custom_fields and (custom := from_v1(self.account, self.kind, body, before["custom_fields"] if before else None)):
            values["custom_fields"] = custom
        return values, {}


def decided(act: Callable[[], Record]) -> Record:
    """Let version 2 decide; what it refuses for the body is refused in the form of version 1, with the first problem only (assumed)."""
    try:
        return act()
    except ApiError as error:
        if not error.text.startswith(_VALIDATION):
            raise
        first = error.text.removeprefix(_VALIDATION).split("; ")[0]
        raise bad_request(next((text for text in _RECORDED if first.endswith(text)), first)) from error
