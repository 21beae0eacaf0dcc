"""Organizations (API.md 5.3)."""

from __future__ import annotations

from typing import Final

from services.loader import canonical
from services.loader.entities.base import Entity

ORGANIZATION: Final = Entity(
    name="organization",
    operations="organizations",
    fields={
        "name": canonical.text,
        "owner_id": canonical.reference,
        "visible_to": canonical.number,
        "label_ids": canonical.ids,
        "add_time": canonical.time,
        "address": canonical.address,
        "website": canonical.text,
        "linkedin": canonical.text,
        "industry": canonical.number,
        "annual_revenue": canonical.number,
        "employee_count": canonical.number,
    },
    create_only=frozenset({"add_time"}),
    cleared={"label_ids": []},
    unclearable=frozenset({"name", "owner_id", "visible_to"}),
)
"""`add_time` is taken on create only."""
