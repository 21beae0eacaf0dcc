"""Variations of products: a name and prices of their own."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.schema import Check, Problems, check_object, label
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import ListRules, page, parse_query
from sandbox.pipedrive.v2.parents import live_parent
from sandbox.pipedrive.v2.products import prices_check

_PAGES = ListRules((), paging=("limit", "cursor"))


class Variations:
    """`/products/{id}/variations`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._checks: dict[str, Check] = {"name": label, "prices": prices_check(account)}

    def list_all(self, call: Call) -> Result:
        """Answer the variations of a product."""
        product = live_parent(self.account, "product", call)
        query = parse_query(call.query, _PAGES)
        query.filters["product_id"] = product["id"]
        found, cursor = page(self.account.store["product_variation"], query, lambda variation: not variation["is_deleted"])
        return success([render(variation) for variation in found], additional_data={"next_cursor": cursor})

    def create(self, call: Call) -> Result:
        """Add a variation; without prices it costs 0 in the caller's currency."""
        product = live_parent(self.account, "product", call)
        values = self._values(call, ("name",))
        free = {"currency": self.account.options.currency, "price": 0, "cost": 0, "direct_cost": 0, "notes": ""}
        variation = self.account.new_record("product_variation", product_id=product["id"], name=values["name"], prices=values.get("prices", [free]))
        self.account.store.put("product_variation", variation)
        return success(render(variation), 201)

    def update(self, call: Call) -> Result:
        """Change a variation; prices are replaced as a whole."""
        variation = {**self._find(call), **self._values(call, ()), "update_time": self.account.now()}
        self.account.store.put("product_variation", variation)
        return success(render(variation))

    def delete(self, call: Call) -> Result:
        """Delete a variation; lines of deals keep its id."""
        variation = self._find(call)
        self.account.store.put("product_variation", {**variation, "is_deleted": True, "update_time": self.account.now()})
        return success({"id": variation["id"]})

    def _values(self, call: Call, required: tuple[str, ...]) -> dict[str, Any]:
        problems = Problems()
        values = check_object(call.json(), self._checks, required, problems)
        problems.raise_if_any()
        return values

    def _find(self, call: Call) -> Record:
        product = live_parent(self.account, "product", call)
        variation = self.account.live("product_variation", call.id("Product variation", 1))
        if variation is None or variation["product_id"] != product["id"]:
            raise not_found("Product variation")
        return variation


def render(variation: Record) -> dict[str, Any]:
    """Return a variation as the API shows it."""
    return {
        "id": variation["id"],
        "name": variation["name"],
        "product_id": variation["product_id"],
        "prices": [{"product_variation_id": variation["id"], **price} for price in variation["prices"]],
    }


def routes(account: Account) -> list[Route]:
    """Return the operations on variations."""
    variations = Variations(account)
    base = "/api/v2/products/{id}/variations"
    return [
        Route("GET", base, 2, 10, variations.list_all),
        Route("POST", base, 2, 5, variations.create),
        Route("PATCH", base + "/{product_variation_id}", 2, 5, variations.update),
        Route("DELETE", base + "/{product_variation_id}", 2, 3, variations.delete),
    ]
