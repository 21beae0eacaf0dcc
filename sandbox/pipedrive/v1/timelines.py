"""The timelines of deals, persons and organizations: changes, activities, notes, files and more in one list, newest first.

Which kinds stand in it unless `items` says so follows the documents; that planned activities are among them, that an activity stands at
its creation, and that the rest appears only when asked for is assumed. Mail, invoices, documents and campaigns are never there.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.changes import changed_key
from sandbox.pipedrive.account.clock import v1_time
from sandbox.pipedrive.account.memberships import followers_of, participants_of
from sandbox.pipedrive.gateway.call import Call, Result
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.gateway.routes import Handler, Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1 import call_logs
from sandbox.pipedrive.v1.changelogs import PATHS, find_visible, text_of
from sandbox.pipedrive.v1.common import paged
from sandbox.pipedrive.v1.files import Files
from sandbox.pipedrive.v1.notes import Notes
from sandbox.pipedrive.v1.objects import Related
from sandbox.pipedrive.v1.rendering import Rendering
from sandbox.pipedrive.v2.resource import can_see

_COLUMNS = {"deal": "deal_id", "person": "person_id", "organization": "org_id"}
_DEFAULT_ITEMS = {
    "deal": ("change", "note", "activity", "plannedActivity", "file"),
    "person": ("change", "note", "activity", "plannedActivity", "file"),
    "organization": ("change", "dealChange", "note", "activity", "plannedActivity", "file"),
}
_EMPTY_ITEMS = frozenset({
    "mailMessage", "mailMessageWithAttachment", "invoice", "document", "marketing_campaign_stat", "marketing_status_change", "activityFile",
})  # fmt: skip
_LINKED_FIELDS = {
    "user_id": "user", "owner_id": "user", "person_id": "person", "org_id": "organization", "stage_id": "stage", "pipeline_id": "pipeline",
}  # fmt: skip
_HASH_LENGTH = 40


class Event(NamedTuple):
    """One thing in a timeline, not yet rendered."""

    time: str
    order: int
    """Place among those of one second: a later one counts as newer."""
    object: str
    kind: str
    record: Record


class Timelines:
    """`/{deals,persons,organizations}/{id}/flow`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._views, self._notes, self._files = Rendering(account), Notes(account), Files(account)
        self._sources: dict[str, Callable[[str, Record], Iterator[Event]]] = {
            "change": self._own_changes,
            "dealChange": lambda kind, record: self._changes_of(kind, record, "deal"),
            "personChange": lambda kind, record: self._changes_of(kind, record, "person"),
            "organizationChange": lambda kind, record: self._changes_of(kind, record, "organization"),
            "note": lambda kind, record: self._linked(kind, record, "note", "note"),
            "file": lambda kind, record: self._linked(kind, record, "file", "file"),
            "call": lambda kind, record: self._linked(kind, record, "call_log", "call"),
            "activity": lambda kind, record: self._activities(kind, record, is_done=True),
            "plannedActivity": lambda kind, record: self._activities(kind, record, is_done=False),
            "deal": self._deals,
            "follower": self._followers,
            "dealFollower": lambda kind, record: self._followers(kind, record) if kind == "deal" else iter(()),
            "personFollower": lambda kind, record: self._followers(kind, record) if kind == "person" else iter(()),
            "organizationFollower": lambda kind, record: self._followers(kind, record) if kind == "organization" else iter(()),
            "participant": self._participants,
            "comment": self._comments,
        }

    def list_of(self, kind: str) -> Handler:
        """Return the handler of one kind."""

        def handler(call: Call) -> Result:
            record = find_visible(self.account, kind, call)
            has_custom = call.query.get("all_changes") == "1"
            found = {
                (event.kind, event.record["id"]): event
                for item in self._items(call.query.get("items", ""), kind)
                for event in self._sources[item](kind, record)
                if (has_custom or not self._is_custom(event)) and can_see(call.user, event.record)
            }
            related = Related(self.account)
            events = sorted(found.values(), key=lambda event: (event.time, event.order), reverse=True)
            wrapped = ({"event": event} for event in events)
            result = paged(call, wrapped, lambda entry: self._render(entry["event"], call, related), ())
            self._relate(kind, record, related)
            return Result({**result.body, "related_objects": related.objects})

        return handler

    def _items(self, text: str, kind: str) -> list[str]:
        wanted = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip())) or list(_DEFAULT_ITEMS[kind])
        for item in wanted:
            if item not in self._sources and item not in _EMPTY_ITEMS:
                raise bad_request(f"items: '{item}' is not known")
        return [item for item in wanted if item in self._sources]

    @staticmethod
    def _is_custom(event: Event) -> bool:
        return event.kind == "change" and len(event.record["field"].partition("_")[0]) == _HASH_LENGTH

    # What a timeline is made of

    def _own_changes(self, kind: str, record: Record) -> Iterator[Event]:
        for change in self.account.store["change"].find("changed", changed_key(kind, record["id"])):
            yield Event(change["add_time"], change["id"], f"{kind}Change", "change", change)

    def _changes_of(self, kind: str, record: Record, changed_kind: str) -> Iterator[Event]:
        """Yield the changes of a record's own kind, or of the deals and persons that belong to it."""
        if kind == changed_kind:
            yield from self._own_changes(kind, record)
        elif self.account.store[changed_kind].is_indexed(_COLUMNS[kind]):
            for linked in self.account.store[changed_kind].find(_COLUMNS[kind], record["id"]):
                yield from self._own_changes(changed_kind, linked)

    def _linked(self, kind: str, record: Record, linked_kind: str, name: str) -> Iterator[Event]:
        for linked in self.account.store[linked_kind].find(_COLUMNS[kind], record["id"]):
            if not linked["is_deleted"]:
                yield Event(linked["add_time"], linked["id"], name, linked_kind, linked)

    def _activities(self, kind: str, record: Record, *, is_done: bool) -> Iterator[Event]:
        return (event for event in self._linked(kind, record, "activity", "activity") if event.record["done"] is is_done)

    def _deals(self, kind: str, record: Record) -> Iterator[Event]:
        return iter(()) if kind == "deal" else self._linked(kind, record, "deal", "deal")

    def _followers(self, kind: str, record: Record) -> Iterator[Event]:
        for follower in followers_of(self.account, kind, record["id"]):
            yield Event(follower["add_time"], follower["id"], f"{kind}Follower", "follower", follower)

    def _participants(self, kind: str, record: Record) -> Iterator[Event]:
        if kind == "deal":
            for participant in participants_of(self.account, record["id"]):
                yield Event(participant["add_time"], participant["id"], "participant", "participant", participant)

    def _comments(self, kind: str, record: Record) -> Iterator[Event]:
        for note in self._linked(kind, record, "note", "note"):
            for comment in self.account.store["comment"].find("note_id", note.record["id"]):
                if not comment["is_deleted"]:
                    yield Event(comment["add_time"], comment["id"], "comment", "comment", comment)

    # How it is shown

    def _render(self, event: Event, call: Call, related: Related) -> dict[str, Any]:
        record = event.record
        related.user(record.get("user_id") or record.get("owner_id"))
        match event.kind:
            case "change":
                data = self._change(record)
            case "note":
                data = self._notes.render(record, call.user)
            case "file":
                data = self._files.render(record, call)
            case "call_log":
                data = call_logs.render(record)
            case "activity" | "deal":
                data = self._views.render(event.kind, record)
            case "comment":
                data = {"uuid": record["uuid"], "content": record["content"], "object_id": str(record["note_id"]), "user_id": record["user_id"]}
            case _:
                data = {"id": record["id"], "user_id": record.get("user_id"), "person_id": record.get("person_id")}
        return {"object": event.object, "timestamp": v1_time(event.time), "data": data}

    def _change(self, change: Record) -> dict[str, Any]:
        formatted = {
            f"{side}_value_formatted": name
            for side in ("old", "new")
            if (name := self._views.name_of(_LINKED_FIELDS.get(change["field"], "user"), self._linked_id(change, side))) is not None
        }
        return {
            "id": change["id"],
            "item_id": int(change["changed"].partition("/")[2]),
            "user_id": change["user_id"],
            "field_key": change["field"],
            "old_value": _plain(change["old"]),
            "new_value": _plain(change["new"]),
            "is_bulk_update_flag": None,
            "log_time": v1_time(change["add_time"]),
            "change_source": change["source"],
            "change_source_user_agent": None,
            "additional_data": formatted or [],
        }

    @staticmethod
    def _linked_id(change: Record, side: str) -> int | None:
        value = change[side]
        return value if change["field"] in _LINKED_FIELDS and type(value) is int else None

    def _relate(self, kind: str, record: Record, related: Related) -> None:
        """Add the record itself and what it is linked to."""
        related.user(record["owner_id"])
        related.person(record["id"] if kind == "person" else record.get("person_id"))
        related.organization(record["id"] if kind == "organization" else record.get("org_id"))
        if kind == "deal":
            names = ("id", "title", "status", "value", "currency", "stage_id", "pipeline_id")
            related.objects["deal"] = {str(record["id"]): {name: record[name] for name in names}}


def _plain(value: Any) -> Any:
    """Return a value as timelines show it: numbers as numbers, the rest as in the change log."""
    return value if type(value) in (int, float) else text_of(value)


def routes(account: Account) -> list[Route]:
    """Return the timelines."""
    timelines = Timelines(account)
    return [Route("GET", f"/v1/{path}/{{id}}/flow", 1, 40, timelines.list_of(kind)) for kind, path in PATHS.items()]
