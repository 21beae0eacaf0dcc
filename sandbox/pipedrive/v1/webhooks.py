"""Registration of webhooks. Admins manage those of all users, others their own. Delivery is in `sandbox.pipedrive.webhooks.delivery`."""

from typing import Any
from urllib.parse import urlsplit

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result
from sandbox.pipedrive.gateway.errors import ApiError
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, integer_of, milliseconds
from sandbox.pipedrive.v1.users import COMPANY_ID
from sandbox.pipedrive.webhooks.events import ACTIONS, OBJECTS, YOUNGER_OBJECTS

PER_USER_MAX = 40
NAME_MAX = 255
URL_TEXT = "invalid or non-reachable URL"


class WebhookError(ApiError):
    """An answer in the form that only webhooks have: problems by the name of the parameter."""

    def __init__(self, status: int, name: str, text: str) -> None:
        super().__init__(status, text)
        self._name = name

    def body(self, version: int) -> dict[str, Any]:
        """Return the recorded body."""
        del version
        return {"status": "error", "success": False, "errors": {self._name: [self.text]}}


class ForbiddenError(ApiError):
    """403 in the form that only webhooks have."""

    def __init__(self) -> None:
        super().__init__(403, "Forbidden")

    def body(self, version: int) -> dict[str, Any]:
        """Return the recorded body."""
        del version
        return {"success": False, "message": self.text}


class WebhookRegistration:
    """`/webhooks`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the company's webhooks; it has no pages."""
        del call
        return _ok([self._render(webhook) for webhook in self.account.store["webhook"] if not webhook["is_deleted"]])

    def create(self, call: Call) -> Result:
        """Register a webhook. That the address answers is not tried (assumed)."""
        values = self._values(body_of(call), call.user)
        own = [item for item in self.account.store["webhook"] if item["user_id"] == values["user_id"] and not item["is_deleted"]]
        if len(own) >= PER_USER_MAX:
            raise WebhookError(422, "user_id", f"a user can have at most {PER_USER_MAX} webhooks")
        webhook = self.account.new_record("webhook", owner_id=call.user["id"], **values, remove_time=None, remove_reason=None)
        self.account.store.put("webhook", webhook)
        return _ok(self._render(webhook), 201)

    def delete(self, call: Call) -> Result:
        """Remove a webhook; what waits for it is dropped."""
        webhook = self.account.live("webhook", _path_id(call))
        if webhook is None:
            raise WebhookError(404, "id", "not found")
        if not call.user["is_admin"] and call.user["id"] not in {webhook["owner_id"], webhook["user_id"]}:
            raise ForbiddenError
        now = self.account.now()
        self.account.store.put("webhook", {**webhook, "is_deleted": True, "remove_time": now, "remove_reason": "Deleted by user", "update_time": now})
        return Result({"status": "ok", "success": True})

    def _values(self, body: dict[str, Any], caller: Record) -> dict[str, Any]:
        url = body.get("subscription_url")
        if not is_address(url):
            raise WebhookError(400, "subscription_url", URL_TEXT)
        for name, known in (("event_action", ACTIONS), ("event_object", (*OBJECTS, *YOUNGER_OBJECTS, "*"))):
            if type(body.get(name)) is not str or body[name] not in known:
                raise WebhookError(400, name, f"must be one of: {', '.join(known)}")
        if type(body.get("name")) is not str or not 0 < len(body["name"]) <= NAME_MAX:
            raise WebhookError(400, "name", f"must be a text of 1 to {NAME_MAX} characters")
        version = body.get("version", "2.0")
        if version not in ("1.0", "2.0"):
            raise WebhookError(400, "version", "must be one of: 1.0, 2.0")
        values = {name: body[name] for name in ("subscription_url", "event_action", "event_object", "name")} | {"version": version}
        for name in ("http_auth_user", "http_auth_password"):
            if body.get(name) is not None and type(body[name]) is not str:
                raise WebhookError(400, name, "must be a string")
            values[name] = body.get(name)
        return values | {"user_id": self._user(body, caller)}

    def _user(self, body: dict[str, Any], caller: Record) -> int:
        """Return whose permissions the webhook has: the caller's, or for an admin anyone's."""
        try:
            user_id = integer_of(body.get("user_id"), "user_id")
        except ApiError as error:
            raise WebhookError(400, "user_id", "must be an integer") from error
        if user_id is None or user_id == caller["id"]:
            return int(caller["id"])
        if not caller["is_admin"]:
            raise ForbiddenError
        if not self.account.exists("user", user_id):
            raise WebhookError(400, "user_id", "not found")
        return user_id

    def _render(self, webhook: Record) -> dict[str, Any]:
        time, status = self.account.last_deliveries.get(webhook["id"], (None, None))
        names = (
            "id", "owner_id", "user_id", "event_action", "event_object", "subscription_url", "version", "http_auth_user", "http_auth_password",
            "name", "remove_reason",
        )  # fmt: skip
        return {
            **{name: webhook[name] for name in names},
            "company_id": COMPANY_ID,
            "is_active": int(not webhook["is_deleted"]),
            "add_time": milliseconds(webhook["add_time"]),
            "remove_time": None if webhook["remove_time"] is None else milliseconds(webhook["remove_time"]),
            "type": "general",
            "last_delivery_time": None if time is None else milliseconds(time),
            "last_http_status": status,
            "admin_id": webhook["owner_id"],
        }


def is_address(url: Any) -> bool:
    """Whether a value is an http(s) address with a host other than Pipedrive's own (its own are refused as documented)."""
    if type(url) is not str or any(character.isspace() for character in url):
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host) and host != "pipedrive.com" and not str(host).endswith(".pipedrive.com")


def _path_id(call: Call) -> int | None:
    try:
        return call.id("Webhook")
    except ApiError:
        return None


def _ok(data: Any, status: int = 200) -> Result:
    return Result({"status": "ok", "success": True, "data": data}, status)


def routes(account: Account) -> list[Route]:
    """Return the operations on webhooks."""
    webhooks = WebhookRegistration(account)
    return [
        Route("GET", "/v1/webhooks", 1, 10, webhooks.list_all),
        Route("POST", "/v1/webhooks", 1, 10, webhooks.create),
        Route("DELETE", "/v1/webhooks/{id}", 1, 6, webhooks.delete),
    ]
