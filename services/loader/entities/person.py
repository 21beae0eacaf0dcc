"""Persons (API.md 5.2)."""

from __future__ import annotations

from typing import Final

from services.loader import canonical
from services.loader.entities.base import Entity

PERSON: Final = Entity(
    name="person",
    operations="persons",
    fields={
        "name": canonical.text,
        "owner_id": canonical.reference,
        "org_id": canonical.reference,
        "visible_to": canonical.number,
        "label_ids": canonical.ids,
        "emails": canonical.contacts,
        "phones": canonical.contacts,
        "im": canonical.contacts,
        "add_time": canonical.time,
        "marketing_status": canonical.text,
        "postal_address": canonical.address,
        "notes": canonical.text,
        "birthday": canonical.date,
        "job_title": canonical.text,
    },
    create_only=frozenset({"add_time"}),
    cleared={"emails": [], "phones": [], "im": [], "label_ids": []},
    unclearable=frozenset({"name", "owner_id", "visible_to", "marketing_status"}),
)
"""`add_time` is taken on create only; job title, postal address, birthday, notes and im only where contact sync was set up."""
