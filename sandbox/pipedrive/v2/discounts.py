"""Discounts of deals: their ids are texts, and they change the value of deals with one-time lines."""

import re
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.deal_value import discounts_of, follow_discounts
from sandbox.pipedrive.account.schema import Check, Problems, above_zero, check_object, one_of, string
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.parents import editable_deal, live_parent

_REQUIRED = ("description", "amount", "type")
_CHECKS: dict[str, Check] = {"description": string, "amount": above_zero, "type": one_of("percentage", "amount")}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Discounts:
    """`/deals/{id}/discounts`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the discounts of a deal; they have no pages."""
        deal = live_parent(self.account, "deal", call)
        call.refuse_query()
        return success([_render(discount) for discount in discounts_of(self.account, deal["id"])])

    def create(self, call: Call) -> Result:
        """Add a discount."""
        deal = editable_deal(self.account, call)
        values = _values(call, _REQUIRED)
        user_id = call.user["id"]
        discount = self.account.new_record(
            "discount", uuid=self.account.new_uuid(), deal_id=deal["id"], **values, creator_user_id=user_id, last_update_user_id=user_id
        )
        self._save(discount)
        return success(_render(discount), 201)

    def update(self, call: Call) -> Result:
        """Change a discount."""
        before = self._find(call)
        values = _values(call, ())
        discount = {**before, **values, "last_update_user_id": call.user["id"], "update_time": self.account.now()}
        self._save(discount)
        return success(_render(discount))

    def delete(self, call: Call) -> Result:
        """Remove a discount. The id in the answer is a whole number, as the official response has it, not the one of the path."""
        discount = self._find(call)
        self._save({**discount, "is_deleted": True, "update_time": self.account.now()})
        return success({"id": discount["id"]})

    def _save(self, discount: Record) -> None:
        self.account.store.put("discount", discount)
        follow_discounts(self.account, discount["deal_id"])

    def _find(self, call: Call) -> Record:
        deal = editable_deal(self.account, call)
        text = call.params[1]
        if not _UUID.fullmatch(text):
            problems = Problems()
            problems.add("discount_id", "This value is not a valid UUID.")
            problems.raise_if_any()
        for discount in self.account.store["discount"].find("uuid", text.lower()):
            if discount["deal_id"] == deal["id"] and not discount["is_deleted"]:
                return discount
        raise not_found("Discount")


def _values(call: Call, required: tuple[str, ...]) -> dict[str, Any]:
    problems = Problems()
    values = check_object(call.json(), _CHECKS, required, problems)
    problems.raise_if_any()
    return values


def _render(discount: Record) -> dict[str, Any]:
    return {
        "id": discount["uuid"],
        "type": discount["type"],
        "amount": discount["amount"],
        "description": discount["description"],
        "deal_id": discount["deal_id"],
        "created_at": discount["add_time"],
        "created_by": discount["creator_user_id"],
        "updated_at": discount["update_time"],
        "updated_by": discount["last_update_user_id"],
    }


def routes(account: Account) -> list[Route]:
    """Return the operations on discounts."""
    discounts = Discounts(account)
    base = "/api/v2/deals/{id}/discounts"
    return [
        Route("GET", base, 2, 10, discounts.list_all),
        Route("POST", base, 2, 5, discounts.create),
        Route("PATCH", base + "/{discount_id}", 2, 5, discounts.update),
        Route("DELETE", base + "/{discount_id}", 2, 3, discounts.delete),
    ]
