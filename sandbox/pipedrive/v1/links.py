"""What version 1 tells of a record's surroundings: who may see it, the deals of a product, the products of a person; and copies of deals."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.deal_value import discounts_of, follow_lines, lines_of
from sandbox.pipedrive.account.memberships import participants_of
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.gateway.routes import Handler, Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import paged
from sandbox.pipedrive.v1.objects import Related, trimmed, with_links
from sandbox.pipedrive.v1.rendering import Rendering
from sandbox.pipedrive.v1.users import COMPANY_ID
from sandbox.pipedrive.v2.parents import PLURALS, live_parent
from sandbox.pipedrive.v2.resource import can_see

_STATUSES = ("open", "won", "lost", "deleted", "all_not_deleted")
_SORTS = ("id",)
_DEAL_OF_LINE = (
    "id", "creator_user_id", "user_id", "person_id", "org_id", "stage_id", "title", "value", "currency", "add_time", "update_time",
    "stage_change_time", "active", "deleted", "status", "probability", "next_activity_date", "next_activity_time", "next_activity_id",
    "last_activity_id", "last_activity_date", "lost_reason", "visible_to", "close_time", "pipeline_id", "won_time", "first_won_time", "lost_time",
    "products_count", "files_count", "notes_count", "followers_count", "email_messages_count", "activities_count", "done_activities_count",
    "undone_activities_count", "participants_count", "expected_close_date", "last_incoming_mail_time", "last_outgoing_mail_time", "label",
)  # fmt: skip
_PRODUCT_OF_LINE = (
    "id", "name", "code", "description", "unit", "tax", "category", "active_flag", "selectable", "first_char", "owner_id", "files_count", "add_time",
    "update_time",
)  # fmt: skip
"""What the products of a person tell of deal and product."""


class Links:
    """Lists around one record, and the copy of a deal."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._rendering = Rendering(account)

    def permitted_users(self, kind: str) -> Handler:
        """Return the handler that tells who may see a record of a kind: ids of active users."""

        def handler(call: Call) -> Result:
            record = live_parent(self.account, kind, call)
            return success([user["id"] for user in self.account.store["user"] if user["active_flag"] and can_see(user, record)])

        return handler

    def deals_of_product(self, call: Call) -> Result:
        """Answer the deals that have a product among their lines."""
        product = live_parent(self.account, "product", call)
        status = call.query.get("status", "all_not_deleted")
        if status not in _STATUSES:
            raise bad_request(f"status must be one of {', '.join(_STATUSES)}")
        deal_ids = {line["deal_id"]: None for line in self.account.store["deal_product"].find("product_id", product["id"]) if not line["is_deleted"]}
        deals = [self.account.store["deal"].records[deal_id] for deal_id in sorted(deal_ids)]
        chosen = [deal for deal in deals if _has_status(deal, status) and can_see(call.user, deal)]
        related = Related(self.account)

        def shown(deal: Record) -> dict[str, Any]:
            related.place(deal["stage_id"], deal["pipeline_id"])
            return with_links(trimmed(self._rendering.deal(deal)), deal, related)

        result = paged(call, chosen, shown, _SORTS)
        result.body["related_objects"] = related.objects
        return result

    def products_of_person(self, call: Call) -> Result:
        """Answer the products on the deals of a person, line by line, each under the id of its deal."""
        person = live_parent(self.account, "person", call)
        deals = [deal for deal in self.account.store["deal"].find("person_id", person["id"]) if not deal["is_deleted"] and can_see(call.user, deal)]
        lines = [line for deal in deals for line in lines_of(self.account, deal["id"])]
        return paged(call, lines, self._render_line, _SORTS)

    def _render_line(self, line: Record) -> dict[str, Any]:
        store = self.account.store
        deal, product = store["deal"].records[line["deal_id"]], store["product"].records[line["product_id"]]
        all_of_deal, all_of_product = self._rendering.deal(deal), self._rendering.product(product)
        shown = {name: all_of_deal[name] for name in _DEAL_OF_LINE}
        described = {name: all_of_product[name] for name in _PRODUCT_OF_LINE}
        return {
            str(deal["id"]): {
                "deal": {**shown, "company_id": COMPANY_ID, "first_add_time": shown["add_time"]},
                "product": {**described, "company_id": COMPANY_ID, "visible_to": str(product["visible_to"]), "deal_id": deal["id"]},
            }
        }

    def duplicate_deal(self, call: Call) -> Result:
        """Copy a deal: an open one with the same values, lines, discounts and participants (what is copied is assumed)."""
        account = self.account
        original = live_parent(account, "deal", call)
        now = account.now()
        open_again = dict.fromkeys(("won_time", "lost_time", "close_time", "lost_reason", "archive_time"))
        copy = {
            **original,
            **open_again,
            "status": "open",
            "is_archived": False,
            "creator_user_id": call.user["id"],
            "stage_change_time": now,
        }
        copy |= _anew(account, "deal")
        account.put_deal(copy)
        for line in lines_of(account, original["id"]):
            account.store.put("deal_product", {**line, **_anew(account, "deal_product"), "deal_id": copy["id"]})
        for discount in discounts_of(account, original["id"]):
            account.store.put("discount", {**discount, **_anew(account, "discount"), "uuid": account.new_uuid(), "deal_id": copy["id"]})
        for participant in participants_of(account, original["id"]):
            account.store.put("participant", {**participant, **_anew(account, "participant"), "deal_id": copy["id"]})
        if lines_of(account, copy["id"]):
            follow_lines(account, copy["id"])
        return success(trimmed(self._rendering.deal(account.store["deal"].records[copy["id"]])))


def _anew(account: Account, kind: str) -> Record:
    """Return the id and the times of a new record."""
    fresh = account.new_record(kind)
    return {name: fresh[name] for name in ("id", "add_time", "update_time", "is_deleted")}


def _has_status(deal: Record, status: str) -> bool:
    if status == "all_not_deleted":
        return not deal["is_deleted"]
    return ("deleted" if deal["is_deleted"] else deal["status"]) == status


def routes(account: Account) -> list[Route]:
    """Return the operations on a record's surroundings."""
    links = Links(account)
    return [
        *(Route("GET", f"/v1/{plural}/{{id}}/permittedUsers", 1, 10, links.permitted_users(kind)) for kind, plural in PLURALS.items()),
        Route("GET", "/v1/products/{id}/deals", 1, 20, links.deals_of_product),
        Route("GET", "/v1/persons/{id}/products", 1, 20, links.products_of_person),
        Route("POST", "/v1/deals/{id}/duplicate", 1, 10, links.duplicate_deal),
    ]
