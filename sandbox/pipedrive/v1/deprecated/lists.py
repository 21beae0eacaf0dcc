"""The deprecated lists around one record: its deals, persons and activities; and lists of all records by cursor."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.memberships import people_of
from sandbox.pipedrive.account.schema import parse_time, parse_v1_time
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request
from sandbox.pipedrive.gateway.routes import Handler, Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import integer_of
from sandbox.pipedrive.v1.deprecated import convert
from sandbox.pipedrive.v1.deprecated.activities import DeprecatedActivities
from sandbox.pipedrive.v1.deprecated.contacts import DeprecatedPersons
from sandbox.pipedrive.v1.deprecated.deals import STATUSES, DeprecatedDeals, has_status
from sandbox.pipedrive.v1.rendering import Rendering
from sandbox.pipedrive.v2.activities import Activities
from sandbox.pipedrive.v2.deals import Deals
from sandbox.pipedrive.v2.listing import LIMIT_MAX, ListQuery, ListRules, page, parse_query
from sandbox.pipedrive.v2.parents import live_parent
from sandbox.pipedrive.v2.persons import Persons

_COLUMNS = {"deal": "deal_id", "person": "person_id", "organization": "org_id"}


class ListsAround:
    """`/deals/{id}/persons` and its like."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._deals = DeprecatedDeals(account, Deals(account))
        self._persons = DeprecatedPersons(account, Persons(account))
        self._activities = DeprecatedActivities(account, Activities(account))

    def deals_of(self, kind: str) -> Handler:
        """Return the list of the deals of a person or an organization."""

        def handler(call: Call) -> Result:
            parent = live_parent(self.account, kind, call)
            status = call.query.get("status", "all_not_deleted")
            if status not in STATUSES:
                raise bad_request(f"status must be one of: {', '.join(STATUSES)}")
            deals = self.account.store["deal"].find(_COLUMNS[kind], parent["id"])
            chosen = (deal for deal in deals if not deal["is_archived"] and has_status(deal, status))
            return self._deals.answer_page(call, chosen, self._deals.show_placed)

        return handler

    def activities_of(self, kind: str) -> Handler:
        """Return the list of the activities of a deal, a person or an organization."""

        def handler(call: Call) -> Result:
            parent = live_parent(self.account, kind, call)
            done = convert.flag(call.query["done"], "done") if "done" in call.query else None
            left_out = {integer_of(part.strip(), "exclude") for part in call.query.get("exclude", "").split(",")}
            found = self.account.store["activity"].find(_COLUMNS[kind], parent["id"])
            chosen = [item for item in found if not item["is_deleted"] and item["id"] not in left_out and done in (None, item["done"])]
            result = self._activities.answer_page(call, chosen)
            result.body["additional_data"]["activity_distribution"] = self._distribution(chosen)
            if kind != "deal":
                del result.body["related_objects"]  # only the activities of a deal have them (official)
            return result

        return handler

    def _distribution(self, activities: list[Record]) -> dict[str, Any]:
        """Return how the activities are shared among their owners, with whole per cents."""
        shares: dict[int, dict[str, int]] = {}
        for activity in activities:
            kinds = shares.setdefault(activity["owner_id"], {})
            kinds[activity["type"]] = kinds.get(activity["type"], 0) + 1
        return {
            str(owner): {
                "activities": kinds,
                "name": self.account.store["user"].records[owner]["name"],
                "activity_count": sum(kinds.values()),
                "share": round(100 * sum(kinds.values()) / len(activities)),
            }
            for owner, kinds in shares.items()
        }

    def persons_of_organization(self, call: Call) -> Result:
        """Answer the list of the persons of an organization."""
        organization = live_parent(self.account, "organization", call)
        found = self.account.store["person"].find("org_id", organization["id"])
        return self._persons.answer_page(call, (person for person in found if not person["is_deleted"]))

    def persons_of_deal(self, call: Call) -> Result:
        """Answer the list of the persons of a deal: the main one, then the participants."""
        deal = live_parent(self.account, "deal", call)
        table = self.account.store["person"]
        return self._persons.answer_page(call, (table.records[person_id] for person_id in people_of(self.account, deal)))


@dataclass(frozen=True, slots=True)
class Collection:
    """A list of all records of a kind by cursor: what it filters by and what it shows."""

    kind: str
    show: Callable[[Record], dict[str, Any]]
    """Rendering in version 1."""
    shown: tuple[str, ...]
    """Keys of the rendering that are kept; links are plain ids."""
    filters: dict[str, str]
    """Columns by the parameter that asks for a value of them."""


class Collections:
    """`/deals/collection` and its like, for admins only (official)."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def of(self, collection: Collection) -> Handler:
        """Return the handler of one collection."""

        def handler(call: Call) -> Result:
            if not call.user["is_admin"]:
                raise ApiError(403, "Only admins with global permissions can use this endpoint")
            query = _cursor_query(call)
            for name, column in collection.filters.items():
                if (wanted := integer_of(call.query.get(name), name)) is not None:
                    query.filters[column] = wanted
            found, cursor = page(self.account.store[collection.kind], query, _accept(call, collection.kind))
            return success([_cut(collection, record) for record in found], additional_data={"next_cursor": cursor})

        return handler


def _cursor_query(call: Call) -> ListQuery:
    limit = integer_of(call.query.get("limit"), "limit")
    known = {"limit": str(min(limit, LIMIT_MAX))} if limit else {}
    if call.query.get("cursor"):
        known["cursor"] = call.query["cursor"]
    try:
        query = parse_query(known, ListRules((), {}, (), (), ("limit", "cursor")))
    except ApiError as error:
        raise bad_request("The cursor is not valid") from error
    query.since, query.until = (_boundary(call.query, name) for name in ("since", "until"))
    return query


def _boundary(query: dict[str, str], name: str) -> str | None:
    text = query.get(name)
    if text is None:
        return None
    moment = parse_v1_time(text) or parse_time(text)
    if moment is None:
        raise bad_request(f"{name} must be a datetime")
    return moment


def _accept(call: Call, kind: str) -> Callable[[Record], bool]:
    """Return what a record must fulfil beside the columns asked for."""
    if kind == "deal":
        status = call.query.get("status", "all_not_deleted")
        if status not in STATUSES:
            raise bad_request(f"status must be one of: {', '.join(STATUSES)}")
        return lambda deal: not deal["is_archived"] and has_status(deal, status)
    letter = call.query.get("first_char", "").casefold() if kind in {"person", "organization"} else ""
    done = convert.flag(call.query["done"], "done") if kind == "activity" and "done" in call.query else None
    return lambda record: (
        not record["is_deleted"] and (not letter or record["name"].casefold().startswith(letter)) and (done is None or record["done"] == done)
    )


def _cut(collection: Collection, record: Record) -> dict[str, Any]:
    rendered = collection.show(record)
    shown = {name: rendered[name] for name in collection.shown}
    for name in ("owner_id", "picture_id"):
        if isinstance(shown.get(name), dict):
            shown[name] = shown[name]["id"]
    if collection.kind in {"person", "organization"}:
        shown["delete_time"] = None  # deleted ones are not listed
    return shown


def _collections(account: Account) -> Iterable[tuple[str, Collection]]:
    show = Rendering(account)
    contact = ("id", "active_flag", "owner_id", "name", "update_time", "add_time", "visible_to", "label", "label_ids", "cc_email")
    parts = (
        "", "_subpremise", "_street_number", "_route", "_sublocality", "_locality", "_admin_area_level_1", "_admin_area_level_2", "_country",
        "_postal_code", "_formatted_address",
    )  # fmt: skip
    address = tuple(f"address{part}" for part in parts)
    deal = (
        "id", "creator_user_id", "user_id", "person_id", "org_id", "stage_id", "title", "value", "currency", "add_time", "update_time", "status",
        "probability", "lost_reason", "visible_to", "close_time", "pipeline_id", "won_time", "lost_time", "expected_close_date", "label",
    )  # fmt: skip
    activity = (
        "id", "active_flag", "done", "type", "duration", "subject", "company_id", "user_id", "conference_meeting_client", "conference_meeting_url",
        "conference_meeting_id", "due_date", "due_time", "busy_flag", "add_time", "marked_as_done_time", "public_description", "org_id",
        "person_id", "deal_id", "update_time", "update_user_id", "source_timezone", "lead_id", "project_id",
        *(f"location{part}" for part in parts),
    )  # fmt: skip
    yield "deals", Collection("deal", show.deal, deal, {"user_id": "owner_id", "stage_id": "stage_id"})
    yield "persons", Collection("person", show.person, (*contact, "org_id", "email", "phone", "picture_id"), {"owner_id": "owner_id"})
    yield "organizations", Collection("organization", show.organization, (*contact, *address), {"owner_id": "owner_id"})
    yield "activities", Collection("activity", show.activity, activity, {"user_id": "owner_id"})


def routes(account: Account) -> list[Route]:
    """Return the deprecated lists around records and by cursor."""
    lists, collections = ListsAround(account), Collections(account)
    return [
        *(Route("GET", f"/v1/{name}/collection", 1, 10, collections.of(collection)) for name, collection in _collections(account)),
        *(
            Route("GET", f"/v1/{name}/{{id}}/activities", 1, 20, lists.activities_of(kind))
            for name, kind in (("deals", "deal"), ("persons", "person"), ("organizations", "organization"))
        ),
        Route("GET", "/v1/persons/{id}/deals", 1, 20, lists.deals_of("person")),
        Route("GET", "/v1/organizations/{id}/deals", 1, 20, lists.deals_of("organization")),
        Route("GET", "/v1/organizations/{id}/persons", 1, 20, lists.persons_of_organization),
        Route("GET", "/v1/deals/{id}/persons", 1, 20, lists.persons_of_deal),
    ]
