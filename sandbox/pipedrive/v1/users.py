"""Users, the caller, and currencies in version 1. Users are given at start; the API cannot make them here."""

from typing import Any

from sandbox.pipedrive.account import Account
from sandbox.pipedrive.call import Call, Result, success
from sandbox.pipedrive.clock import v1_time
from sandbox.pipedrive.currencies import CURRENCIES
from sandbox.pipedrive.errors import ApiError, bad_request
from sandbox.pipedrive.routes import Route
from sandbox.pipedrive.store import Record

COMPANY_ID = 7_770_001
_PERMISSION_SET = "00000000-0000-4000-8000-00000000000"


class Users:
    """`/users`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the list of users; it has no pages."""
        return success([self.render(user, call.user) for user in self.account.store["user"]])

    def get(self, call: Call) -> Result:
        """Answer a request for one user."""
        user = self.account.store["user"].get(call.id("User"))
        if user is None:
            raise ApiError(404, "User not found or not accessible.")
        return success(self.render(user, call.user))

    def me(self, call: Call) -> Result:
        """Answer who the caller is, and of which company."""
        company = self.account.store.meta["company"]
        return success(self.render(call.user, call.user) | company | {"language": {"language_code": "en", "country_code": "US"}})

    def find(self, call: Call) -> Result:
        """Find users by a part of their name or e-mail."""
        term = call.query.get("term", "").casefold()
        if not term:
            raise bad_request("Search term must be given.")
        column = "email" if call.query.get("search_by_email") == "1" else "name"
        found = [self.render(user, call.user) for user in self.account.store["user"] if term in user[column].casefold()]
        return success(found or None)

    def render(self, user: Record, caller: Record) -> dict[str, Any]:
        """Return a user as version 1 shows it to another."""
        options = self.account.options
        apps = ("sales", "global", "account_settings") if user["is_admin"] else ("sales", "global")
        return {
            "id": user["id"],
            "name": user["name"],
            "default_currency": options.currency,
            "locale": "en_US",
            "lang": 1,
            "email": user["email"],
            "phone": None,
            "activated": True,
            "last_login": v1_time(user["add_time"]),
            "created": v1_time(user["add_time"]),
            "modified": v1_time(user["update_time"]),
            "has_created_company": user["id"] == 1,
            "access": [{"app": app, "admin": user["is_admin"], "permission_set_id": f"{_PERMISSION_SET}{index}"} for index, app in enumerate(apps)],
            "active_flag": user["active_flag"],
            "timezone_name": options.timezone,
            "timezone_offset": self.account.clock.offset_text(options.timezone),
            "role_id": 1,
            "icon_url": None,
            "is_you": user["id"] == caller["id"],
            "is_admin": int(user["is_admin"]),
            "is_deleted": False,
        }


def currencies(call: Call) -> Result:
    """Answer the list of currencies."""
    term = call.query.get("term", "").casefold()
    shown = [
        {"id": index, "code": code, "name": name, "decimal_points": digits, "symbol": symbol, "active_flag": True, "is_custom_flag": False}
        for index, (code, name, digits, symbol) in enumerate(CURRENCIES, 1)
        if term in code.casefold() or term in name.casefold()
    ]
    return success(shown or None)


def routes(account: Account) -> list[Route]:
    """Return the operations on users."""
    users = Users(account)
    return [
        Route("GET", "/v1/users", 1, 20, users.list_all),
        Route("GET", "/v1/users/find", 1, 40, users.find),
        Route("GET", "/v1/users/me", 1, 2, users.me),
        Route("GET", "/v1/users/{id}", 1, 2, users.get),
        Route("GET", "/v1/currencies", 1, 20, currencies),
    ]
