"""Notes, which only version 1 has. Their HTML is sanitised and their author and time can be given."""

from collections.abc import Callable
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.sanitise import clean_html
from sandbox.pipedrive.account.schema import parse_time, parse_v1_time
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, integer_of, lead_link, paged, times

Condition = Callable[[Record], bool]

CONTENT_MAX = 100_000
_PARENTS = {"deal_id": "deal", "person_id": "person", "org_id": "organization"}
_LINKS = (*_PARENTS, "lead_id")
_PINS = ("lead", "deal", "organization", "person", "project", "task")
_SORTS = ("id", "user_id", "deal_id", "person_id", "org_id", "content", "add_time", "update_time")


class Notes:
    """`/notes`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the list of notes."""
        wanted: dict[str, Any] = {name: integer_of(call.query[name], name) for name in ("user_id", *_PARENTS) if name in call.query}
        table = self.account.store["note"]
        if "lead_id" in call.query:
            wanted["lead_id"] = call.query["lead_id"].lower()
        indexed = next((name for name in wanted if name in _LINKS), None)
        records = list(table) if indexed is None else table.find(indexed, wanted[indexed])
        chosen = [note for note in records if not note["is_deleted"]]
        for condition in _conditions(call.query, wanted):
            chosen = [note for note in chosen if condition(note)]
        return paged(call, chosen, lambda note: self.render(note, call.user), _SORTS)

    def get(self, call: Call) -> Result:
        """Answer a request for one note."""
        return success(self.render(self._find(call), call.user))

    def create(self, call: Call) -> Result:
        """Create a note."""
        body = body_of(call)
        values = self._values(body, call.user)
        if "content" not in values:
            raise bad_request("Content must be given.")
        if not any(values.get(name) for name in _LINKS):
            raise bad_request("Note must be associated with at least one organization, person, deal, lead or project.")
        note = self.account.new_record(
            "note",
            content=values["content"],
            user_id=values.get("user_id") or call.user["id"],
            last_update_user_id=None,
            lead_id=values.get("lead_id"),
            deal_id=values.get("deal_id"),
            person_id=values.get("person_id"),
            org_id=values.get("org_id"),
            pinned=dict.fromkeys(_PINS, False) | values["pinned"],
            add_time=values.get("add_time"),
        )
        self.account.store.put("note", note)
        return success(self.render(note, call.user))

    def update(self, call: Call) -> Result:
        """Change a note; its time too."""
        before = self._find(call)
        values = self._values(body_of(call), call.user)
        pinned = before["pinned"] | values.pop("pinned")
        note = {**before, **values, "pinned": pinned, "last_update_user_id": call.user["id"], "update_time": self.account.now()}
        if not any(note.get(name) for name in _LINKS):
            raise bad_request("Note must be associated with at least one organization, person, deal, lead or project.")
        self.account.store.put("note", note)
        return success(self.render(note, call.user))

    def delete(self, call: Call) -> Result:
        """Delete a note."""
        note = self._find(call)
        self.account.store.put("note", {**note, "is_deleted": True, "update_time": self.account.now()})
        return success(data=True)

    def _find(self, call: Call) -> Record:
        note = self.account.store["note"].get(call.id("Note"))
        if note is None or (note["is_deleted"] and self.account.options.deleted_get == "404"):
            raise not_found("Note")
        return note

    def _values(self, body: dict[str, Any], caller: Record) -> dict[str, Any]:
        """Check what a body gives; keys that are absent stay absent."""
        values: dict[str, Any] = {"pinned": {}}
        if "content" in body:
            values["content"] = _content(body["content"])
        for name, kind in _PARENTS.items():
            if name in body:
                parent = integer_of(body[name], name)
                if parent is not None and self.account.live(kind, parent) is None:
                    raise bad_request(f"{kind.capitalize()} {parent} not found")
                values[name] = parent
        if "lead_id" in body:
            values["lead_id"] = lead_link(self.account, body["lead_id"])
        for name in ("project_id", "task_id"):
            if body.get(name) not in (None, ""):
                raise bad_request(f"{name.removesuffix('_id').capitalize()} {body[name]} not found")
        if "user_id" in body:
            values["user_id"] = self._author(integer_of(body["user_id"], "user_id"), caller)
        if body.get("add_time") is not None:
            values["add_time"] = parse_v1_time(body["add_time"])
            if values["add_time"] is None:
                raise bad_request("add_time must be in the format YYYY-MM-DD HH:MM:SS")
        for pin in _PINS:
            flag = body.get(f"pinned_to_{pin}_flag")
            if flag is None:
                continue
            if flag not in (0, 1, "0", "1"):
                raise bad_request(f"pinned_to_{pin}_flag must be 0 or 1")
            values["pinned"][pin] = flag in (1, "1")
        return values

    def _author(self, user_id: int | None, caller: Record) -> int | None:
        if user_id is None or user_id == caller["id"]:
            return user_id
        if not caller["is_admin"]:
            raise ApiError(403, "Only an admin can set the author of a note.")
        if self.account.store["user"].get(user_id) is None:
            raise bad_request(f"User {user_id} not found")
        return user_id

    def render(self, note: Record, caller: Record) -> dict[str, Any]:
        """Return a note as version 1 shows it to a user."""
        store = self.account.store
        deal, person = store["deal"].get(note["deal_id"] or 0), store["person"].get(note["person_id"] or 0)
        organization, user = store["organization"].get(note["org_id"] or 0), store["user"].get(note["user_id"])
        return {
            "id": note["id"],
            "active_flag": not note["is_deleted"],
            "content": note["content"],
            "lead_id": note.get("lead_id"),
            "deal_id": note["deal_id"],
            "person_id": note["person_id"],
            "org_id": note["org_id"],
            "project_id": None,
            "task_id": None,
            "user_id": note["user_id"],
            "last_update_user_id": note["last_update_user_id"],
            **times(note),
            **{f"pinned_to_{pin}_flag": note["pinned"][pin] for pin in _PINS},
            "deal": {"title": deal["title"]} if deal is not None else None,
            "organization": {"name": organization["name"]} if organization is not None else None,
            "person": {"name": person["name"]} if person is not None else None,
            "project": None,
            "user": {"email": user["email"], "icon_url": None, "is_you": user["id"] == caller["id"], "name": user["name"]}
            if user is not None
            else None,
        }


def _conditions(query: dict[str, str], wanted: dict[str, Any]) -> list[Condition]:
    """Return what a note must fulfil to be in a list."""
    conditions: list[Condition] = [lambda note: all(note.get(name) == value for name, value in wanted.items())] if wanted else []
    if (since := query.get("updated_since")) is not None:
        moment = parse_time(since)
        if moment is None:
            raise bad_request("updated_since is not a valid datetime")
        conditions.append(lambda note: note["update_time"] >= moment)
    if (start := query.get("start_date")) is not None:
        conditions.append(lambda note: note["add_time"][:10] >= start)
    if (end := query.get("end_date")) is not None:
        conditions.append(lambda note: note["add_time"][:10] <= end)
    pins = {pin: query[f"pinned_to_{pin}_flag"] == "1" for pin in _PINS if f"pinned_to_{pin}_flag" in query}
    if pins:
        conditions.append(lambda note: all(note["pinned"][pin] == flag for pin, flag in pins.items()))
    return conditions


def _content(value: Any) -> str:
    if type(value) is not str or not value.strip():
        raise bad_request("Content must be given.")
    if len(value) > CONTENT_MAX:
        raise bad_request(f"Note content is too long. It should have {CONTENT_MAX} characters or less.")
    return clean_html(value)


def routes(account: Account) -> list[Route]:
    """Return the operations on notes."""
    notes = Notes(account)
    return [
        Route("GET", "/v1/notes", 1, 20, notes.list_all),
        Route("POST", "/v1/notes", 1, 10, notes.create),
        Route("GET", "/v1/notes/{id}", 1, 2, notes.get),
        Route("PUT", "/v1/notes/{id}", 1, 10, notes.update),
        Route("DELETE", "/v1/notes/{id}", 1, 6, notes.delete),
    ]
