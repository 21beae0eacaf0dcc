"""What happened with a record and what is planned: activities, notes, files, calls and changes."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import nh3
from markupsafe import Markup

from sandbox.pipedrive.pages import look, values
from sandbox.pipedrive.pages.page import Query, integer, link
from sandbox.pipedrive.pages.reader import NO_DATE, Reader, Ref, UserView
from sandbox.pipedrive.store.store import Record

ENTRIES = 100
_TAGS = nh3.ALLOWED_TAGS - {"img", "area", "map"}
"""Pictures of other sites are not fetched by a page that shows an account."""
_MIDNIGHT = "00:00:00"
_ICONS = frozenset({"call", "meeting", "task", "deadline", "email", "lunch"})
_INLINE = frozenset({"png", "jpg", "jpeg", "gif", "webp"})
_VERSION_2 = {"user_id": "owner_id", "label": "label_ids", "email": "email", "phone": "phone"}
_NAMES = {"acv": "Annual contract value", "arr": "Annual recurring revenue", "mrr": "Monthly recurring revenue"}
_PINS = {"deal_id": "deal", "org_id": "organization", "person_id": "person", "lead_id": "lead"}


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a note."""

    who: UserView | None
    when: str
    html: Markup


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened or is planned."""

    kind: str
    """`activity`, `note`, `file`, `call` or `change`."""
    icon: str
    at: str
    """Its place in the order: a time, or a date for activities without one."""
    title: str
    when: str
    who: UserView | None = None
    href: str = ""
    html: Markup | None = None
    facts: tuple[str, ...] = ()
    places: tuple[Ref, ...] = ()
    comments: tuple[Comment, ...] = ()
    picture: str = ""
    state: str = ""
    """For planned activities: `overdue`, `today` or `planned`."""
    is_pinned: bool = False
    changes: tuple[tuple[str, str, str], ...] = ()
    """Field, value before and value after, of what one user changed at one time."""


_Found = tuple[bool, str, int, str, Record]
"""What a past entry is sorted by (pinned, time, id), its kind and record."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Planned and past entries; the past in pages."""

    planned: list[Entry]
    past: list[Entry]
    total: int
    """All past entries."""
    first: int
    """Position of the first one shown, from 1."""
    last: int
    newer: str
    older: str


def timeline(reader: Reader, kind: str, column: str, record: Record, query: Query) -> Timeline:
    """Return the timeline of a deal, an organization, a person or a lead."""
    value = record["uuid"] if kind == "lead" else record["id"]
    activities = reader.live("activity", column, value)
    planned = [activity_entry(reader, activity, kind) for activity in activities if not activity["done"]]
    planned.sort(key=lambda entry: entry.at)
    past = _Past(reader, kind, column)
    found: list[_Found] = []
    found += [(False, activity_time(item), item["id"], "activity", item) for item in activities if item["done"]]
    found += [(_is_pinned(item, column), item["add_time"], item["id"], "note", item) for item in reader.live("note", column, value)]
    found += [(False, item["add_time"], item["id"], "file", item) for item in reader.live("file", column, value)]
    found += [(False, item.get("start_time") or item["add_time"], item["id"], "call", item) for item in reader.live("call_log", column, value)]
    if kind != "lead":
        found += [(False, item["add_time"], item["id"], "change", item) for item in reader.store["change"].find("changed", f"{kind}/{value}")]
    found.sort(key=lambda item: (item[0], item[1], item[3], item[2]), reverse=True)
    start = min(integer(query, "from") or 0, max(0, len(found) - 1)) // ENTRIES * ENTRIES
    path = f"/{kind}/{record['id']}"
    return Timeline(
        planned,
        past.entries(found[start : start + ENTRIES]),
        len(found),
        start + 1,
        min(start + ENTRIES, len(found)),
        link(path, **{"from": start - ENTRIES or None}) + "#history" if start else "",
        link(path, **{"from": start + ENTRIES}) + "#history" if start + ENTRIES < len(found) else "",
    )


def _together(item: _Found) -> tuple[str, str, int]:
    """Changes that one user made at one time belong together, everything else stands alone."""
    _, at, record_id, what, record = item
    return (what, at, record.get("user_id") or 0) if what == "change" else (what, at, record_id)


class _Past:
    """Makes entries of the records that hang on one."""

    def __init__(self, reader: Reader, kind: str, column: str) -> None:
        self._reader = reader
        self._kind = kind
        self._column = column

    def entries(self, found: list[_Found]) -> list[Entry]:
        """Return entries for a stretch of the timeline."""
        shown: list[Entry] = []
        for (what, _, _), group in groupby(found, key=_together):
            records = [item[4] for item in group]
            shown += [self._changes(records)] if what == "change" else [self._entry(what, record) for record in records]
        return [entry for entry in shown if entry.kind != "change" or entry.changes]

    def _entry(self, what: str, record: Record) -> Entry:
        """Return the entry of a record."""
        match what:
            case "activity":
                return activity_entry(self._reader, record, self._kind)
            case "note":
                return self._note(record)
            case "file":
                return file_entry(self._reader, record, self._kind)
            case _:
                return self._call(record)

    def _note(self, note: Record) -> Entry:
        reader = self._reader
        comments = [
            Comment(reader.user(item.get("user_id")), reader.moment(item["add_time"]), safe_html(item.get("content")))
            for item in reader.live("comment", "note_id", note["id"])
        ]
        return Entry(
            "note", "note", note["add_time"], "Note", reader.moment(note["add_time"]), reader.user(note["user_id"]), html=safe_html(note["content"]),
            places=tuple(reader.places(note, self._kind)), comments=tuple(comments), is_pinned=_is_pinned(note, self._column),
        )  # fmt: skip

    def _call(self, call: Record) -> Entry:
        reader, at = self._reader, call.get("start_time") or call["add_time"]
        numbers = " \u2192 ".join(filter(None, (call.get("from_phone_number"), call.get("to_phone_number"))))
        facts = [str(call.get("outcome") or "").replace("_", " ").capitalize(), numbers, _seconds(call.get("duration"))]
        html = safe_html(call["note"]) if call.get("note") else None
        title = call.get("subject") or "Call"
        return Entry("call", "call", at, title, reader.moment(at), reader.user(call.get("user_id")), html=html, facts=tuple(filter(None, facts)))

    def _changes(self, changes: list[Record]) -> Entry:
        """Return what one user changed at one time as one entry; what was changed back right away is left out. The latest comes first."""
        reader, change = self._reader, changes[0]
        newest: dict[str, Record] = {}
        oldest: dict[str, Record] = {}
        for item in changes:
            newest.setdefault(item["field"], item)
            oldest[item["field"]] = item
        lasting = [{**item, "old": oldest[name]["old"]} for name, item in newest.items() if oldest[name]["old"] != item["new"]]
        shown = tuple(describe_change(reader, self._kind, item) for item in reversed(lasting))
        when, who = reader.moment(change["add_time"]), reader.user(change.get("user_id"))
        return Entry("change", "change", change["add_time"], "Changed", when, who, changes=shown)


def activity_entry(reader: Reader, activity: Record, leave_out: str = "") -> Entry:
    """Return the entry of an activity; links to records of one kind are left out."""
    today = reader.today().isoformat()
    due = activity["due_date"] or ""
    at = activity_time(activity)
    when = reader.moment(at) if activity["due_time"] and due else look.day(due) or "no date"
    kind = next((item for item in reader.store["activity_type"] if item["key_string"] == activity["type"]), None)
    priority = reader.account.fields.labels("activity", "priority").get(activity["priority"])
    facts = [
        kind["name"] if kind is not None else activity["type"],
        look.duration(activity["duration"]),
        f"{priority['label']} priority" if priority is not None else "",
        values.address(activity["location"]),
        activity["public_description"] or "",
    ]
    state = "" if activity["done"] else "planned" if not due or due > today else "today" if due == today else "overdue"
    icon = activity["type"] if activity["type"] in _ICONS else "task"
    html = safe_html(activity["note"]) if activity["note"] else None
    return Entry(
        "activity", icon, at, activity["subject"] or "Activity", when, reader.user(activity["owner_id"]), html=html,
        facts=tuple(filter(None, facts)), places=tuple(reader.places(activity, leave_out)), state=state,
    )  # fmt: skip


def activity_time(activity: Record) -> str:
    """Return when an activity is due, in UTC like every stored time; without a time of day the whole day counts."""
    time = activity["due_time"] or _MIDNIGHT
    return f"{activity['due_date'] or NO_DATE}T{time if len(time) > len('00:00') else time + ':00'}Z"


def file_entry(reader: Reader, file: Record, leave_out: str = "") -> Entry:
    """Return the entry of a file."""
    ending = file["name"].rpartition(".")[2].lower()
    href = f"/file/{file['id']}" if file.get("digest") else values.safe_href(str(file.get("url") or file.get("remote_url") or ""))
    facts = (
        (look.size(file.get("file_size")), file.get("description") or "") if file.get("digest") else ("remote file", file.get("description") or "")
    )
    return Entry(
        "file", "file", file["add_time"], file["name"], reader.moment(file["add_time"]), reader.user(file["user_id"]), href,
        facts=tuple(filter(None, facts)), places=tuple(reader.places(file, leave_out)),
        picture=href if file.get("digest") and ending in _INLINE else "",
    )  # fmt: skip


def safe_html(text: str | None) -> Markup:
    """Return HTML of the account without anything active or foreign in it, whatever was stored."""
    return Markup(nh3.clean(text or "", tags=_TAGS, link_rel="noopener noreferrer nofollow"))  # noqa: S704 - cleaned right here


def describe_change(reader: Reader, kind: str, change: Record) -> tuple[str, str, str]:
    """Return the name of the field that changed, its value before and its value after."""
    fields = reader.account.fields.by_code[kind]
    code: str = _VERSION_2.get(change["field"]) or change["field"]
    definition = fields.get(code)
    if definition is None:
        base, _, part = code.partition("_")
        name = (
            f"{fields[base]['field_name']} ({part.replace('_', ' ')})" if base in fields else _NAMES.get(code) or code.replace("_", " ").capitalize()
        )
        return name, _text(change["old"]), _text(change["new"])
    return definition["field_name"], _value(reader, definition, change["old"], kind), _value(reader, definition, change["new"], kind)


def _value(reader: Reader, definition: Record, value: Any, kind: str) -> str:
    if isinstance(value, (int, float)) and definition["field_type"] in {"monetary", "daterange", "time", "timerange", "address"}:
        return look.number(value)
    record: Record = {"title": ""} if kind == "deal" else {"emails": []} if kind == "person" else {}
    parts = values.parts_of(reader, definition, value, record | {definition["field_code"]: value, "label_ids": value})
    return ", ".join(part.text for part in parts) or _text(None)


def _text(value: Any) -> str:
    if value in (None, "", [], {}):
        return "empty"
    return look.number(value) if type(value) in (int, float) else str(value)


def _is_pinned(note: Record, column: str) -> bool:
    return bool((note.get("pinned") or {}).get(_PINS[column]))


def _seconds(value: Any) -> str:
    text = str(value or "")
    if not text.isdigit():
        return ""
    minutes, seconds = divmod(int(text), 60)
    return f"{minutes}{look.NO_BREAK}min {seconds}{look.NO_BREAK}s" if minutes else f"{seconds}{look.NO_BREAK}s"
