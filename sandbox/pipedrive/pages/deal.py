"""The page of a deal."""

from dataclasses import dataclass
from typing import Any

from sandbox.pipedrive.pages import look, values
from sandbox.pipedrive.pages.contacts import organization_card, person_card
from sandbox.pipedrive.pages.deals import card
from sandbox.pipedrive.pages.page import Page, Query
from sandbox.pipedrive.pages.reader import Reader, Ref
from sandbox.pipedrive.pages.timeline import timeline
from sandbox.pipedrive.store.store import Record

_ON_TOP = frozenset({"title", "value", "currency", "status", "stage_id", "pipeline_id", "org_id", "person_id", "owner_id", "label_ids"})
_STAGE_NAMES_MAX = 7
"""With more stages than these the bar has no room for their names."""
_DAY_SECONDS = 86_400
_TAXES = {"exclusive": "excl.", "inclusive": "incl.", "none": ""}


@dataclass(frozen=True, slots=True)
class Step:
    """One stage in the bar."""

    name: str
    state: str
    """`passed`, `current` or `ahead`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One product of the deal."""

    name: str
    href: str
    comments: str
    billing: str
    quantity: str
    price: str
    discount: str
    tax: str
    sum: str
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class Amount:
    """A named amount below the lines."""

    name: str
    amount: str


def show(reader: Reader, query: Query, deal_id: int) -> Page | None:
    """Show a deal."""
    deal = reader.store["deal"].get(deal_id)
    if deal is None:
        return None
    pipeline, stage = reader.store["pipeline"].get(deal["pipeline_id"]), reader.store["stage"].get(deal["stage_id"])
    short = card(reader, deal)
    organization, person = organization_card(reader, deal["org_id"]), person_card(reader, deal["person_id"])
    return Page(
        "deal.html",
        short.title,
        "deals",
        {
            "deal": deal,
            "card": short,
            "value": look.money(deal["value"], deal["currency"]),
            "pipeline": pipeline,
            "stage": stage,
            "steps": _steps(reader, deal),
            "has_step_names": len(reader.account.stages_of(deal["pipeline_id"])) <= _STAGE_NAMES_MAX,
            "stage_days": _days_in_stage(reader, deal),
            "organization": organization,
            "person": person,
            "known": [contact.ref.href for contact in (organization, person) if contact is not None],
            "rows": values.rows(reader, "deal", deal, _ON_TOP),
            "lines": _lines(reader, deal),
            "amounts": _amounts(reader, deal),
            "installments": _installments(reader, deal),
            "participants": _participants(reader, deal),
            "followers": followers(reader, "deal", deal_id),
            "timeline": timeline(reader, "deal", "deal_id", deal, query),
        },
    )


def _steps(reader: Reader, deal: Record) -> list[Step]:
    stages = reader.account.stages_of(deal["pipeline_id"])
    position = next((index for index, stage in enumerate(stages) if stage["id"] == deal["stage_id"]), -1)
    return [Step(stage["name"], "passed" if index < position else "current" if index == position else "ahead") for index, stage in enumerate(stages)]


def _days_in_stage(reader: Reader, deal: Record) -> str:
    since = look.local_time(deal.get("stage_change_time"), reader.zone)
    if since is None:
        return ""
    days = max(0, int((reader.account.clock.epoch() - since.timestamp()) / _DAY_SECONDS))
    return look.plural(days, "day")


def _lines(reader: Reader, deal: Record) -> list[Line]:
    lines = sorted(reader.live("deal_product", "deal_id", deal["id"]), key=lambda line: (line["order_nr"] or 0, line["id"]))
    return [_line(reader, line, deal["currency"]) for line in lines]


def _line(reader: Reader, line: Record, currency: str) -> Line:
    ref = reader.ref("product", line["product_id"])
    variation = reader.store["product_variation"].get(line.get("product_variation_id") or 0)
    name = line["name"] or (ref.text if ref is not None else "")
    is_share = line["discount_type"] == "percentage"
    discount = f"{look.number(line['discount'])}{look.NO_BREAK}%" if is_share else look.money(line["discount"], currency)
    tax = f"{look.number(line['tax'])}{look.NO_BREAK}% {_TAXES.get(line['tax_method'], '')}".strip()
    return Line(
        f"{name} ({variation['name']})" if variation is not None else name,
        ref.href if ref is not None else "",
        line["comments"] if line["comments"] and line["comments"] != name else "",
        billing(line),
        look.number(line["quantity"]),
        look.money(line["item_price"], currency),
        discount if line["discount"] else "",
        tax if line["tax"] else "",
        look.money(line["sum"], currency),
        line["is_enabled"],
    )


def billing(record: Record) -> str:
    """Say how often a product or a line is billed; nothing for one-time billing."""
    frequency, cycles = record.get("billing_frequency"), record.get("billing_frequency_cycles")
    if frequency in (None, "one-time"):
        return ""
    start = look.day(record.get("billing_start_date"))
    parts = [str(frequency).capitalize(), look.plural(cycles, "time") if cycles else "", f"from {start}" if start else ""]
    return ", ".join(filter(None, parts))


def _amounts(reader: Reader, deal: Record) -> list[Amount]:
    """Return the sum of the lines, the discounts on the whole deal, and the deal's value."""
    lines = [line for line in reader.live("deal_product", "deal_id", deal["id"]) if line["is_enabled"]]
    currency = deal["currency"]
    amounts = [Amount("Sum of lines", look.money(sum(line["sum"] for line in lines), currency))]
    for discount in reader.live("discount", "deal_id", deal["id"]):
        is_share = discount.get("type") == "percentage"
        text = f"{look.number(discount['amount'])}{look.NO_BREAK}%" if is_share else look.money(discount["amount"], currency)
        amounts.append(Amount(discount.get("description") or "Discount", f"\u2212{look.NO_BREAK}{text}"))
    return amounts


def _installments(reader: Reader, deal: Record) -> list[dict[str, str]]:
    found = sorted(reader.live("installment", "deal_id", deal["id"]), key=lambda item: (item.get("billing_date") or "", item["id"]))
    return [
        {
            "description": item.get("description") or "Installment",
            "date": look.day(item.get("billing_date")),
            "amount": look.money(item.get("amount"), deal["currency"]),
        }
        for item in found
    ]


def _participants(reader: Reader, deal: Record) -> list[Ref]:
    refs = [reader.ref("person", item.get("person_id")) for item in reader.live("participant", "deal_id", deal["id"])]
    return [ref for ref in refs if ref is not None]


def followers(reader: Reader, kind: str, record_id: int) -> list[Any]:
    """Return the users who follow a record."""
    found = [reader.user(item.get("user_id")) for item in reader.live("follower", "followed", f"{kind}/{record_id}")]
    return [user for user in found if user is not None]
