"""Users, the caller, and currencies in version 1. Users are given at start or made by an admin; more users do not mean more seats here."""

import re
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import v1_time
from sandbox.pipedrive.account.currencies import CURRENCIES
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of

COMPANY_ID = 7_770_001
_PERMISSION_SET = "00000000-0000-4000-8000-00000000000"
_APPS = ("global", "sales", "campaigns", "projects", "account_settings", "partnership", "nova")
_ADMIN_APPS = frozenset({"global", "account_settings"})
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_SETTINGS = {
    "marketplace_team": False,
    "list_limit": 100,
    "beta_app": False,
    "prevent_salesphone_callto_override": False,
    "file_upload_destination": "s3",
    "callto_link_syntax": "callto:[number]",
    "autofill_deal_expected_close_date": False,
    "person_duplicate_condition": "name && (org_id || email || phone)",
}
_PERMISSIONS = (
    "can_add_products", "can_add_prospects_as_leads", "can_bulk_edit_items", "can_convert_deals_to_leads", "can_create_own_workflow",
    "can_delete_activities", "can_delete_deals", "can_edit_deals_closed_date", "can_edit_products", "can_export_data_from_lists",
    "can_follow_other_users", "can_merge_deals", "can_merge_organizations", "can_merge_people", "can_modify_labels", "can_see_deals_list_summary",
    "can_see_other_users", "can_use_api", "can_use_email_tracking", "can_use_import",
)  # fmt: skip
"""What every user may do here (which permissions a regular user has from the start is assumed)."""
_ADMIN_PERMISSIONS = (
    "can_add_custom_fields", "can_change_visibility_of_items", "can_delete_custom_fields", "can_edit_custom_fields", "can_edit_shared_filters",
    "can_see_company_wide_statistics", "can_see_hidden_items_names", "can_see_other_users_statistics", "can_see_security_dashboard",
    "can_share_filters", "can_share_insights",
)  # fmt: skip


class Users:
    """`/users`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the list of users; it has no pages."""
        return success([self.render(user, call.user) for user in self.account.store["user"]])

    def get(self, call: Call) -> Result:
        """Answer a request for one user."""
        return success(self.render(self._find(call), call.user))

    def create(self, call: Call) -> Result:
        """Add a user, named by the e-mail until they sign in (assumed)."""
        if not call.user["is_admin"]:
            raise _forbidden()
        body = body_of(call)
        email = body.get("email")
        if type(email) is not str or not _EMAIL.fullmatch(email):
            raise bad_request("Email must be given.")
        if any(user["email"].casefold() == email.casefold() for user in self.account.store["user"]):
            raise bad_request("A user with this email exists already.")
        access = _access(body.get("access"))
        user = self.account.new_record(
            "user",
            name=email,
            email=email,
            active_flag=_flag(body.get("active_flag", True)),
            is_admin=any(entry["admin"] and entry["app"] in _ADMIN_APPS for entry in access),
            access=access,
        )
        self.account.store.put("user", user)
        return success(self.render(user, call.user))

    def update(self, call: Call) -> Result:
        """Switch a user on or off; nothing else can be changed."""
        user = self._find(call)
        if not call.user["is_admin"]:
            raise _forbidden()
        body = body_of(call)
        if "active_flag" not in body:
            raise bad_request("active_flag must be given.")
        changed = {**user, "active_flag": _flag(body["active_flag"]), "update_time": self.account.now()}
        self.account.store.put("user", changed)
        return success(self.render(changed, call.user))

    def permissions(self, call: Call) -> Result:
        """Answer what a user may do."""
        user = self._find(call)
        return success({**dict.fromkeys(_PERMISSIONS, True), **dict.fromkeys(_ADMIN_PERMISSIONS, user["is_admin"])})

    def _find(self, call: Call) -> Record:
        user = self.account.store["user"].get(call.id("User"))
        if user is None:
            raise ApiError(404, "User not found or not accessible.")
        return user

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
            "access": user.get("access") or [_entry(app, is_admin=user["is_admin"]) for app in apps],
            "active_flag": user["active_flag"],
            "timezone_name": options.timezone,
            "timezone_offset": self.account.clock.offset_text(options.timezone),
            "role_id": 1,
            "icon_url": None,
            "is_you": user["id"] == caller["id"],
            "is_admin": int(user["is_admin"]),
            "is_deleted": False,
        }


def _forbidden() -> ApiError:
    return ApiError(403, "You do not have permissions to do this.", info="Please check developers.pipedrive.com")


def _entry(app: str, *, is_admin: bool, permission_set_id: str | None = None) -> dict[str, Any]:
    return {"app": app, "admin": is_admin, "permission_set_id": permission_set_id or f"{_PERMISSION_SET}{_APPS.index(app)}"}


def _access(value: Any) -> list[dict[str, Any]]:
    """Read which apps a user may use, sales unless said otherwise."""
    if value is None:
        return [_entry("sales", is_admin=False)]
    if type(value) is not list or not value:
        raise bad_request("access must be a list")
    for entry in value:
        if type(entry) is not dict or entry.get("app") not in _APPS:
            raise bad_request(f"access must name an app among: {', '.join(_APPS)}")
    return [_entry(entry["app"], is_admin=_flag(entry.get("admin", False)), permission_set_id=entry.get("permission_set_id")) for entry in value]


def _flag(value: Any) -> bool:
    if type(value) is bool:
        return value
    if value in (0, 1, "0", "1"):
        return value in (1, "1")
    raise bad_request("A flag must be true or false")


def settings(call: Call) -> Result:
    """Answer the settings of the caller, which are the same for all."""
    del call
    return success(_SETTINGS)


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
        Route("POST", "/v1/users", 1, 10, users.create),
        Route("GET", "/v1/users/find", 1, 40, users.find),
        Route("GET", "/v1/users/me", 1, 2, users.me),
        Route("GET", "/v1/users/{id}", 1, 2, users.get),
        Route("PUT", "/v1/users/{id}", 1, 10, users.update),
        Route("GET", "/v1/users/{id}/permissions", 1, 10, users.permissions),
        Route("GET", "/v1/userSettings", 1, 2, settings),
        Route("GET", "/v1/currencies", 1, 20, currencies),
    ]
