"""Call logs, which only version 1 has. Each user sees their own; a recording can be added to each once."""

import hashlib
import re
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.sanitise import clean_html
from sandbox.pipedrive.account.schema import parse_time, parse_v1_time
from sandbox.pipedrive.gateway.call import Call, Result
from sandbox.pipedrive.gateway.errors import ApiError, bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, integer_of, milliseconds, paged
from sandbox.pipedrive.v1.files import read_form
from sandbox.pipedrive.v1.users import COMPANY_ID

OUTCOMES = ("connected", "no_answer", "left_message", "left_voicemail", "wrong_number", "busy")
LIMIT_MAX = 50
_LINKS = {"person_id": "person", "org_id": "organization", "deal_id": "deal"}
_TEXTS = ("subject", "from_phone_number", "note")
_SECONDS = re.compile(r"\d{1,9}")


class CallLogs:
    """`/callLogs`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the caller's call logs, the latest first (assumed)."""
        own = [log for log in self.account.store["call_log"] if log["user_id"] == call.user["id"] and not log["is_deleted"]]
        result = paged(call, reversed(own), render, (), LIMIT_MAX)
        result.body["data"] = result.body["data"] or []
        return result

    def get(self, call: Call) -> Result:
        """Answer a request for one call log."""
        return Result({"success": True, "data": render(self._find(call))})

    def create(self, call: Call) -> Result:
        """Add a call log. With `activity_id` that activity becomes a call that was made."""
        body = body_of(call)
        values = self._values(body, call.user)
        log = self.account.new_record("call_log", uuid=self.account.new_uuid().replace("-", ""), **values, recording=None)
        self.account.store.put("call_log", log)
        if log["activity_id"] is not None:
            self._turn_into_call(log)
        return Result({"success": True, "data": render(log)})

    def delete(self, call: Call) -> Result:
        """Delete a call log with its recording; the activity stays."""
        log = self._find(call)
        if log["user_id"] != call.user["id"] and not call.user["is_admin"]:
            raise ApiError(403, "You do not have permissions to do this.")
        self.account.store.put("call_log", {**log, "recording": None, "is_deleted": True, "update_time": self.account.now()})
        return Result({"success": True})

    async def add_recording(self, call: Call) -> Result:
        """Keep the sound of a call; a second recording is refused (409 is documented, the text assumed)."""
        self._find(call)
        if not call.request.header(b"content-type").startswith("multipart/form-data"):
            raise bad_request("File must be given.")
        _, name, content = await read_form(call.request)
        if not name:
            raise bad_request("File must be given.")
        log = self._find(call)
        if log["recording"] is not None:
            raise ApiError(409, "The call log has a recording already.")
        digest = hashlib.sha256(content).hexdigest()
        self.account.store.put_blob(digest, content)
        recording = {"name": name, "file_size": len(content), "digest": digest}
        self.account.store.put("call_log", {**log, "recording": recording, "update_time": self.account.now()})
        return Result({"success": True})

    def _find(self, call: Call) -> Record:
        for log in self.account.store["call_log"].find("uuid", call.params[0]):
            if not log["is_deleted"]:
                return log
        raise not_found("Call log")

    def _values(self, body: dict[str, Any], caller: Record) -> dict[str, Any]:
        for name in ("to_phone_number", "outcome", "start_time", "end_time"):
            if body.get(name) in (None, ""):
                raise bad_request(f"{name} is required")
        if body["outcome"] not in OUTCOMES:
            raise bad_request(f"outcome must be one of [{', '.join(OUTCOMES)}]")
        values = {"outcome": body["outcome"], "to_phone_number": _text(body, "to_phone_number")}
        values |= {name: _time(body[name], name) for name in ("start_time", "end_time")}
        values |= {name: _text(body, name) for name in _TEXTS}
        if values["note"] is not None:
            values["note"] = clean_html(values["note"])
        values["duration"] = _duration(body.get("duration"))
        values["user_id"] = self._owner(integer_of(body.get("user_id"), "user_id"), caller)
        values |= self._links(body)
        values["activity_id"] = self._live("activity", body, "activity_id")
        return values

    def _owner(self, user_id: int | None, caller: Record) -> int:
        if user_id is None or user_id == caller["id"]:
            return int(caller["id"])
        if not caller["is_admin"]:
            raise ApiError(403, "You do not have permissions to do this.")
        if not self.account.exists("user", user_id):
            raise bad_request(f"User {user_id} not found")
        return user_id

    def _links(self, body: dict[str, Any]) -> dict[str, Any]:
        """Check links. A call belongs to a deal or to a lead, not to both (documented)."""
        links: dict[str, Any] = {name: self._live(kind, body, name) for name, kind in _LINKS.items()}
        lead_id = body.get("lead_id") or None
        if lead_id is not None and links["deal_id"] is not None:
            raise bad_request("A call log can be associated with either a deal or a lead, not with both.")
        if lead_id is not None and all(lead["is_deleted"] for lead in self.account.store["lead"].find("uuid", str(lead_id).lower())):
            raise bad_request(f"Lead {lead_id} not found")
        return {**links, "lead_id": None if lead_id is None else str(lead_id).lower()}

    def _live(self, kind: str, body: dict[str, Any], name: str) -> int | None:
        record_id = integer_of(body.get(name), name)
        if record_id is not None and self.account.live(kind, record_id) is None:
            raise bad_request(f"{kind.capitalize()} {record_id} not found")
        return record_id

    def _turn_into_call(self, log: Record) -> None:
        """Make the activity a call that is done (that it is marked as done is assumed)."""
        activity = self.account.store["activity"].records[log["activity_id"]]
        now = self.account.now()
        changed = {**activity, "type": "call", "done": True, "marked_as_done_time": activity["marked_as_done_time"] or now, "update_time": now}
        self.account.store.put("activity", changed)


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or type(value) is str:
        return value or None
    raise bad_request(f"{name} must be a string")


def _time(value: Any, name: str) -> str:
    """Read a time; the documents name one form and show the other, so both are taken."""
    stored = parse_v1_time(value) or (parse_time(re.sub(r"\.\d+(?=Z|[+-])", "", value)) if type(value) is str else None)
    if stored is None:
        raise bad_request(f"{name} must be in the format YYYY-MM-DD HH:MM:SS")
    return stored


def _duration(value: Any) -> str:
    """Read a duration in seconds, which is a text; none is 0 (assumed)."""
    if value is None or value == "":
        return "0"
    if type(value) in (int, str) and _SECONDS.fullmatch(str(value)):
        return str(value)
    raise bad_request("duration must be a number of seconds")


def render(log: Record) -> dict[str, Any]:
    """Return a call log as the API shows it: without the keys that have no value, as in the official examples."""
    shown = {
        "id": log["uuid"],
        "activity_id": log["activity_id"],
        "person_id": log["person_id"],
        "org_id": log["org_id"],
        "deal_id": log["deal_id"],
        "lead_id": log["lead_id"],
        "subject": log["subject"],
        "duration": log["duration"],
        "outcome": log["outcome"],
        "from_phone_number": log["from_phone_number"],
        "to_phone_number": log["to_phone_number"],
        "has_recording": log["recording"] is not None,
        "start_time": milliseconds(log["start_time"]),
        "end_time": milliseconds(log["end_time"]),
        "user_id": log["user_id"],
        "company_id": COMPANY_ID,
        "note": log["note"],
    }
    return {name: value for name, value in shown.items() if value is not None}


def routes(account: Account) -> list[Route]:
    """Return the operations on call logs."""
    logs = CallLogs(account)
    return [
        Route("GET", "/v1/callLogs", 1, 20, logs.list_all),
        Route("POST", "/v1/callLogs", 1, 10, logs.create),
        Route("GET", "/v1/callLogs/{id}", 1, 2, logs.get),
        Route("DELETE", "/v1/callLogs/{id}", 1, 6, logs.delete),
        Route("POST", "/v1/callLogs/{id}/recordings", 1, 10, logs.add_recording),
    ]
