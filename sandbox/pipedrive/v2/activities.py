"""Activities in version 2."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.sanitise import clean_html
from sandbox.pipedrive.account.schema import (
    Check,
    Problems,
    address,
    array,
    boolean,
    check_object,
    day,
    duration,
    integer,
    not_a,
    nullable,
    string,
    time_of_day,
)
from sandbox.pipedrive.gateway.call import Call
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import ListQuery, ListRules
from sandbox.pipedrive.v2.resource import Resource

NOTE_MAX = 100_000
_ATTENDEE: dict[str, Check] = {
    "email": string,
    "name": nullable(string),
    "status": nullable(string),
    "is_organizer": nullable(boolean),
    "person_id": nullable(integer),
    "user_id": nullable(integer),
}


class Activities(Resource):
    """`/activities`. Has no custom fields."""

    kind = "activity"
    title = "Activity"
    required = ()
    rules = ListRules(
        sorts=("id", "update_time", "add_time", "due_date"),
        filters={"owner_id": int, "deal_id": int, "lead_id": str, "person_id": int, "org_id": int, "done": bool},
        extras=("ids", "filter_id", "updated_since", "updated_until", "include_fields"),
        includes=("attendees",),
        beside_filter=("done",),
    )
    get_includes = ("attendees",)

    def checks(self, *, is_update: bool) -> dict[str, Check]:
        """Return the keys a body may have. `person_id` is not among them: it follows from the primary participant."""
        del is_update
        account = self.account
        return {
            "subject": account.name_text,
            "type": self._type,
            "owner_id": account.owner,
            "deal_id": account.link("deal"),
            "lead_id": self._lead,
            "project_id": self._missing("Project"),
            "org_id": account.link("organization"),
            "participants": self._participants,
            "attendees": array(_attendee),
            "due_date": day,
            "due_time": time_of_day,
            "duration": duration,
            "busy": boolean,
            "done": boolean,
            "location": address,
            "note": _note,
            "public_description": string,
            "priority": nullable(account.option_of(self.kind, "priority")),
            "outcome": nullable(account.option_of(self.kind, "outcome") if account.options.activity_outcomes else integer),
        }

    def _type(self, value: Any, path: str, problems: Problems) -> Any:
        if type(value) is not str:
            problems.add(path, not_a("string"))
        elif self.account.activity_type(value) is None:
            problems.add(path, f"Activity type '{value}' not found")
        return value

    def _lead(self, value: Any, path: str, problems: Problems) -> Any:
        """A lead by its text id, or null."""
        if value is None:
            return None
        if type(value) is not str:
            problems.add(path, not_a("string"))
            return value
        lead = self.account.lead(value)
        if lead is None:
            problems.add(path, f"Lead {value} not found")
        return lead["uuid"] if lead is not None else value

    def _missing(self, what: str) -> Check:
        """A reference to a kind of record the sandbox does not have yet: null, or not found."""

        def check(value: Any, path: str, problems: Problems) -> Any:
            if value is not None:
                problems.add(path, f"{what} {value} not found")

        return check

    def _participants(self, value: Any, path: str, problems: Problems) -> Any:
        if type(value) is not list:
            problems.add(path, not_a("array"))
            return value
        checks: dict[str, Check] = {"person_id": self.account.link("person"), "primary": boolean}
        stored = []
        for index, item in enumerate(value):
            entry = check_object(item, checks, ("person_id",), problems, f"{path}[{index}]")
            stored.append({"person_id": entry.get("person_id"), "primary": entry.get("primary", False)})
        primaries = sum(entry["primary"] is True for entry in stored)
        if primaries > 1:
            problems.add(path, "Only one participant can be primary")
        elif primaries == 0 and stored:
            stored[0]["primary"] = True
        return stored

    def build(self, call: Call, values: dict[str, Any], problems: Problems) -> Record:
        """Make an activity; a call of the caller's, due today, unless told otherwise (that the date defaults to today is assumed)."""
        del problems
        account = self.account
        kind = values.get("type", "call")
        found = account.activity_type(kind)
        participants = values.get("participants", [])
        is_done = values.get("done", False)
        return account.new_record(
            self.kind,
            subject=values.get("subject") or (found["name"] if found is not None else "Call"),
            type=kind,
            owner_id=values.get("owner_id", call.user["id"]),
            creator_user_id=call.user["id"],
            deal_id=values.get("deal_id"),
            lead_id=values.get("lead_id") if values.get("deal_id") is None else None,
            person_id=_primary(participants),
            org_id=values.get("org_id"),
            project_id=None,
            due_date=values.get("due_date", account.clock.today().isoformat()),
            due_time=values.get("due_time"),
            duration=values.get("duration"),
            busy=values.get("busy", False),
            done=is_done,
            marked_as_done_time=account.now() if is_done else None,
            location=values.get("location"),
            participants=participants,
            attendees=values.get("attendees", []),
            public_description=values.get("public_description") or None,
            priority=values.get("priority"),
            outcome=values.get("outcome"),
            note=values.get("note") or None,
        )

    def change(self, call: Call, record: Record, values: dict[str, Any], problems: Problems) -> Record:
        """Take over values; the server notes when an activity is done."""
        del call, problems
        activity = {**record, **values}
        if "participants" in values:
            activity["person_id"] = _primary(values["participants"])
        if activity["deal_id"] is not None:
            activity["lead_id"] = None  # of deal and lead the deal stays (official)
        for name in ("note", "public_description"):
            activity[name] = activity[name] or None
        if activity["done"] != record["done"]:
            activity["marked_as_done_time"] = self.account.now() if activity["done"] else None
        return activity

    def render(self, record: Record, query: ListQuery) -> dict[str, Any]:
        """Return an activity as the API shows it."""
        shown = {
            "id": record["id"],
            "subject": record["subject"],
            "type": record["type"],
            "owner_id": record["owner_id"],
            "creator_user_id": record["creator_user_id"],
            "is_deleted": record["is_deleted"],
            "add_time": record["add_time"],
            "update_time": record["update_time"],
            "deal_id": record["deal_id"],
            "lead_id": record["lead_id"],
            "person_id": record["person_id"],
            "org_id": record["org_id"],
            "project_id": None,
            "due_date": record["due_date"],
            "due_time": record["due_time"],
            "duration": record["duration"],
            "busy": record["busy"],
            "done": record["done"],
            "marked_as_done_time": record["marked_as_done_time"],
            "location": record["location"],
            "participants": record["participants"],
            "conference_meeting_client": None,
            "conference_meeting_url": None,
            "conference_meeting_id": None,
            "public_description": record["public_description"],
            "priority": record["priority"],
            "outcome": record["outcome"],
            "note": record["note"],
        }
        if "attendees" in query.includes:
            shown["attendees"] = record["attendees"]
        return shown


def _attendee(value: Any, path: str, problems: Problems) -> Any:
    """A guest; what is not given is null, and a guest is no organizer unless said so (assumed)."""
    given = check_object(value, _ATTENDEE, ("email",), problems, path)
    return {key: given.get(key) for key in _ATTENDEE} | {"is_organizer": bool(given.get("is_organizer"))}


def _primary(participants: list[Record]) -> int | None:
    return next((entry["person_id"] for entry in participants if entry["primary"]), None)


def _note(value: Any, path: str, problems: Problems) -> Any:
    """HTML of at most 100,000 characters, sanitised like a note (assumed)."""
    if type(value) is not str:
        problems.add(path, not_a("string"))
        return value
    if len(value) > NOTE_MAX:
        problems.add(path, f"This value is too long. It should have {NOTE_MAX} characters or less.")
    return clean_html(value)


def routes(account: Account) -> list[Route]:
    """Return the operations on activities."""
    return Activities(account).routes("activities", 10)
