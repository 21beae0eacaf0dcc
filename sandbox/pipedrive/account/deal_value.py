"""The value of a deal as its lines and discounts make it.

That a discount changes the value of a deal with one-time lines is documented; how the two are worked out is assumed.
"""

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.currencies import round_money
from sandbox.pipedrive.store.store import Record

ONE_TIME = "one-time"
CYCLES_A_YEAR = {"annually": 1, "semi-annually": 2, "quarterly": 4, "monthly": 12, "weekly": 52}


def lines_of(account: Account, deal_id: int) -> list[Record]:
    """Return the live lines of a deal by ascending id."""
    return [line for line in account.store["deal_product"].find("deal_id", deal_id) if not line["is_deleted"]]


def discounts_of(account: Account, deal_id: int) -> list[Record]:
    """Return the live discounts of a deal by ascending id."""
    return [discount for discount in account.store["discount"].find("deal_id", deal_id) if not discount["is_deleted"]]


def follow_lines(account: Account, deal_id: int) -> None:
    """Set a deal's value to what its enabled lines and its discounts make, unless the account leaves values alone, and what recurs of it."""
    deal = account.store["deal"].get(deal_id)
    if deal is None:
        return
    changes = recurring_values(account, lines_of(account, deal_id), deal["currency"])
    if account.options.recompute_value:
        changes["value"] = round_money(_total(account, deal_id), deal["currency"])
    elif all(deal.get(name) == value for name, value in changes.items()):
        return
    account.store.put("deal", {**deal, **changes, "update_time": account.now()})


def recurring_values(account: Account, lines: list[Record], currency: str) -> dict[str, float | int | None]:
    """Return `mrr`, `arr` and `acv` of a deal: what recurs in a month and in a year, and the value of the first year.

    They are null without lines and on plans without recurring products (documented); discounts leave them alone (assumed).
    """
    if not lines or account.options.plan == "lite":
        return dict.fromkeys(("mrr", "arr", "acv"))
    monthly = first_year = 0.0
    for line in lines:
        if not line["is_enabled"]:
            continue
        yearly = CYCLES_A_YEAR.get(line["billing_frequency"])
        if yearly is None:
            first_year += line["sum"]
        else:
            monthly += line["sum"] * yearly / 12
            first_year += line["sum"] * min(yearly, line["billing_frequency_cycles"] or yearly)
    amounts = {"mrr": monthly, "arr": monthly * 12, "acv": first_year}
    return {name: round_money(amount, currency) for name, amount in amounts.items()}


def follow_discounts(account: Account, deal_id: int) -> None:
    """Set a deal's value after a change of its discounts; only deals with one-time lines follow (documented)."""
    if account.options.discounts != "ignore" and any(line["billing_frequency"] == ONE_TIME for line in lines_of(account, deal_id)):
        follow_lines(account, deal_id)


def _total(account: Account, deal_id: int) -> float:
    """Sum of the enabled lines less the discounts, each off what the ones before it left, never below zero."""
    enabled = [line for line in lines_of(account, deal_id) if line["is_enabled"]]
    if account.options.discounts == "ignore":
        return float(sum(line["sum"] for line in enabled))
    is_for_all = account.options.discounts == "all"
    reduced = float(sum(line["sum"] for line in enabled if is_for_all or line["billing_frequency"] == ONE_TIME))
    kept = float(sum(line["sum"] for line in enabled)) - reduced
    if reduced > 0:
        for discount in discounts_of(account, deal_id):
            reduced -= reduced * discount["amount"] / 100 if discount["type"] == "percentage" else discount["amount"]
        reduced = max(reduced, 0.0)
    return reduced + kept
