"""Products with stock, rates and images, and services."""

from random import Random

from sandbox.stel_order.generator.build import FILES_BASE, Builder, Item, link, moment, money, texts, times
from sandbox.stel_order.generator.reference import CATEGORY_FIRST_ID, WAREHOUSES, series_id, tax_id
from sandbox.stel_order.store import Record

_IMAGE_COUNT = 4
"""Product images in an account of any size up to the default one; larger accounts get proportionally more."""


def build_catalogue(builder: Builder) -> None:
    """Make products and services. Inactive and deleted products are made, but only active ones are offered to documents."""
    rng = builder.rng("products")
    count = builder.plan.count(80)
    images = builder.plan.count(_IMAGE_COUNT * builder.plan.files)
    for index in range(count):
        _product(builder, rng, index, has_image=index % 13 == 1 and index // 13 < images)
    rng = builder.rng("services")
    for index in range(builder.plan.count(15)):
        _service(builder, rng, index)


def _tax(index: int) -> int:
    return (21, 21, 21, 10, 21, 4, 21, 0)[index % 8]


def product_record(rng: Random, index: int, product_id: int) -> Record:
    """Return a product without times."""
    price = rng.randrange(150, 180_000)
    tax = _tax(index)
    name = str(texts()["products"][index % len(texts()["products"])]).format(n=10 + index)
    stock = rng.randrange(0, 60)
    return {
        "id": product_id,
        "reference": f"{product_id:05d}",
        "full-reference": f"PRO{product_id:05d}",
        "name": name,
        "description": rng.choice(texts()["texts"]) if index % 4 == 0 else "",
        "barcode": f"84{rng.randrange(10**11):011d}" if index % 2 else "",
        **link("product-category", "productCategories", None if index % 11 == 10 else CATEGORY_FIRST_ID + index % len(texts()["categories"])),
        "sales-price": money(price),
        "sales-minimum-price": money(price * 8 // 10),
        "purchase-price": money(price * 6 // 10),
        **link("primary-tax", "taxLines", tax_id(tax)),
        "primary-tax-percentage": tax,
        "secondary-tax-percentage": 0,
        "discount-percentage": 0,
        "margin-enabled": False,
        "sales-margin-percentage": 0,
        "purchase-margin-percentage": 0,
        "stock-enabled": index % 3 != 0,
        "real-stock": stock,
        "virtual-stock": stock - 1,
        "minimum-stock": 2,
        "location": rng.choice(("", "A-3", "Pasillo 4 / B")),
        "product-warehouses": _warehouses(stock) if index % 3 else [],
        "item-rates": [{**link("rate", "rates", -2), "price": money(price)}, {**link("rate", "rates", 81), "price": money(price * 9 // 10)}],
        "item-images": [],
        "inactive": index % 16 == 15,
        "promotional": index % 20 == 0,
        "composite": False,
        "sales-countable-account": "70000000",
        "purchase-countable-account": None,
        **link("serial-number", "serialNumbers", series_id("products")),
        "external-id": None,
        "private-comments": None,
        "energy-class": ("A", "A+", "B", "C")[index % 4],
        **({"unit": ("ud", "m²", "caja")[index % 3]} if index % 5 else {}),
        **({"custom-fields": {"Garantía (meses)": (12, 24, 36)[index % 3], "Color": ("Blanco", "Negro", "Inox")[index % 3]}} if index % 2 else {}),
    }


def _warehouses(stock: int) -> list[Record]:
    parts = (stock - stock // 3, stock // 3)
    return [
        {**link("warehouse", "warehouses", warehouse_id), "location": "A-3", "minimum-stock": 1, "real-stock": part, "virtual-stock": part}
        for (warehouse_id, _), part in zip(WAREHOUSES, parts, strict=True)
    ]


def _product(builder: Builder, rng: Random, index: int, *, has_image: bool) -> None:
    product_id = builder.new_id("products")
    record = product_record(rng, index, product_id)
    if has_image:
        image_id = builder.new_id("itemImages")
        url = f"{FILES_BASE}/itemImages/{image_id}.png?token=img{image_id:x}s{builder.plan.seed}"
        record["item-images"] = [{"item-image-path": url, "order": 1}]
    created = moment(rng, rng.random() * 0.3)
    builder.put("products", record | times(rng, created))
    if not record["inactive"]:
        builder.items.append(
            Item(
                "products", product_id, record["full-reference"], record["name"], round(record["sales-price"] * 100), record["primary-tax-percentage"]
            )
        )


def _service(builder: Builder, rng: Random, index: int) -> None:
    service_id = builder.new_id("services")
    names = texts()["services"]
    suffix = "" if index < len(names) else f" ({index})"
    name = f"{names[index % len(names)]}{suffix}"
    price = rng.randrange(2000, 9000)
    reference = f"SER{service_id:05d}"
    builder.put(
        "services",
        {
            "id": service_id,
            "name": name,
            "description": (None, "", {"text": "Descripción como objeto"}, "Precio por hora.")[index % 4],
            "reference": f"{service_id:05d}",
            "full-reference": reference,
            "sales-price": money(price),
            **link("primary-tax", "taxLines", tax_id(21)),
            "primary-tax-percentage": 21,
            "inactive": index % 14 == 13,
            "promotional": False,
            **times(rng, moment(rng, rng.random() * 0.3)),
        },
    )
    if index % 14 != 13:
        builder.items.append(Item("services", service_id, reference, name, price, 21))
