"""Products of the catalogue (API.md 5.7)."""

from __future__ import annotations

from typing import Final

from services.loader import canonical
from services.loader.entities.base import Entity

PRODUCT: Final = Entity(
    name="product",
    operations="products",
    fields={
        "name": canonical.text,
        "code": canonical.text,
        "description": canonical.text,
        "unit": canonical.text,
        "tax": canonical.number,
        "category": canonical.number,
        "owner_id": canonical.reference,
        "is_linkable": canonical.boolean,
        "visible_to": canonical.number,
        "prices": canonical.prices,
        "billing_frequency": canonical.text,
        "billing_frequency_cycles": canonical.number,
    },
    cleared={"prices": [], "code": "", "description": "", "unit": "", "tax": 0},
    unclearable=frozenset({"name", "owner_id", "visible_to", "category", "is_linkable", "billing_frequency"}),
)
"""Times cannot be set."""
