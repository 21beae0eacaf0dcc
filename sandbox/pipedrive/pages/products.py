"""Products: the list and the page of one."""

from typing import Any

from sandbox.pipedrive.pages import look, values
from sandbox.pipedrive.pages.deal import billing, followers
from sandbox.pipedrive.pages.deals import Deals, in_short
from sandbox.pipedrive.pages.page import Page, Query, letters, slice_of
from sandbox.pipedrive.pages.reader import Reader
from sandbox.pipedrive.pages.timeline import file_entry
from sandbox.pipedrive.store.store import Record

_ON_TOP = frozenset({"name", "owner_id"})


def show_all(reader: Reader, query: Query) -> Page:
    """List the products by name."""
    order = reader.order("product")
    found = slice_of(reader, "product", order, "/products", query)
    rows = [
        {
            "ref": reader.ref_to("product", record),
            "code": record["code"] or "",
            "unit": record["unit"] or "",
            "price": _price_text(record),
            "category": _category(reader, record),
            "owner": reader.user(record["owner_id"]),
        }
        for record in found.records
    ]
    return Page("products.html", "Products", "products", {"slice": found, "rows": rows, "letters": letters(order, "/products")})


def show(reader: Reader, query: Query, product_id: int) -> Page | None:
    """Show a product."""
    del query
    record = reader.store["product"].get(product_id)
    if record is None:
        return None
    variations = [
        {"name": item.get("name") or "", "prices": [look.money(price.get("price"), price.get("currency")) for price in item.get("prices") or ()]}
        for item in reader.live("product_variation", "product_id", product_id)
    ]
    return Page(
        "product.html",
        reader.ref_to("product", record).text,
        "products",
        {
            "record": record,
            "owner": reader.user(record["owner_id"]),
            "rows": values.rows(reader, "product", record, _ON_TOP),
            "billing": billing(record),
            "picture": reader.picture("product_image", "product_id", product_id),
            "prices": [_price(price) for price in record["prices"]],
            "variations": variations,
            "deals": _deals(reader, product_id),
            "files": [file_entry(reader, file, "product") for file in reader.live("file", "product_id", product_id)],
            "followers": followers(reader, "product", product_id),
        },
    )


def _price(price: Record) -> dict[str, Any]:
    currency = price["currency"]
    return {
        "currency": currency,
        "price": look.money(price.get("price"), currency),
        "cost": look.money(price["cost"], currency) if price.get("cost") else "",
        "direct_cost": look.money(price.get("direct_cost"), currency),
        "notes": price.get("notes") or "",
    }


def _price_text(record: Record) -> str:
    """Return the first price, and how many more there are."""
    prices = record["prices"]
    if not prices:
        return ""
    first = look.money(prices[0].get("price"), prices[0]["currency"])
    return first if len(prices) == 1 else f"{first} +{len(prices) - 1}"


def _category(reader: Reader, record: Record) -> str:
    option = reader.account.fields.labels("product", "category").get(record["category"])
    return option["label"] if option is not None else ""


def _deals(reader: Reader, product_id: int) -> Deals:
    """Return the deals that use a product."""
    ids = dict.fromkeys(line["deal_id"] for line in reader.live("deal_product", "product_id", product_id))
    return in_short(reader, [deal for deal_id in ids if (deal := reader.account.live("deal", deal_id)) is not None])
