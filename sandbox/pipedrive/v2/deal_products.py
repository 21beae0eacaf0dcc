"""Lines of deals in version 2: single, bulk, list, update, delete, and the deal value that follows them."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.caps import check_room
from sandbox.pipedrive.account.currencies import round_money
from sandbox.pipedrive.account.deal_value import ONE_TIME, follow_lines, lines_of
from sandbox.pipedrive.account.schema import Check, Problems, boolean, check_object, integer, not_a, not_allowed, nullable, number, one_of, string
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import ListRules, integer_text, page, parse_query
from sandbox.pipedrive.v2.parents import editable_deal, live_parent, take_deal_ids
from sandbox.pipedrive.v2.products import LINE_BILLING, check_billing

BULK_MAX = 100
RECURRING_MAX = 20
START_YEARS_MAX = 10
_REQUIRED = ("product_id", "item_price", "quantity")
_ORDER_STEP = 10
_SHOWN = (
    "id", "sum", "tax", "deal_id", "name", "product_id", "product_variation_id", "order_nr", "add_time", "update_time", "comments", "currency",
    "discount", "quantity", "item_price", "tax_method", "discount_type", "is_enabled", "billing_frequency", "billing_frequency_cycles",
    "billing_start_date",
)  # fmt: skip


class DealProducts:
    """`/deals/{id}/products` and `/deals/products`."""

    rules = ListRules(sorts=("id", "add_time", "update_time", "order_nr"))
    rules_of_many = ListRules(sorts=("id", "deal_id", "add_time", "update_time", "order_nr"))

    def __init__(self, account: Account) -> None:
        self.account = account
        self._checks: dict[str, Check] = {
            "product_id": account.link("product"),
            "item_price": number,
            "quantity": number,
            "tax": number,
            "comments": string,
            "discount": number,
            "discount_type": one_of("percentage", "amount"),
            "tax_method": one_of("exclusive", "inclusive", "none"),
            "is_enabled": boolean,
            "product_variation_id": nullable(integer),
            **LINE_BILLING,
        }

    def list_of_one(self, call: Call) -> Result:
        """Answer the list of one deal's lines."""
        deal = live_parent(self.account, "deal", call)
        query = parse_query(call.query, self.rules)
        query.filters["deal_id"] = deal["id"]
        found, cursor = page(self.account.store["deal_product"], query, lambda line: not line["is_deleted"])
        return success([self.render(line) for line in found], additional_data={"next_cursor": cursor})

    def list_of_many(self, call: Call) -> Result:
        """Answer the list of the lines of up to 100 deals."""
        deal_ids, parameters = take_deal_ids(call)
        query = parse_query(parameters, self.rules_of_many)
        table = self.account.store["deal_product"]
        query.ids = [line["id"] for deal_id in deal_ids for line in table.find("deal_id", deal_id)]
        found, cursor = page(table, query, lambda line: not line["is_deleted"])
        return success([self.render(line) for line in found], additional_data={"next_cursor": cursor})

    def create(self, call: Call) -> Result:
        """Add one line."""
        deal = editable_deal(self.account, call)
        problems = Problems()
        values = check_object(call.json(), self._checks, _REQUIRED, problems)
        problems.raise_if_any()
        self._check(values, {}, problems)
        self._check_recurring(deal, [values], problems)
        problems.raise_if_any()
        line = self._add(deal, values)
        follow_lines(self.account, deal["id"])
        return success(self.render(line), 201)

    def create_many(self, call: Call) -> Result:
        """Add up to 100 lines, all or none."""
        deal = editable_deal(self.account, call)
        problems = Problems()
        body = call.json()
        items = body.get("data") if type(body) is dict else None
        if type(items) is not list:
            problems.add("data", not_a("array"))
            items = []
        for key in body if type(body) is dict else ():
            if key != "data":
                problems.add(key, not_allowed(key))
        if len(items) > BULK_MAX:
            problems.add("data", f"This collection should contain {BULK_MAX} elements or less.")
        problems.raise_if_any()
        checked = [check_object(item, self._checks, _REQUIRED, problems, f"data[{index}]") for index, item in enumerate(items)]
        problems.raise_if_any()
        for values in checked:
            self._check(values, {}, problems)
        self._check_recurring(deal, checked, problems)
        problems.raise_if_any()
        check_room(self.account.store, self.account.options, "deal_product", {"deal_id": deal["id"]}, len(checked))
        lines = [self._add(deal, values) for values in checked]
        follow_lines(self.account, deal["id"])
        return success([self.render(line) for line in lines], 201)

    def update(self, call: Call) -> Result:
        """Change a line."""
        deal, line = self._line(call)
        problems = Problems()
        values = check_object(call.json(), self._checks, (), problems)
        problems.raise_if_any()
        self._check(values, line, problems)
        self._check_recurring(deal, [{**line, **values}], problems)
        problems.raise_if_any()
        changed = {**line, **values, "update_time": self.account.now()}
        if "product_id" in values:
            changed["name"] = self._product_name(values["product_id"])
            changed["product_variation_id"] = values.get("product_variation_id")
        changed["sum"] = _sum(changed)
        self.account.store.put("deal_product", changed)
        follow_lines(self.account, deal["id"])
        return success(self.render(changed))

    def delete(self, call: Call) -> Result:
        """Remove a line."""
        deal, line = self._line(call)
        self._remove(line)
        follow_lines(self.account, deal["id"])
        return success({"id": line["id"]})

    def delete_many(self, call: Call) -> Result:
        """Remove the lines named, or up to 100 of all."""
        deal = editable_deal(self.account, call)
        problems = Problems()
        for name in call.query:
            if name not in {"ids", "api_token"}:
                problems.add(name, not_allowed(name))
        text = call.query.get("ids", "")
        wanted = {integer_text(part.strip(), "ids", problems) for part in text.split(",")} if text else None
        if wanted is not None and len(wanted) > BULK_MAX:
            problems.add("ids", f"This collection should contain {BULK_MAX} elements or less.")
        problems.raise_if_any()
        lines = [line for line in lines_of(self.account, deal["id"]) if wanted is None or line["id"] in wanted]
        for line in lines[:BULK_MAX]:
            self._remove(line)
        follow_lines(self.account, deal["id"])
        ids = [line["id"] for line in lines[:BULK_MAX]]
        return success({"ids": ids}, additional_data={"more_items_in_collection": len(lines) > BULK_MAX})

    def _line(self, call: Call) -> tuple[Record, Record]:
        deal = editable_deal(self.account, call)
        line = self.account.live("deal_product", call.id("Deal product", 1))
        if line is None or line["deal_id"] != deal["id"]:
            raise not_found("Deal product")
        return deal, line

    def _product_name(self, product_id: int) -> str:
        product = self.account.store["product"].get(product_id)
        return product["name"] if product is not None else ""

    def _check(self, values: dict[str, Any], line: Record, problems: Problems) -> None:
        """Check what depends on several keys."""
        if "product_id" in values and values["product_id"] is None:
            problems.add("product_id", not_a("integer"))
        elif "product_id" in values and self.account.options.unlinkable_products == "refuse":
            product = self.account.live("product", values["product_id"])
            if product is not None and not product["is_linkable"]:
                problems.add("product_id", f"Product {product['id']} can not be added to deals")
        merged = {**line, **values}
        if values.get("product_variation_id") is not None:
            variation = self.account.live("product_variation", values["product_variation_id"])
            if variation is None or variation["product_id"] != merged["product_id"]:
                problems.add("product_variation_id", f"Product variation {values['product_variation_id']} not found")
        start = values.get("billing_start_date")
        if start is not None and not self._is_near(start):
            problems.add("billing_start_date", f"The value must be within {START_YEARS_MAX} years from today")
        check_billing(self.account, merged.get("billing_frequency", ONE_TIME), merged.get("billing_frequency_cycles"), problems)

    def _is_near(self, day: str) -> bool:
        """Whether a date is at most ten years away in either direction; the day itself counts (assumed)."""
        today = self.account.clock.today(self.account.options.timezone)
        month_and_day = f"{today:%m-%d}"
        return f"{today.year - START_YEARS_MAX:04d}-{month_and_day}" <= day <= f"{today.year + START_YEARS_MAX:04d}-{month_and_day}"

    def _check_recurring(self, deal: Record, changed: list[dict[str, Any]], problems: Problems) -> None:
        """Check the recurring lines of a deal, `changed` being the lines that are added, or one that is changed with its `id`."""
        added = sum(values.get("billing_frequency", ONE_TIME) != ONE_TIME for values in changed)
        if not added:
            return
        ids = {values.get("id") for values in changed}
        kept = [line for line in lines_of(self.account, deal["id"]) if line["id"] not in ids]
        if any(not installment["is_deleted"] for installment in self.account.store["installment"].find("deal_id", deal["id"])):
            problems.add("billing_frequency", "A deal with installments can not have recurring products")
        if added + sum(line["billing_frequency"] != ONE_TIME for line in kept) > RECURRING_MAX:
            problems.add("billing_frequency", f"A deal can have {RECURRING_MAX} recurring products at most")

    def _add(self, deal: Record, values: dict[str, Any]) -> Record:
        lines = lines_of(self.account, deal["id"])
        line = self.account.new_record(
            "deal_product",
            deal_id=deal["id"],
            name=self._product_name(values["product_id"]),
            product_id=values["product_id"],
            product_variation_id=values.get("product_variation_id"),
            order_nr=max((item["order_nr"] for item in lines), default=0) + _ORDER_STEP,
            comments=values.get("comments", ""),
            currency=deal["currency"],
            discount=values.get("discount", 0),
            quantity=values["quantity"],
            item_price=values["item_price"],
            tax=values.get("tax", 0),
            tax_method=values.get("tax_method", "exclusive"),
            discount_type=values.get("discount_type", "percentage"),
            is_enabled=values.get("is_enabled", True),
            billing_frequency=values.get("billing_frequency", ONE_TIME),
            billing_frequency_cycles=values.get("billing_frequency_cycles"),
            billing_start_date=values.get("billing_start_date"),
        )
        line["sum"] = _sum(line)
        self.account.store.put("deal_product", line)
        return line

    def _remove(self, line: Record) -> None:
        self.account.store.put("deal_product", {**line, "is_deleted": True, "update_time": self.account.now()})

    def render(self, line: Record) -> dict[str, Any]:
        """Return a line as the API shows it; its currency is always the deal's."""
        shown = {name: line[name] for name in _SHOWN}
        deal = self.account.store["deal"].get(line["deal_id"])
        if deal is not None:
            shown["currency"] = deal["currency"]
        return shown


def _sum(line: Record) -> float | int:
    """Price times quantity, less the line's discount, plus tax where the price excludes it (assumed)."""
    total = line["item_price"] * line["quantity"]
    total -= total * line["discount"] / 100 if line["discount_type"] == "percentage" else line["discount"]
    if line["tax_method"] == "exclusive":
        total += total * line["tax"] / 100
    return round_money(total, line["currency"])


def routes(account: Account) -> list[Route]:
    """Return the operations on the lines of deals."""
    lines = DealProducts(account)
    base = "/api/v2/deals/{id}/products"
    return [
        Route("GET", "/api/v2/deals/products", 2, 10, lines.list_of_many),
        Route("GET", base, 2, 10, lines.list_of_one),
        Route("POST", base, 2, 5, lines.create),
        Route("DELETE", base, 2, 15, lines.delete_many),
        Route("POST", base + "/bulk", 2, 25, lines.create_many),
        Route("PATCH", base + "/{product_attachment_id}", 2, 5, lines.update),
        Route("DELETE", base + "/{product_attachment_id}", 2, 3, lines.delete),
    ]
