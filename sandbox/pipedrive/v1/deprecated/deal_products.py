"""Lines of deals in version 1."""

from dataclasses import replace
from typing import Any

import orjson

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import v1_time
from sandbox.pipedrive.account.currencies import round_money
from sandbox.pipedrive.account.deal_value import lines_of
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.gateway.routes import Handler, Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, integer_of, paged
from sandbox.pipedrive.v1.deprecated import convert
from sandbox.pipedrive.v1.deprecated.convert import Convert
from sandbox.pipedrive.v1.deprecated.entity import decided
from sandbox.pipedrive.v1.deprecated.products import DeprecatedProducts
from sandbox.pipedrive.v1.objects import Related
from sandbox.pipedrive.v1.rendering import money_text
from sandbox.pipedrive.v1.users import COMPANY_ID
from sandbox.pipedrive.v2.deal_products import DealProducts
from sandbox.pipedrive.v2.parents import live_parent
from sandbox.pipedrive.v2.products import Products

_KEYS: dict[str, tuple[str, Convert]] = {
    "product_id": ("product_id", integer_of),
    "item_price": ("item_price", convert.number),
    "quantity": ("quantity", convert.number),
    "discount": ("discount", convert.number),
    "discount_type": ("discount_type", convert.plain),
    "product_variation_id": ("product_variation_id", integer_of),
    "comments": ("comments", convert.text),
    "tax": ("tax", convert.number),
    "tax_method": ("tax_method", convert.plain),
    "enabled_flag": ("is_enabled", convert.flag),
    "billing_frequency": ("billing_frequency", convert.plain),
    "billing_frequency_cycles": ("billing_frequency_cycles", integer_of),
    "billing_start_date": ("billing_start_date", convert.plain),
}
_SAME = (
    "id", "deal_id", "order_nr", "product_id", "product_variation_id", "item_price", "discount", "discount_type", "sum", "currency", "comments",
    "tax", "tax_method", "name", "quantity", "billing_frequency", "billing_frequency_cycles", "billing_start_date",
)  # fmt: skip


class DeprecatedDealProducts:
    """`/deals/{id}/products`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.version2 = DealProducts(account)
        self._products = DeprecatedProducts(account, Products(account))

    def list_all(self, call: Call) -> Result:
        """Answer the lines of a deal, with their totals, and their products when asked for."""
        deal = live_parent(self.account, "deal", call)
        lines = lines_of(self.account, deal["id"])
        with_product = "include_product_data" in call.query and convert.flag(call.query["include_product_data"], "include_product_data")
        related = Related(self.account)
        result = paged(call, lines, lambda line: self._show(line, related if with_product else None), ())
        quantity, total = sum(line["quantity"] for line in lines), round_money(sum(line["sum"] for line in lines), deal["currency"])
        result.body["additional_data"] |= {
            "products_quantity_total": quantity,
            "products_sum_total": total,
            "products_quantity_total_formatted": str(quantity),
            "products_sum_total_formatted": money_text(total, deal["currency"]),
        }
        result.body["related_objects"] = related.objects
        return result

    def create(self, call: Call) -> Result:
        """Add a line."""
        body = body_of(call)
        for name in ("product_id", "item_price", "quantity"):
            if body.get(name) in (None, ""):
                raise bad_request(f"{name} must be given.")
        result = self._let(self.version2.create, call, body)
        result.body["data"]["product_attachment_id"] = result.body["data"]["id"]
        return result

    def update(self, call: Call) -> Result:
        """Change a line."""
        return self._let(self.version2.update, call, body_of(call))

    def _let(self, act: Handler, call: Call, body: Record) -> Result:
        """Let version 2 add or change a line, and show what came of it."""
        values = {name: convert_(body[key], key) for key, (name, convert_) in _KEYS.items() if body.get(key) is not None}
        rewritten = replace(call, request=replace(call.request, body=orjson.dumps(values)))

        def line() -> Record:
            result = act(rewritten)
            assert isinstance(result, Result)  # noqa: S101 - lines are made at once
            return self.account.store["deal_product"].records[result.body["data"]["id"]]

        made = decided(line)
        return success({**_shown(made), "company_id": COMPANY_ID})

    def _show(self, line: Record, related: Related | None) -> dict[str, Any]:
        """Return a line of a list; with `related` its product as well."""
        shown = _shown(line) | {"sum_formatted": money_text(line["sum"], line["currency"]), "quantity_formatted": str(line["quantity"])}
        if related is not None:
            shown["product"] = self._products.show(self.account.store["product"].records[line["product_id"]], related)
        return shown


def _shown(line: Record) -> dict[str, Any]:
    return {name: line[name] for name in _SAME} | {
        "enabled_flag": line["is_enabled"],
        "add_time": v1_time(line["add_time"]),
        "last_edit": v1_time(line["update_time"]),
        "active_flag": not line["is_deleted"],
    }


def routes(account: Account) -> list[Route]:
    """Return the deprecated operations on the lines of deals."""
    lines = DeprecatedDealProducts(account)
    base = "/v1/deals/{id}/products"
    return [
        Route("GET", base, 1, 20, lines.list_all),
        Route("POST", base, 1, 10, lines.create),
        Route("PUT", base + "/{product_attachment_id}", 1, 10, lines.update),
        Route("DELETE", base + "/{product_attachment_id}", 1, 6, lines.version2.delete),
    ]
