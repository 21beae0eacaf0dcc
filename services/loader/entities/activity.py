"""Activities (API.md 5.4)."""

from __future__ import annotations

from typing import Final

from services.loader import canonical
from services.loader.entities.base import Entity

ACTIVITY: Final = Entity(
    name="activity",
    operations="activities",
    fields={
        "subject": canonical.text,
        "type": canonical.text,
        "owner_id": canonical.reference,
        "deal_id": canonical.reference,
        "lead_id": canonical.text,
        "project_id": canonical.reference,
        "org_id": canonical.reference,
        "participants": canonical.participants,
        "due_date": canonical.date,
        "due_time": canonical.clock,
        "duration": canonical.clock,
        "busy": canonical.boolean,
        "done": canonical.boolean,
        "location": canonical.address,
        "note": canonical.html,
        "public_description": canonical.text,
        "priority": canonical.number,
        "outcome": canonical.number,
    },
    cleared={"participants": [], "note": "", "public_description": "", "subject": ""},
    unclearable=frozenset({"type", "owner_id", "due_date"}),
    fingerprint=("subject", "type", "due_date", "due_time", "duration", "deal_id", "org_id", "participants", "done", "note"),
)
"""No custom fields, so no external id. A person is linked by `participants`; no time but the due date can be set."""
