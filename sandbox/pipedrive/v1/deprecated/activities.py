"""Activities in version 1."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.schema import is_date
from sandbox.pipedrive.gateway.call import Call, Result
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import integer_of
from sandbox.pipedrive.v1.deprecated import convert
from sandbox.pipedrive.v1.deprecated.convert import Convert
from sandbox.pipedrive.v1.deprecated.entity import Entity
from sandbox.pipedrive.v1.objects import Related, deal_object
from sandbox.pipedrive.v2.activities import Activities

_LINKS = ("deal_id", "person_id", "org_id", "lead_id")


class DeprecatedActivities(Entity):
    """`/activities`. Without a user the list holds the caller's own, with user 0 everyone's (official)."""

    kind = "activity"
    has_custom_fields = False
    clears = frozenset({"deal_id", "lead_id", "project_id", "org_id", "note", "public_description"})
    keys: ClassVar[Mapping[str, tuple[str, Convert]]] = {
        "subject": ("subject", convert.plain),
        "type": ("type", convert.plain),
        "user_id": ("owner_id", integer_of),
        "deal_id": ("deal_id", integer_of),
        "lead_id": ("lead_id", convert.plain),
        "project_id": ("project_id", integer_of),
        "org_id": ("org_id", integer_of),
        "due_date": ("due_date", convert.plain),
        "due_time": ("due_time", convert.plain),
        "duration": ("duration", convert.plain),
        "busy_flag": ("busy", convert.flag),
        "done": ("done", convert.flag),
        "note": ("note", convert.text),
        "public_description": ("public_description", convert.text),
    }
    sorts: ClassVar[Mapping[str, str]] = {name: name for name in ("id", "subject", "type", "due_date", "due_time", "add_time", "update_time")}

    def show(self, record: Record, related: Related) -> dict[str, Any]:
        """Return an activity. Its links are plain ids; the records they lead to are remembered."""
        related.user(record["owner_id"])
        related.person(record["person_id"])
        related.organization(record["org_id"])
        if (deal := deal_object(self.account, record["deal_id"])) is not None:
            related.objects.setdefault("deal", {})[str(deal["id"])] = deal
        return self.rendering.activity(record)

    def check_name(self, body: Record, before: Record | None) -> None:
        """An activity needs no subject."""

    def accept(self, call: Call) -> Callable[[Record], bool]:
        """Return what an activity must fulfil to be in the list; a saved filter narrows it further (official)."""
        query = call.query
        owner = integer_of(query.get("user_id"), "user_id")
        owner = call.user["id"] if owner is None else owner
        types = {part.strip() for part in query["type"].split(",")} if query.get("type") else None
        start, end = (_day(query, name) for name in ("start_date", "end_date"))
        done = convert.flag(query["done"], "done") if "done" in query else None
        condition = self.condition(call)

        def accepted(activity: Record) -> bool:
            due = activity["due_date"] or ""
            return (
                not activity["is_deleted"]
                and (owner == 0 or activity["owner_id"] == owner)
                and (types is None or activity["type"] in types)
                and (start is None or due >= start)
                and (end is None or (due != "" and due <= end))
                and (done is None or activity["done"] == done)
                and (condition is None or condition(activity))
            )

        return accepted

    def terms(self, body: Record, before: Record | None) -> tuple[Record, Record]:
        """Return a body in the terms of version 2. A person is the primary participant."""
        values, beside = super().terms(body, before)
        if (participants := _participants(body)) is not None:
            values["participants"] = participants
        if type(body.get("attendees")) is list:
            values["attendees"] = [_attendee(entry) for entry in body["attendees"]]
        given, location = convert.address("location", body, before["location"] if before else None)
        if given:
            values["location"] = location
        return values, beside

    def answer(self, record: Record, status: int = 200) -> Result:
        """Answer with one activity, and whether more are planned around the same records."""
        result = super().answer(record, status)
        if status == 201:
            result.body["additional_data"] = {"more_activities_scheduled_in_context": self._has_more(record)}
        return result

    def _has_more(self, record: Record) -> bool:
        table = self.account.store[self.kind]
        return any(
            other["id"] != record["id"] and not other["done"] and not other["is_deleted"]
            for column in _LINKS
            if record[column] is not None
            for other in table.find(column, record[column])
        )


def _day(query: dict[str, str], name: str) -> str | None:
    text = query.get(name)
    if text is not None and not is_date(text):
        raise bad_request(f"{name} must be in the format YYYY-MM-DD")
    return text


def _participants(body: Record) -> list[Any] | None:
    """Return the participants a body gives, None when it gives none; the person named beside them is the primary one."""
    if "participants" not in body and "person_id" not in body:
        return None
    person_id = integer_of(body.get("person_id"), "person_id")
    sent = body.get("participants") or []
    if type(sent) is not list or not all(type(entry) is dict for entry in sent):
        raise bad_request("participants must be a list of objects")
    shown = [
        {"person_id": integer_of(entry.get("person_id"), "person_id"), "primary": convert.flag(entry.get("primary_flag", 0), "primary_flag")}
        for entry in sent
    ]
    if person_id is not None:
        others = [{**entry, "primary": False} for entry in shown if entry["person_id"] != person_id]
        shown = [{"person_id": person_id, "primary": True}, *others]
    return shown


def _attendee(entry: Any) -> Any:
    if type(entry) is not dict:
        return entry
    shown = {name: entry[name] for name in ("name", "status", "person_id", "user_id") if name in entry}
    if entry.get("is_organizer") is not None:
        shown["is_organizer"] = convert.flag(entry["is_organizer"], "is_organizer")
    email = entry.get("email_address", entry.get("email"))
    return shown if email is None else {**shown, "email": email}


def routes(account: Account) -> list[Route]:
    """Return the deprecated operations on activities."""
    activities = DeprecatedActivities(account, Activities(account))
    return [*activities.routes("activities"), Route("DELETE", "/v1/activities", 1, 10, activities.delete_many)]
