"""The summary of deals in version 1: how many there are and what they are worth, by currency."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.currencies import round_money
from sandbox.pipedrive.account.filters import Condition, condition_of
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.v1.common import integer_of
from sandbox.pipedrive.v2.resource import can_see

_FILTERS = {"user_id": "owner_id", "pipeline_id": "pipeline_id", "stage_id": "stage_id"}


class DealSummary:
    """`/deals/summary` and `/deals/summary/archived`. Nothing is converted between currencies or weighted (assumed)."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def get(self, call: Call) -> Result:
        """Answer the summary of the deals asked for."""
        return self._answer(call, is_archived=False)

    def get_archived(self, call: Call) -> Result:
        """Answer the summary of the archived deals asked for."""
        return self._answer(call, is_archived=True)

    def _answer(self, call: Call, *, is_archived: bool) -> Result:
        accept = self._condition(call)
        values: dict[str, dict[str, Any]] = {}
        for deal in self.account.store["deal"]:
            if deal["is_deleted"] or deal["is_archived"] != is_archived or not accept(deal) or not can_see(call.user, deal):
                continue
            total = values.setdefault(deal["currency"], {"value": 0, "count": 0})
            total["value"] += deal["value"]
            total["count"] += 1
        for currency, total in values.items():
            total["value"] = round_money(total["value"], currency)
        return success(self._render(values))

    def _condition(self, call: Call) -> Condition:
        """Return what the query asks of a deal; a saved filter takes the place of the user (official)."""
        status = call.query.get("status")
        if status not in {None, "open", "won", "lost"}:
            raise bad_request("status must be open, won or lost")
        wanted = {column: integer_of(call.query[name], name) for name, column in _FILTERS.items() if name in call.query}
        filter_id = integer_of(call.query.get("filter_id"), "filter_id")
        picked = None
        if filter_id is not None:
            wanted.pop("owner_id", None)
            picked = condition_of(self.account, filter_id, "deal")
        return lambda deal: (
            status in (None, deal["status"]) and all(deal[column] == value for column, value in wanted.items()) and (picked is None or picked(deal))
        )

    def _render(self, values: dict[str, dict[str, Any]]) -> dict[str, Any]:
        def text(amount: float, currency: str) -> str:
            return f"{currency} {amount:,}"

        whole = round_money(sum(total["value"] for total in values.values()), self.account.options.currency)
        shown = text(whole, self.account.options.currency)
        plain = {currency: total | {"value_formatted": text(total["value"], currency)} for currency, total in values.items()}
        return {
            "values_total": {
                currency: total | {"value_converted": total["value"], "value_converted_formatted": total["value_formatted"]}
                for currency, total in plain.items()
            },
            "weighted_values_total": plain,
            "total_count": sum(total["count"] for total in values.values()),
            "total_currency_converted_value": whole,
            "total_weighted_currency_converted_value": whole,
            "total_currency_converted_value_formatted": shown,
            "total_weighted_currency_converted_value_formatted": shown,
        }


def routes(account: Account) -> list[Route]:
    """Return the summaries of deals."""
    summary = DealSummary(account)
    return [
        Route("GET", "/v1/deals/summary", 1, 40, summary.get),
        Route("GET", "/v1/deals/summary/archived", 1, 80, summary.get_archived),
    ]
