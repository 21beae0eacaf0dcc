"""Activity types, which only version 1 has."""

import re
import unicodedata
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request, count_cap, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, integer_of, times

ICONS = frozenset({
    "task", "email", "meeting", "deadline", "call", "lunch", "calendar", "downarrow", "document", "smartphone", "camera", "scissors", "cogs",
    "bubble",    "uparrow", "checkbox", "signpost", "shuffle", "addressbook", "linegraph", "picture", "car", "world", "search", "clip", "sound",
    "brush", "key",    "padlock", "pricetag", "suitcase", "finish", "plane", "loop", "wifi", "truck", "cart", "bulb", "bell", "presentation",
})  # fmt: skip
_COLOR = re.compile(r"[0-9a-fA-F]{6}")


class ActivityTypes:
    """`/activityTypes`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the list of types, inactive ones included (assumed); it has no pages."""
        del call
        types = sorted(self.account.store["activity_type"], key=lambda kind: (kind["order_nr"], kind["id"]))
        return success([render(kind) for kind in types] or None)

    def create(self, call: Call) -> Result:
        """Create a type; its key is made of its name once and for all."""
        body = body_of(call)
        values = _values(body)
        if "name" not in values:
            raise bad_request("Name must be given.")
        if "icon_key" not in values:
            raise bad_request("Icon key must be given.")
        table = self.account.store["activity_type"]
        if sum(kind["active_flag"] for kind in table) >= self.account.options.activity_types_max:
            raise count_cap("activity type")
        kind = self.account.new_record(
            "activity_type",
            order_nr=max((kind["order_nr"] for kind in table), default=0) + 1,
            name=values["name"],
            key_string=self._key(values["name"]),
            icon_key=values["icon_key"],
            active_flag=True,
            color=values.get("color", "FFFFFF"),
            is_custom_flag=True,
        )
        self.account.store.put("activity_type", kind)
        return success(render(kind))

    def update(self, call: Call) -> Result:
        """Change a type; its key stays."""
        kind = self._find(call)
        changed = {**kind, **_values(body_of(call)), "update_time": self.account.now()}
        self.account.store.put("activity_type", changed)
        return success(render(changed))

    def delete(self, call: Call) -> Result:
        """Switch a type off."""
        kind = self._find(call)
        changed = {**kind, "active_flag": False, "update_time": self.account.now()}
        self.account.store.put("activity_type", changed)
        return success(render(changed))

    def _find(self, call: Call) -> Record:
        kind = self.account.store["activity_type"].get(call.id("Activity type"))
        if kind is None or not kind["active_flag"]:
            raise not_found("Activity type")
        return kind

    def _key(self, name: str) -> str:
        """Make a key: lower case, other characters to underscores, a number on a clash (accents and clashes are assumed)."""
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        stem = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "type"
        taken = {kind["key_string"] for kind in self.account.store["activity_type"]}
        key, number = stem, 1
        while key in taken:
            number += 1
            key = f"{stem}_{number}"
        return key


def _values(body: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "name" in body:
        if type(body["name"]) is not str or not body["name"].strip():
            raise bad_request("Name must be given.")
        values["name"] = body["name"]
    if "icon_key" in body:
        if type(body["icon_key"]) is not str or body["icon_key"] not in ICONS:
            raise bad_request(f"Icon key '{body['icon_key']}' is not known")
        values["icon_key"] = body["icon_key"]
    if body.get("color") is not None:
        if type(body["color"]) is not str or not _COLOR.fullmatch(body["color"]):
            raise bad_request("Color must be given as six hexadecimal digits")
        values["color"] = body["color"]
    if body.get("order_nr") is not None:
        values["order_nr"] = integer_of(body["order_nr"], "order_nr")
    return values


def render(kind: Record) -> dict[str, Any]:
    """Return an activity type as version 1 shows it."""
    names = ("id", "order_nr", "name", "key_string", "icon_key", "active_flag", "color", "is_custom_flag")
    return {name: kind[name] for name in names} | times(kind)


def routes(account: Account) -> list[Route]:
    """Return the operations on activity types."""
    types = ActivityTypes(account)
    return [
        Route("GET", "/v1/activityTypes", 1, 20, types.list_all),
        Route("POST", "/v1/activityTypes", 1, 10, types.create),
        Route("PUT", "/v1/activityTypes/{id}", 1, 10, types.update),
        Route("DELETE", "/v1/activityTypes/{id}", 1, 6, types.delete),
    ]
