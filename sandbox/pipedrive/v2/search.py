"""Search in version 2: by words over several fields, and by one field. It sees records with a lag."""

from collections.abc import Callable, Iterable
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.schema import Problems, not_allowed
from sandbox.pipedrive.account.search_index import SearchIndex
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, validation_failed
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import boolean_text, integer_text
from sandbox.pipedrive.v2.related_items import related
from sandbox.pipedrive.v2.resource import can_see

_KINDS = ("deal", "person", "organization", "product", "lead")
_FIELDS = {
    "deal": ("title", "custom_fields", "notes"),
    "person": ("name", "email", "phone", "custom_fields", "notes"),
    "organization": ("name", "address", "custom_fields", "notes"),
    "product": ("name", "code", "custom_fields"),
    "lead": ("title", "custom_fields", "notes"),
    "file": ("name",),
}
_ITEM_TYPES = (*_KINDS, "file", "mail_attachment", "project")
"""What `item_types` knows; mail and projects are not simulated, so that nothing of theirs is found."""
_EXTRAS = {
    "deal": ("person_id", "organization_id", "status"), "person": ("organization_id",), "organization": (), "product": (),
    "lead": ("person_id", "organization_id"),
}  # fmt: skip
_ALL_FIELDS = ("address", "code", "custom_fields", "email", "name", "notes", "phone", "title", "description")
_INCLUDES = {"deal": ("deal.cc_email",), "person": ("person.picture",), "product": ("product.price",), "lead": ("lead.was_seen",)}
_ITEM_INCLUDES = ("deal.cc_email", "person.picture", "product.price")
_STATUSES = ("open", "won", "lost")
_SEARCHABLE = frozenset({"address", "varchar", "text", "varchar_auto", "double", "monetary", "phone"})
_NOTE_LINK = {"deal": "deal_id", "person": "person_id", "organization": "org_id", "lead": "lead_id"}
_ORGANIZATION_COLUMN = {"lead": "organization_id"}
"""Column of the organization where it is not `org_id`."""
_ITEM_LIMIT_MAX = 100
_LIMIT_MAX = 500
_FULL_SCORE, _PART_SCORE = 1.0, 0.5


class Search:
    """`/itemSearch`, `/itemSearch/field` and the searches of single kinds."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._index = SearchIndex(account)

    def of(self, kind: str) -> Callable[[Call], Result]:
        """Return the handler that searches one kind of record."""

        def handler(call: Call) -> Result:
            query = _Query(call.query, ("term", "fields", "exact_match", "include_fields", "limit", "cursor", *_EXTRAS[kind]), _LIMIT_MAX)
            _check_names(call.query, _FIELDS[kind], _INCLUDES.get(kind, ()))
            records = (record for record in self._seen(kind, call) if self._fits(kind, record, call.query))
            hits = self._hits([(kind, record) for record in records], query)
            if kind == "deal":  # only `/itemSearch` shows the address of a deal's organization
                for hit in hits:
                    (hit["item"]["organization"] or {}).pop("address", None)
            shown, cursor = query.cut(hits)
            return success({"items": shown}, additional_data={"next_cursor": cursor})

        return handler

    def leads_of_version_1(self, call: Call) -> Result:
        """Search leads the way version 1 does: the same, with pages by offset."""
        allowed = ("term", "fields", "exact_match", "include_fields", "limit", "start", *_EXTRAS["lead"])
        query = _Query(call.query, allowed, _LIMIT_MAX, position="start")
        hits = self._hits([("lead", lead) for lead in self._seen("lead", call) if self._fits("lead", lead, call.query)], query)
        shown, following = query.cut(hits)
        paging: dict[str, Any] = {"start": query.start, "limit": query.limit, "more_items_in_collection": following is not None}
        if following is not None:
            paging["next_start"] = int(following)
        return success({"items": shown}, additional_data={"pagination": paging})

    def items(self, call: Call) -> Result:
        """Search all kinds of record."""
        allowed = ("term", "item_types", "fields", "exact_match", "include_fields", "limit", "cursor", "search_for_related_items")
        query = _Query(call.query, allowed, _ITEM_LIMIT_MAX)
        wanted = _item_types(call.query)
        _check_names(call.query, _ALL_FIELDS, _ITEM_INCLUDES)
        hits = self._hits([(kind, record) for kind in (*_KINDS, "file") if kind in wanted for record in self._seen(kind, call)], query)
        shown, cursor = query.cut(hits)
        data = {"items": shown}
        if query.has_related:
            data["related_items"] = [
                {"result_score": 0, "item": self._render(kind, record, {})}
                for kind, record in related(self.account.store, [hit["item"] for hit in shown])
                if can_see(call.user, record)
            ]
        return success(data, additional_data={"next_cursor": cursor})

    def by_field(self, call: Call) -> Result:
        """Search one field of one kind; case matters."""
        query = _Query(call.query, ("term", "entity_type", "match", "field", "limit", "cursor"), _LIMIT_MAX)
        kind, code, match = call.query.get("entity_type", ""), call.query.get("field", ""), call.query.get("match", "exact")
        problems = Problems()
        if kind not in _KINDS:
            problems.add("entity_type", f"The value must be one of: {', '.join(_KINDS)}")
        elif code not in self.account.fields.by_code[kind]:
            problems.add("field", f"Unknown field '{code}'")
        if match not in {"exact", "beginning", "middle"}:
            problems.add("match", "The value must be one of: exact, beginning, middle")
        problems.raise_if_any()
        query.check_length(exact=match == "exact")
        found = []
        for record in self._seen(kind, call):
            texts = list(self._texts_of(kind, record, code))
            if any(
                text == query.term if match == "exact" else text.startswith(query.term) if match == "beginning" else query.term in text
                for text in texts
            ):
                found.append({"id": _id_of(kind, record), "name": record.get("name", record.get("title"))})
        shown, cursor = query.cut(found)
        return success(shown, additional_data={"next_cursor": cursor})

    def _seen(self, kind: str, call: Call) -> Iterable[Record]:
        """Return the records the index knows and the caller may see."""
        known = self._index.known(kind)
        return known if call.user["is_admin"] else (record for record in known if can_see(call.user, record))

    def _fits(self, kind: str, record: Record, query: dict[str, str]) -> bool:
        if kind == "deal" and "status" in query and record["status"] != query["status"]:
            return False
        links = (("person_id", "person_id"), ("organization_id", _ORGANIZATION_COLUMN.get(kind, "org_id")))
        return all(str(record[column]) == query[name] for name, column in links if name in query and name in _EXTRAS[kind])

    def _hits(self, records: list[tuple[str, Record]], query: "_Query") -> list[dict[str, Any]]:
        """Return what matches, the best first."""
        query.check_length(exact=query.is_exact)
        term = query.term.casefold()
        hits: list[dict[str, Any]] = []
        for kind, record in records:
            matched = {
                field: texts for field in _FIELDS[kind] if query.wants(field) and (texts := self._matches(kind, record, field, term, query.is_exact))
            }
            if matched:
                score = _FULL_SCORE if any(text.casefold() == term for texts in matched.values() for text in texts) else _PART_SCORE
                item = self._render(kind, record, matched) | self._included(kind, record, query.includes)
                hits.append({"result_score": score, "item": item})
        hits.sort(key=lambda hit: -hit["result_score"])
        return hits

    def _matches(self, kind: str, record: Record, field: str, term: str, exact: bool) -> list[str]:
        texts: Iterable[str]
        if field == "custom_fields":
            texts = (text for code in self.account.fields.custom[kind] for text in self._texts_of(kind, record, code))
        elif field == "notes":
            texts = (note["content"] for note in self.account.store["note"].find(_NOTE_LINK[kind], _id_of(kind, record)) if not note["is_deleted"])
        else:
            texts = self._texts_of(kind, record, field)
        return [text for text in texts if (text.casefold() == term if exact else term in text.casefold())]

    def _texts_of(self, kind: str, record: Record, code: str) -> Iterable[str]:
        """Yield the searchable texts of one field."""
        if code in {"email", "phone"}:
            yield from (entry["value"] for entry in record[f"{code}s"] if entry["value"])
            return
        custom = self.account.fields.custom.get(kind, {}).get(code)  # files have no fields
        value = record["custom_fields"].get(code) if custom is not None else record.get(code)
        if value is None or (custom is not None and custom["field_type"] not in _SEARCHABLE):
            return
        yield str(value["value"] if isinstance(value, dict) else value)

    def _included(self, kind: str, record: Record, includes: list[str]) -> dict[str, Any]:
        """Return what `include_fields` asks for (the names of the keys are assumed)."""
        shown: dict[str, Any] = {}
        if kind == "lead" and "lead.was_seen" in includes:
            shown["was_seen"] = record["was_seen"]
        if kind == "deal" and "deal.cc_email" in includes:
            shown["cc_email"] = None
        if kind == "product" and "product.price" in includes:
            shown["price"] = next((price["price"] for price in record["prices"]), None)
        if kind == "person" and "person.picture" in includes:
            pictures = self.account.store["picture"].find("person_id", record["id"])
            shown["picture"] = next(({"id": picture["id"]} for picture in pictures if not picture["is_deleted"]), None)
        return shown

    def _render(self, kind: str, record: Record, matched: dict[str, list[str]]) -> dict[str, Any]:
        if kind == "file":
            return {"id": record["id"], "type": kind, "name": record["name"], "url": f"/files/{record['id']}/download"}
        item: dict[str, Any] = {"id": _id_of(kind, record), "type": kind, "visible_to": record["visible_to"], "owner": {"id": record["owner_id"]}}
        store = self.account.store
        if kind == "deal":
            stage, person = store["stage"].get(record["stage_id"]), store["person"].get(record["person_id"] or 0)
            item |= {name: record[name] for name in ("title", "value", "currency", "status", "is_archived")}
            item["stage"] = {"id": record["stage_id"], "name": stage["name"] if stage is not None else None}
            item["person"] = {"id": person["id"], "name": person["name"]} if person is not None else None
        elif kind == "lead":
            person = store["person"].get(record["person_id"] or 0)
            item |= {name: record[name] for name in ("title", "value", "currency", "is_archived")}
            item["person"] = {"id": person["id"], "name": person["name"]} if person is not None else None
            item["phones"] = [entry["value"] for entry in person["phones"]] if person is not None else []
            item["emails"] = [entry["value"] for entry in person["emails"]] if person is not None else []
        else:
            item["name"] = record["name"]
        if kind == "person":
            item |= {"phones": [entry["value"] for entry in record["phones"]], "emails": [entry["value"] for entry in record["emails"]]}
        if kind in {"deal", "person", "lead"}:
            organization = store["organization"].get(record[_ORGANIZATION_COLUMN.get(kind, "org_id")] or 0)
            item["organization"] = {"id": organization["id"], "name": organization["name"]} if organization is not None else None
            if organization is not None and kind != "lead":
                item["organization"]["address"] = (organization["address"] or {}).get("value")
        if kind == "organization":
            item["address"] = (record["address"] or {}).get("value")
        if kind == "product":
            item["code"] = record["code"]
        item["custom_fields"] = matched.get("custom_fields", [])
        if kind in _NOTE_LINK:
            item["notes"] = matched.get("notes", [])
        return item


def _id_of(kind: str, record: Record) -> int | str:
    """The id of a record in the API, a text for leads."""
    record_id: int | str = record["uuid"] if kind == "lead" else record["id"]
    return record_id


def _item_types(query: dict[str, str]) -> list[str]:
    wanted = query.get("item_types", ",".join(_ITEM_TYPES)).split(",")
    if any(kind not in _ITEM_TYPES for kind in wanted):
        raise validation_failed([f"item_types: The value must be one of: {', '.join(_ITEM_TYPES)}"])
    return wanted


def _check_names(query: dict[str, str], fields: tuple[str, ...], includes: tuple[str, ...]) -> None:
    """Refuse names and links that the official parameters do not know.

    Raises:
        ApiError: 400 with the list of what is wrong.
    """
    problems = Problems()
    if any(name not in fields for name in query.get("fields", fields[0]).split(",")):
        problems.add("fields", f"The value must be one of: {', '.join(fields)}")
    if query.get("include_fields") and any(name not in includes for name in query["include_fields"].split(",")):
        problems.add("", "include_fields is not allowed")
    if query.get("status", _STATUSES[0]) not in _STATUSES:
        problems.add("status", f"The value must be one of: {', '.join(_STATUSES)}")
    for name in ("person_id", "organization_id"):
        if name in query:
            integer_text(query[name], name, problems)
    problems.raise_if_any()


class _Query:
    """A checked search query. The cursor is the position of the next hit."""

    def __init__(self, query: dict[str, str], allowed: tuple[str, ...], limit_max: int, position: str = "cursor") -> None:
        problems = Problems()
        for name in query:
            if name not in allowed and name != "api_token":
                problems.add(name, not_allowed(name))
        self.term = query.get("term", "")
        self.limit = integer_text(query.get("limit", "100"), "limit", problems)
        if not 1 <= self.limit <= limit_max:
            problems.add("limit", f"The value must be between 1 and {limit_max}")
        self.start = integer_text(query.get(position, "0"), position, problems)
        self.includes = query.get("include_fields", "").split(",")
        self.has_related = boolean_text(query.get("search_for_related_items", "false"), "search_for_related_items", problems)
        self.is_exact = boolean_text(query.get("exact_match", "false"), "exact_match", problems)
        self._fields = query["fields"].split(",") if "fields" in query else None
        problems.raise_if_any()
        if not self.term.strip():
            raise ApiError(400, 'ServerError [ERR_INVALID_INPUT]: Invalid input: "term" is not allowed to be empty', code="ERR_INVALID_INPUT")

    def check_length(self, *, exact: bool) -> None:
        """Refuse a term that is too short: 2 characters, or 1 for an exact match."""
        if len(self.term) < (1 if exact else 2):
            raise ApiError(
                400, 'ServerError [ERR_INVALID_INPUT]: Invalid input: "term" length must be at least 2 characters long', code="ERR_INVALID_INPUT"
            )

    def wants(self, field: str) -> bool:
        """Whether a field is to be searched."""
        return self._fields is None or field in self._fields

    def cut(self, hits: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
        """Return one page of hits and the cursor of the next."""
        end = self.start + self.limit
        return hits[self.start : end], str(end) if end < len(hits) else None


def routes(account: Account) -> list[Route]:
    """Return the searches."""
    search = Search(account)
    return [
        Route("GET", "/api/v2/itemSearch", 2, 20, search.items, is_search=True),
        Route("GET", "/api/v2/itemSearch/field", 2, 20, search.by_field, is_search=True),
        *(
            Route("GET", f"/api/v2/{name}/search", 2, 20, search.of(kind), is_search=True)
            for name, kind in (
                ("deals", "deal"),
                ("persons", "person"),
                ("organizations", "organization"),
                ("products", "product"),
                ("leads", "lead"),
            )
        ),
        Route("GET", "/v1/leads/search", 1, 40, search.leads_of_version_1, is_search=True),
    ]
