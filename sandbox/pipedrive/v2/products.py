"""Products in version 2."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.schema import Check, Problems, boolean, check_object, day, integer, not_a, nullable, number, one_of, string
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import ListQuery, ListRules
from sandbox.pipedrive.v2.resource import Resource, can_see

FREQUENCIES = ("one-time", "annually", "semi-annually", "quarterly", "monthly", "weekly")
CYCLES_MAX = 208
BILLING: dict[str, Check] = {"billing_frequency": one_of(*FREQUENCIES), "billing_frequency_cycles": nullable(integer)}
LINE_BILLING: dict[str, Check] = {**BILLING, "billing_start_date": nullable(day)}


def check_billing(account: Account, frequency: str, cycles: int | None, problems: Problems) -> None:
    """Check cycles against the frequency.

    Raises:
        ApiError: 403 for a recurring frequency on a plan without it (the plan rule is documented, the body assumed).
    """
    if frequency == "one-time":
        if cycles is not None:
            problems.add("billing_frequency_cycles", "The value must be null for one-time billing")
        return
    if account.options.plan == "lite":
        raise ApiError(403, "Recurring products are not available on this plan")
    if cycles is None:
        if frequency == "weekly":
            problems.add("billing_frequency_cycles", "The value is required for weekly billing")
    elif not 1 <= cycles <= CYCLES_MAX:
        problems.add("billing_frequency_cycles", f"The value must be between 1 and {CYCLES_MAX}")


def prices_check(account: Account) -> Check:
    """Prices: one for each currency."""
    checks: dict[str, Check] = {
        "currency": account.currency,
        "price": number,
        "cost": nullable(number),
        "direct_cost": nullable(number),
        "notes": nullable(string),
    }

    def check(value: Any, path: str, problems: Problems) -> Any:
        if type(value) is not list:
            problems.add(path, not_a("array"))
            return value
        stored: dict[str, Record] = {}
        for index, item in enumerate(value):
            price = check_object(item, checks, ("currency",), problems, f"{path}[{index}]")
            currency = price.get("currency")
            if type(currency) is not str:
                continue
            if currency in stored:
                problems.add(path, f"Only one price for each currency is allowed, {currency} has two")
            stored[currency] = {
                "currency": currency,
                "price": price.get("price", 0),
                "cost": price.get("cost") or 0,
                "direct_cost": price.get("direct_cost"),
                "notes": price.get("notes") or "",
            }
        return list(stored.values())

    return check


class Products(Resource):
    """`/products`."""

    kind = "product"
    title = "Product"
    created_status = 201
    rules = ListRules(
        sorts=("id", "name", "add_time", "update_time"),
        filters={"owner_id": int},
        extras=("ids", "filter_id", "updated_since", "custom_fields"),
        beside_filter=("owner_id",),
    )

    def checks(self, *, is_update: bool) -> dict[str, Check]:
        """Return the keys a body may have."""
        del is_update
        account = self.account
        return {
            "name": account.name,
            "code": string,
            "description": string,
            "unit": string,
            "tax": number,
            "category": account.option_of(self.kind, "category"),
            "owner_id": account.owner,
            "is_linkable": boolean,
            "visible_to": account.visible_to,
            "prices": prices_check(account),
            "custom_fields": account.custom_fields(self.kind),
            **BILLING,
        }

    def build(self, call: Call, values: dict[str, Any], problems: Problems) -> Record:
        """Make a product; without prices it costs 0 in the caller's currency."""
        account = self.account
        free = {"currency": account.options.currency, "price": 0, "cost": 0, "direct_cost": None, "notes": ""}
        product = account.new_record(
            self.kind,
            name=values["name"],
            code=values.get("code") or None,
            description=values.get("description") or None,
            unit=values.get("unit") or None,
            tax=values.get("tax", 0),
            category=values.get("category"),
            is_linkable=values.get("is_linkable", True),
            visible_to=values.get("visible_to", account.visible_to_default),
            owner_id=values.get("owner_id", call.user["id"]),
            billing_frequency=values.get("billing_frequency", "one-time"),
            billing_frequency_cycles=values.get("billing_frequency_cycles"),
            prices=values.get("prices", [free]),
            custom_fields=values.get("custom_fields", {}),
        )
        check_billing(account, product["billing_frequency"], product["billing_frequency_cycles"], problems)
        return product

    def change(self, call: Call, record: Record, values: dict[str, Any], problems: Problems) -> Record:
        """Take over values; an emptied text is stored as null (assumed)."""
        del call
        product = {**record, **values}
        for name in ("code", "description", "unit"):
            product[name] = product[name] or None
        if values.get("billing_frequency") == "one-time":
            product["billing_frequency_cycles"] = values.get("billing_frequency_cycles")
        check_billing(self.account, product["billing_frequency"], product["billing_frequency_cycles"], problems)
        return product

    def duplicate(self, call: Call) -> Result:
        """Copy a product with its prices, custom fields and variations (documented); name, code and owner stay the same (assumed)."""
        account = self.account
        original = account.live(self.kind, call.id(self.title))
        if original is None or not can_see(call.user, original):
            raise not_found(self.title)
        now = account.now()
        copy = {**original, "id": account.store[self.kind].next_id(), "add_time": now, "update_time": now}
        account.store.put(self.kind, copy)
        for variation in account.store["product_variation"].find("product_id", original["id"]):
            if not variation["is_deleted"]:
                values = {"product_id": copy["id"], "name": variation["name"], "prices": variation["prices"]}
                account.store.put("product_variation", account.new_record("product_variation", **values))
        return success(self.render(copy, ListQuery()), self.created_status)

    def render(self, record: Record, query: ListQuery) -> dict[str, Any]:
        """Return a product as the API shows it."""
        return {
            "id": record["id"],
            "name": record["name"],
            "code": record["code"],
            "description": record["description"],
            "unit": record["unit"],
            "tax": record["tax"],
            "category": record["category"],
            "is_linkable": record["is_linkable"],
            "is_deleted": record["is_deleted"],
            "visible_to": record["visible_to"],
            "owner_id": record["owner_id"],
            "add_time": record["add_time"],
            "update_time": record["update_time"],
            "billing_frequency": record["billing_frequency"],
            "billing_frequency_cycles": record["billing_frequency_cycles"],
            "prices": [{"product_id": record["id"], **price} for price in record["prices"]],
            "custom_fields": self.custom_values(record, query),
        }


def routes(account: Account) -> list[Route]:
    """Return the operations on products."""
    products = Products(account)
    return [*products.routes("products", 10), Route("POST", "/api/v2/products/{id}/duplicate", 2, 5, products.duplicate)]
