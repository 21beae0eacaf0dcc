"""Search in version 1: that of version 2, with pages by offset, and the values of a field."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request
from sandbox.pipedrive.gateway.routes import Handler, Route
from sandbox.pipedrive.v1.common import LIMIT_DEFAULT, LIMIT_MAX, integer_of
from sandbox.pipedrive.v1.deprecated import convert
from sandbox.pipedrive.v2.search import Search

_PAGE = "100"
"""Longest page every search of version 2 gives."""
_OWN = ("start", "limit", "cursor")
_KINDS = {"dealField": "deal", "personField": "person", "organizationField": "organization", "productField": "product"}


class DeprecatedSearch:
    """`/itemSearch`, `/itemSearch/field` and the searches of single kinds."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.version2 = Search(account)

    def by(self, search: Handler) -> Handler:
        """Return the handler that pages what a search of version 2 finds."""

        def handler(call: Call) -> Result:
            query = {name: value for name, value in call.query.items() if name not in _OWN}
            shown, pagination = _window(call, _all_of(search, call, query, lambda data: data["items"]))
            return success({"items": shown}, additional_data={"pagination": pagination})

        return handler

    def items(self, call: Call) -> Result:
        """Search all kinds of record; related items are not looked for (assumed)."""
        result = self.by(self.version2.items)(call)
        assert isinstance(result, Result)  # noqa: S101 - searches answer at once
        result.body["data"]["related_items"] = []
        return result

    def by_field(self, call: Call) -> Result:
        """Answer the distinct values of a field, or the ids of the records that have them."""
        kind, key = _KINDS.get(call.query.get("field_type", "")), call.query.get("field_key", "")
        if kind is None:
            raise bad_request(f"field_type must be one of: {', '.join(_KINDS)}")
        is_exact, with_ids = (name in call.query and convert.flag(call.query[name], name) for name in ("exact_match", "return_item_ids"))
        query = {"term": call.query.get("term", ""), "entity_type": kind, "field": key, "match": "exact" if is_exact else "middle"}
        hits = _all_of(self.version2.by_field, call, query, lambda data: data)
        rows: list[dict[str, Any]] = [{"id": hit["id"], key: self._value(kind, hit["id"], key)} for hit in hits]
        if not with_ids:
            rows = [{key: value} for value in dict.fromkeys(row[key] for row in rows)]
        shown, pagination = _window(call, rows)
        return success(shown, additional_data={"pagination": pagination})

    def _value(self, kind: str, record_id: int, key: str) -> Any:
        record = self.account.store[kind].records[record_id]
        if kind == "person" and key in {"email", "phone"}:
            return next((entry["value"] for entry in record[f"{key}s"] if entry["primary"]), None)
        value = record["custom_fields"].get(key) if key in self.account.fields.custom[kind] else record.get(key)
        return value["value"] if isinstance(value, dict) else value


def _all_of(search: Handler, call: Call, query: dict[str, str], rows_of: Callable[[Any], list[Any]]) -> list[Any]:
    """Return everything a search of version 2 finds, page by page."""
    found: list[Any] = []
    cursor = None
    while True:
        try:
            result = search(replace(call, query=query | {"limit": _PAGE} | ({"cursor": cursor} if cursor else {})))
        except ApiError as error:
            raise ApiError(error.status, error.text.removeprefix("Validation failed: ")) from error
        assert isinstance(result, Result)  # noqa: S101 - searches answer at once
        found += rows_of(result.body["data"])
        cursor = result.body["additional_data"]["next_cursor"]
        if cursor is None:
            return found


def _window(call: Call, found: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    start = integer_of(call.query.get("start"), "start") or 0
    limit = min(integer_of(call.query.get("limit"), "limit") or LIMIT_DEFAULT, LIMIT_MAX)
    pagination: dict[str, Any] = {"start": start, "limit": limit, "more_items_in_collection": start + limit < len(found)}
    if pagination["more_items_in_collection"]:
        pagination["next_start"] = start + limit
    return found[start : start + limit], pagination


def routes(account: Account) -> list[Route]:
    """Return the deprecated searches."""
    search = DeprecatedSearch(account)
    return [
        Route("GET", "/v1/itemSearch", 1, 40, search.items, is_search=True),
        Route("GET", "/v1/itemSearch/field", 1, 40, search.by_field, is_search=True),
        *(
            Route("GET", f"/v1/{name}/search", 1, 40, search.by(search.version2.of(kind)), is_search=True)
            for name, kind in (("deals", "deal"), ("persons", "person"), ("organizations", "organization"), ("products", "product"))
        ),
    ]
