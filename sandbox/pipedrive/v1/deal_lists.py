"""Lists of deals that version 1 still documents although they are deprecated: archived ones, those of a pipeline and of a stage."""

from collections.abc import Callable
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.filters import condition_of
from sandbox.pipedrive.gateway.call import Call, Result
from sandbox.pipedrive.gateway.errors import ApiError, bad_request
from sandbox.pipedrive.gateway.routes import Handler, Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import integer_of, paged
from sandbox.pipedrive.v1.deprecated import convert
from sandbox.pipedrive.v1.deprecated.deals import STATUSES, DeprecatedDeals, has_status
from sandbox.pipedrive.v1.objects import trimmed
from sandbox.pipedrive.v2.deals import Deals
from sandbox.pipedrive.v2.resource import can_see

_QUICK = {name: name for name in ("person_id", "org_id", "pipeline_id")}
Condition = Callable[[Record], bool]


class DealLists:
    """`/deals/archived`, `/pipelines/{id}/deals` and `/stages/{id}/deals`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._deals = DeprecatedDeals(account, Deals(account))

    def archived(self, call: Call) -> Result:
        """Answer the list of archived deals. A saved filter overrides the quick filters but the stage and the status (official)."""
        query = call.query
        status = query.get("status", "all_not_deleted")
        if status not in STATUSES:
            raise bad_request(f"status must be one of: {', '.join(STATUSES)}")
        stage_id = integer_of(query.get("stage_id"), "stage_id")
        wanted = self._deals.condition(call) or self._quick(call)
        chosen = (
            deal
            for deal in self.account.store["deal"]
            if deal["is_archived"] and has_status(deal, status) and stage_id in (None, deal["stage_id"]) and wanted(deal)
        )
        return self._deals.answer_page(call, chosen)

    def _quick(self, call: Call) -> Condition:
        wanted = {column: integer_of(call.query[name], name) for name, column in _QUICK.items() if name in call.query}
        owned = self._deals.owned(call)
        product_id = integer_of(call.query.get("product_id"), "product_id")
        lines = self.account.store["deal_product"].find("product_id", product_id) if product_id is not None else []
        with_product = {line["deal_id"] for line in lines if not line["is_deleted"]}
        return lambda deal: (
            all(deal[column] == value for column, value in wanted.items()) and owned(deal) and (product_id is None or deal["id"] in with_product)
        )

    def open_in(self, kind: str) -> Handler:
        """Return the list of the open deals in a pipeline or a stage; without a parameter the caller's own (official)."""

        def handler(call: Call) -> Result:
            parent = self.account.live(kind, call.id(kind.capitalize()))
            if parent is None:
                raise ApiError(404, f"{kind.capitalize()} not found", info="Object was not found.")
            stages = self.account.stages_of(parent["id"]) if kind == "pipeline" else [parent]
            stage_id = integer_of(call.query.get("stage_id"), "stage_id") if kind == "pipeline" else None
            ids = [stage["id"] for stage in stages if stage_id in (None, stage["id"])]
            wanted = self._whose(call)
            deals = (deal for one in ids for deal in self.account.store["deal"].find("stage_id", one))
            chosen = (
                deal
                for deal in deals
                if deal["status"] == "open" and not deal["is_deleted"] and not deal["is_archived"] and wanted(deal) and can_see(call.user, deal)
            )
            return paged(call, chosen, self._show, self._deals.sorts)

        return handler

    def _show(self, deal: Record) -> dict[str, Any]:
        """Return a deal with plain ids for its links (official)."""
        return trimmed(self._deals.rendering.deal(deal))

    def _whose(self, call: Call) -> Condition:
        """Return whose deals are asked for: everyone's, else a user's, else a filter's, else the caller's (official)."""
        query = call.query
        if "everyone" in query and convert.flag(query["everyone"], "everyone"):
            return lambda _: True
        owner = integer_of(query.get("user_id"), "user_id")
        filter_id = integer_of(query.get("filter_id"), "filter_id")
        if owner is None and filter_id is not None:
            return condition_of(self.account, filter_id, "deal")
        owner = call.user["id"] if owner is None else owner
        return lambda deal: bool(deal["owner_id"] == owner)


def routes(account: Account) -> list[Route]:
    """Return the lists of deals."""
    lists = DealLists(account)
    return [
        Route("GET", "/v1/deals/archived", 1, 40, lists.archived),
        Route("GET", "/v1/pipelines/{id}/deals", 1, 20, lists.open_in("pipeline")),
        Route("GET", "/v1/stages/{id}/deals", 1, 20, lists.open_in("stage")),
    ]
