"""Document lines and the sums that follow from them, in whole cents."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from sandbox.stel_order.generator.build import Item, link, money, portion, texts
from sandbox.stel_order.store import Record


@dataclass(frozen=True, slots=True)
class Priced:
    """Lines of a document with the amounts the header shows."""

    lines: list[Record]
    subtotal_cents: int
    tax_cents: int
    discount_cents: int
    breakdown: list[Record]

    @property
    def total_cents(self) -> int:
        """Subtotal plus tax."""
        return self.subtotal_cents + self.tax_cents

    def header(self) -> Record:
        """Return the sums as the header carries them."""
        return {
            "discount-total-amount": money(self.discount_cents),
            "subtotal-amount": money(self.subtotal_cents),
            "tax-total-amount": money(self.tax_cents),
            "total-amount": money(self.total_cents),
            "tax-breakdown": self.breakdown,
            "lines": self.lines,
        }


def make_lines(rng: Random, items: Sequence[Item], count: int, document_id: int) -> list[Record]:
    """Return `count` item lines, with a section in front of longer documents, in an order that is not the order of display."""
    lines: list[Record] = []
    base = document_id * 1000
    if count > 3:
        lines.append(_section(base, 1, document_id))
    lines += [_item_line(rng, rng.choice(items), base + order, order, document_id) for order in range(2, count + 2)]
    rng.shuffle(lines)
    return lines


def price(lines: list[Record], discount_percent: float) -> Priced:
    """Compute a document's sums: item totals less the document discount, tax by rate."""
    by_tax: dict[int, int] = {}
    for line in lines:
        if line["line-type"] == "ITEM" and not line["deleted"]:
            by_tax[line["primary-tax-percentage"]] = by_tax.get(line["primary-tax-percentage"], 0) + round(line["total-amount"] * 100)
    gross = sum(by_tax.values())
    subtotal = gross - portion(gross, discount_percent)
    bases = {tax: cents - portion(cents, discount_percent) for tax, cents in sorted(by_tax.items(), reverse=True)}
    if bases:
        first = next(iter(bases))
        bases[first] += subtotal - sum(bases.values())
    breakdown = [
        {
            "subtotal-amount": money(cents),
            "tax-percentage": tax,
            "tax-name": f"IVA {tax} %",
            "type": "PRIMARY",
            "total-amount": money(portion(cents, tax)),
        }
        for tax, cents in bases.items()
    ]
    return Priced(lines, subtotal, sum(portion(cents, tax) for tax, cents in bases.items()), gross - subtotal, breakdown)


def copy_lines(lines: list[Record], document_id: int) -> list[Record]:
    """Return the lines of an ancestor as a descendant carries them: own ids, same content."""
    return [line | {"id": document_id * 1000 + position, "parent-document-id": document_id} for position, line in enumerate(lines, start=1)]


def _section(base: int, order: int, document_id: int) -> Record:
    return {
        "id": base + 1,
        "order": order,
        "line-type": "SECTION",
        "deleted": False,
        "item-name": "Capítulo 1: trabajos previos — 第一章",
        "parent-document-id": document_id,
    }


def _item_line(rng: Random, item: Item, line_id: int, order: int, document_id: int) -> Record:
    units = rng.choice((1, 1, 2, 3, 5, 0.5, 2.25, 10))
    discount = rng.choice((0, 0, 0, 5, 10, 12.5))
    gross = round(item.price_cents * units)
    return {
        "id": line_id,
        "order": order,
        "line-type": "ITEM",
        "deleted": False,
        **link("item", item.collection, item.id),
        "item-reference": item.reference,
        "item-name": item.name,
        "item-description": rng.choice(texts()["texts"]) if rng.randrange(6) == 0 else "",
        "item-deleted": False,
        "units": units,
        "item-base-price": money(item.price_cents),
        "discount-percentage": discount,
        "total-amount": money(gross - portion(gross, discount)),
        "primary-tax-percentage": item.tax,
        "secondary-tax-percentage": 0,
        "income-tax-enabled": False,
        "parent-document-id": document_id,
        "warehouse-id": -2 if item.collection == "products" else None,
    }
