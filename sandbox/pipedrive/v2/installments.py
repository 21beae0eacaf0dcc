"""Installments of deals: for one-time lines only, and from the plan Growth upward (both documented)."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.deal_value import ONE_TIME, lines_of
from sandbox.pipedrive.account.schema import Check, Problems, above_zero, check_object, day, string
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import ListRules, page, parse_query
from sandbox.pipedrive.v2.parents import editable_deal, take_deal_ids

_REQUIRED = ("description", "amount", "billing_date")
_CHECKS: dict[str, Check] = {"description": string, "amount": above_zero, "billing_date": day}
_SHOWN = ("id", "amount", "billing_date", "description", "deal_id")


class Installments:
    """`/deals/{id}/installments` and `/deals/installments`."""

    rules = ListRules(sorts=("id", "billing_date", "deal_id"))

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_of_many(self, call: Call) -> Result:
        """Answer the list of the installments of up to 100 deals."""
        self._check_plan()
        deal_ids, parameters = take_deal_ids(call)
        query = parse_query(parameters, self.rules)
        table = self.account.store["installment"]
        query.ids = [item["id"] for deal_id in deal_ids if self.account.live("deal", deal_id) for item in table.find("deal_id", deal_id)]
        found, cursor = page(table, query, lambda installment: not installment["is_deleted"])
        return success([render(installment) for installment in found], additional_data={"next_cursor": cursor})

    def create(self, call: Call) -> Result:
        """Add an installment.

        Raises:
            ApiError: 400 without one-time lines or with recurring ones (documented, texts assumed).
        """
        self._check_plan()
        deal = editable_deal(self.account, call)
        values = _values(call, _REQUIRED)
        recurring = [line["billing_frequency"] != ONE_TIME for line in lines_of(self.account, deal["id"])]
        if any(recurring):
            raise bad_request("Installments can not be added to a deal with recurring products")
        if not recurring:
            raise bad_request("Installments can only be added to a deal with at least one one-time product")
        installment = self.account.new_record("installment", deal_id=deal["id"], **values)
        self.account.store.put("installment", installment)
        return success(render(installment))

    def update(self, call: Call) -> Result:
        """Change an installment."""
        before = self._find(call)
        installment = {**before, **_values(call, ()), "update_time": self.account.now()}
        self.account.store.put("installment", installment)
        return success(render(installment))

    def delete(self, call: Call) -> Result:
        """Remove an installment."""
        installment = self._find(call)
        self.account.store.put("installment", {**installment, "is_deleted": True, "update_time": self.account.now()})
        return success({"id": installment["id"]})

    def _check_plan(self) -> None:
        if self.account.options.plan == "lite":
            raise ApiError(403, "Installments are not available on this plan")

    def _find(self, call: Call) -> Record:
        self._check_plan()
        deal = editable_deal(self.account, call)
        installment = self.account.live("installment", call.id("Installment", 1))
        if installment is None or installment["deal_id"] != deal["id"]:
            raise not_found("Installment")
        return installment


def _values(call: Call, required: tuple[str, ...]) -> dict[str, Any]:
    problems = Problems()
    values = check_object(call.json(), _CHECKS, required, problems)
    problems.raise_if_any()
    return values


def render(installment: Record) -> dict[str, Any]:
    """Return an installment as the API shows it."""
    return {name: installment[name] for name in _SHOWN}


def routes(account: Account) -> list[Route]:
    """Return the operations on installments."""
    installments = Installments(account)
    base = "/api/v2/deals/{id}/installments"
    return [
        Route("GET", "/api/v2/deals/installments", 2, 10, installments.list_of_many),
        Route("POST", base, 2, 5, installments.create),
        Route("PATCH", base + "/{installment_id}", 2, 5, installments.update),
        Route("DELETE", base + "/{installment_id}", 2, 3, installments.delete),
    ]
