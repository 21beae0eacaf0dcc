"""The record whose followers, discounts, pictures and the like a path names."""

from urllib.parse import parse_qsl

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.schema import Problems
from sandbox.pipedrive.gateway.call import Call
from sandbox.pipedrive.gateway.errors import not_found, validation_failed
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import IDS_MAX, integer_text
from sandbox.pipedrive.v2.resource import can_see

PLURALS = {"deal": "deals", "person": "persons", "organization": "organizations", "product": "products"}
"""Kinds whose records have followers and permitted users, with the name in their paths."""

ARCHIVED = "Archived deal can not be updated"


def live_parent(account: Account, kind: str, call: Call) -> Record:
    """Return the record the first id of a path names.

    Raises:
        ApiError: 404 when it is unknown or deleted, or the caller may not see it.
    """
    title = kind.capitalize()
    record = account.live(kind, call.id(title))
    if record is None or not can_see(call.user, record):
        raise not_found(title)
    return record


def editable_deal(account: Account, call: Call) -> Record:
    """Return the deal the first id of a path names, to change what belongs to it.

    Raises:
        ApiError: 404 as for any record; 400 when it is archived (that archived deals can not be edited is documented; that
            lines, discounts and installments count as the deal, and the text, are assumed).
    """
    deal = live_parent(account, "deal", call)
    if deal["is_archived"]:
        raise validation_failed([f"is_archived: {ARCHIVED}"])
    return deal


def take_deal_ids(call: Call) -> tuple[list[int], dict[str, str]]:
    """Return the `deal_ids` of a query, one comma separated value or several values, and the other parameters.

    Raises:
        ApiError: 400 without any, with more than 100, or with something that is not an id.
    """
    problems = Problems()
    values = [value for name, value in parse_qsl(call.request.query_string.decode("ascii", "replace")) if name in {"deal_ids", "deal_ids[]"}]
    deal_ids = {integer_text(part.strip(), "deal_ids", problems): None for value in values for part in value.split(",")}
    if not values:
        problems.add("deal_ids", "The value is required")
    if len(deal_ids) > IDS_MAX:
        problems.add("deal_ids", f"This collection should contain {IDS_MAX} elements or less.")
    problems.raise_if_any()
    return list(deal_ids), {name: value for name, value in call.query.items() if name not in {"deal_ids", "deal_ids[]"}}
