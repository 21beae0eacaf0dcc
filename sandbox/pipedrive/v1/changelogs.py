"""The change logs of deals, persons and organizations: what updates replaced, newest first, with a cursor."""

import base64
import binascii
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.changes import changed_key
from sandbox.pipedrive.account.clock import v1_time
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request, not_found
from sandbox.pipedrive.gateway.routes import Handler, Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import LIMIT_DEFAULT, LIMIT_MAX, integer_of
from sandbox.pipedrive.v2.resource import can_see

PATHS = {"deal": "deals", "person": "persons", "organization": "organizations"}


class ChangeLogs:
    """`/{deals,persons,organizations}/{id}/changelog`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_of(self, kind: str) -> Handler:
        """Return the handler of one kind."""

        def handler(call: Call) -> Result:
            record = find_visible(self.account, kind, call)
            limit = min(integer_of(call.query.get("limit"), "limit") or LIMIT_DEFAULT, LIMIT_MAX)
            below = _decode(call.query["cursor"]) if call.query.get("cursor") else None
            changes = self.account.store["change"].find("changed", changed_key(kind, record["id"]))[::-1]
            chosen = [change for change in changes if below is None or change["id"] < below]
            shown = chosen[:limit]
            cursor = _encode(shown[-1]["id"]) if len(chosen) > limit else None
            return success([_render(change) for change in shown], additional_data={"next_cursor": cursor})

        return handler


def find_visible(account: Account, kind: str, call: Call) -> Record:
    """Return the record a path names, deleted or not.

    Raises:
        ApiError: 404 when there is none, or the caller may not see it.
    """
    record = account.store[kind].get(call.id(kind.capitalize()))
    if record is None or not can_see(call.user, record):
        raise not_found(kind.capitalize())
    return record


def text_of(value: Any) -> str | None:
    """Return a value as the log shows it: texts only. Several e-mails, labels or options stand in one text (assumed)."""
    match value:
        case None:
            return None
        case bool():
            return str(int(value))
        case float() if value.is_integer():
            return str(int(value))
        case list():
            return ",".join(str(item["value"] if isinstance(item, dict) else item) for item in value)
        case str() if len(value) == 20 and value[10] == "T" and value[19] == "Z":
            return v1_time(value)
        case _:
            return str(value)


def _render(change: Record) -> dict[str, Any]:
    return {
        "field_key": change["field"],
        "old_value": text_of(change["old"]),
        "new_value": text_of(change["new"]),
        "actor_user_id": change["user_id"],
        "time": v1_time(change["add_time"]),
        "change_source": change["source"],
        "change_source_user_agent": None,
        "is_bulk_update_flag": False,
    }


def _encode(change_id: int) -> str:
    return base64.b64encode(f"id:{change_id}".encode()).decode()


def _decode(cursor: str) -> int:
    try:
        name, _, number = base64.b64decode(cursor, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name, number = "", ""
    if name != "id" or not number.isdigit():
        raise bad_request("cursor is not valid")
    return int(number)


def routes(account: Account) -> list[Route]:
    """Return the change logs."""
    logs = ChangeLogs(account)
    return [Route("GET", f"/v1/{path}/{{id}}/changelog", 1, 20, logs.list_of(kind)) for kind, path in PATHS.items()]
