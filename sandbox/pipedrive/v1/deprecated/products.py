"""Products in version 1."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import integer_of
from sandbox.pipedrive.v1.deprecated import convert
from sandbox.pipedrive.v1.deprecated.convert import Convert
from sandbox.pipedrive.v1.deprecated.entity import Entity
from sandbox.pipedrive.v1.objects import Related
from sandbox.pipedrive.v2.products import Products


class DeprecatedProducts(Entity):
    """`/products`."""

    kind = "product"
    clears = frozenset({"code", "description", "unit", "billing_frequency_cycles"})
    keys: ClassVar[Mapping[str, tuple[str, Convert]]] = {
        "name": ("name", convert.plain),
        "code": ("code", convert.text),
        "description": ("description", convert.text),
        "unit": ("unit", convert.text),
        "tax": ("tax", convert.number),
        "category": ("category", convert.number),
        "selectable": ("is_linkable", convert.flag),
        "visible_to": ("visible_to", integer_of),
        "owner_id": ("owner_id", integer_of),
        "prices": ("prices", convert.prices),
        "billing_frequency": ("billing_frequency", convert.plain),
        "billing_frequency_cycles": ("billing_frequency_cycles", integer_of),
    }

    def show(self, record: Record, related: Related) -> dict[str, Any]:
        """Return a product."""
        return {**self.rendering.product(record), "visible_to": str(record["visible_to"]), "owner_id": related.user(record["owner_id"])}

    def list_all(self, call: Call) -> Result:
        """Answer the list of products, with their number when it is asked for."""
        result = super().list_all(call)
        if "get_summary" in call.query and convert.flag(call.query["get_summary"], "get_summary"):
            accept = self.accept(call)
            result.body["additional_data"]["summary"] = {"total_count": sum(accept(product) for product in self.account.store[self.kind])}
        return result

    def accept(self, call: Call) -> Callable[[Record], bool]:
        """Return what a product must fulfil to be in the list."""
        accepted = super().accept(call)
        text = call.query.get("ids", call.query.get("ids[]"))
        if not text:
            return accepted
        ids = {integer_of(part.strip(), "ids") for part in text.split(",")}
        return lambda product: product["id"] in ids and accepted(product)

    def terms(self, body: Record, before: Record | None) -> tuple[Record, Record]:
        """Return a body in the terms of version 2; an inactive product is a deleted one."""
        values, beside = super().terms(body, before)
        if body.get("active_flag") is not None and not convert.flag(body["active_flag"], "active_flag"):
            beside["is_deleted"] = True
        return values, beside


def routes(account: Account) -> list[Route]:
    """Return the deprecated operations on products."""
    return DeprecatedProducts(account, Products(account)).routes("products")
