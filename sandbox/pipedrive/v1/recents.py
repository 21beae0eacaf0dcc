"""Recents: whatever changed since a time, of many kinds, oldest change first. Deleted records are among them, with their flag.

A time more than a month ago counts as a month ago (that the list reaches no further is documented, how it tells is assumed).
"""

import heapq
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import v1_time
from sandbox.pipedrive.account.schema import parse_v1_time
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1 import activity_types, filters
from sandbox.pipedrive.v1.common import LIMIT_MAX, integer_of, paged
from sandbox.pipedrive.v1.files import Files
from sandbox.pipedrive.v1.notes import Notes
from sandbox.pipedrive.v1.rendering import Rendering
from sandbox.pipedrive.v1.users import Users
from sandbox.pipedrive.v2.resource import can_see

REACH = timedelta(days=31)
"""How far back the list goes."""
KINDS = {
    "activity": "activity",
    "activityType": "activity_type",
    "deal": "deal",
    "file": "file",
    "filter": "filter",
    "note": "note",
    "person": "person",
    "organization": "organization",
    "pipeline": "pipeline",
    "product": "product",
    "stage": "stage",
    "user": "user",
}
"""Kinds of record by the names of items."""

Entry = dict[str, Any]


class Recents:
    """`/recents`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        notes, files, users = Notes(account), Files(account), Users(account)
        self._views = Rendering(account)
        self._render: dict[str, Callable[[Record, Call], dict[str, Any]]] = {
            "activity_type": lambda record, _: activity_types.render(record),
            "filter": lambda record, _: filters.render(record),
            "file": files.render,
            "note": lambda record, call: notes.render(record, call.user),
            "user": lambda record, call: users.render(record, call.user),
        }

    def list_all(self, call: Call) -> Result:
        """Answer what changed since a time."""
        since = self._since(call.query.get("since_timestamp"))
        end = (integer_of(call.query.get("start"), "start") or 0) + LIMIT_MAX + 1
        changed = heapq.nsmallest(end, self._changed(call, _items(call.query.get("items", "")), since), key=lambda entry: entry["update_time"])
        result = paged(call, changed, lambda entry: entry, ())
        shown = result.body["data"] or []
        extra = {"since_timestamp": v1_time(since), "last_timestamp_on_page": v1_time(shown[-1]["update_time"] if shown else None)}
        data = [self._entry(entry["item"], entry["record"], call) for entry in shown]
        return success(data or None, additional_data=extra | result.body["additional_data"])

    def _since(self, text: str | None) -> str:
        since = parse_v1_time(text)
        if since is None:
            raise bad_request("since_timestamp must be given in the format YYYY-MM-DD HH:MM:SS")
        earliest = datetime.fromtimestamp(self.account.clock.epoch(), UTC) - REACH
        return max(since, earliest.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def _changed(self, call: Call, items: list[str], since: str) -> Iterator[Entry]:
        """Yield what is visible to the caller and changed at or after a time."""
        for item in items:
            for record in self.account.store[KINDS[item]]:
                if record["update_time"] >= since and can_see(call.user, record):
                    yield {"item": item, "record": record, "update_time": record["update_time"]}

    def _entry(self, item: str, record: Record, call: Call) -> Entry:
        kind = KINDS[item]
        render = self._render.get(kind)
        return {"item": item, "id": record["id"], "data": render(record, call) if render is not None else self._views.render(kind, record)}


def _items(text: str) -> list[str]:
    """Read the items asked for; all when there are none."""
    wanted = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for item in wanted:
        if item not in KINDS:
            raise bad_request(f"items must be among: {', '.join(KINDS)}")
    return wanted or list(KINDS)


def routes(account: Account) -> list[Route]:
    """Return the recents."""
    return [Route("GET", "/v1/recents", 1, 20, Recents(account).list_all)]
