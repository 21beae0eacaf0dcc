"""Caps on the number of things whose figures Pipedrive does not publish, hence options; without one there is no cap."""

from typing import Any

from sandbox.pipedrive.gateway.errors import count_cap
from sandbox.pipedrive.options import Options
from sandbox.pipedrive.store.store import Store

_CAPS: dict[str, tuple[str, str | None, str]] = {
    "note": ("notes_per_deal_max", "deal_id", "note"),
    "deal_product": ("deal_products_max", "deal_id", "deal product"),
    "filter": ("filters_max", None, "filter"),
    "organization_relation": ("organization_relations_max", None, "organization relation"),
}
"""For each capped kind: the option with the number, the column of what has so many at most (None for the company), and its name."""


def check_room(store: Store, options: Options, kind: str, values: dict[str, Any], adding: int = 1) -> None:
    """Refuse more records of a kind than the cap allows.

    Args:
        store: What there is.
        options: The account's options.
        kind: Kind of what is added.
        values: Its values, of which the one it belongs to counts.
        adding: How many are added.

    Raises:
        CapError: When there would be too many.
    """
    cap = _CAPS.get(kind)
    if cap is None:
        return
    option, column, name = cap
    most = getattr(options, option)
    if not most or (column is not None and values.get(column) is None):
        return
    records = store[kind] if column is None else store[kind].find(column, values[column])
    if sum(not record["is_deleted"] for record in records) + adding > most:
        raise count_cap(name, "company" if column is None else "deal")
