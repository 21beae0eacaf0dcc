"""The labels of leads every account begins with, and the leads a customer already has."""

import random

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.v1.lead_labels import DEFAULTS, add_label
from sandbox.pipedrive.v1.leads import new_lead

_LEADS = (
    ("Boiler replacement, 12 flats", True, False, "Hot", 18_400),
    ("Inspection contract 2026", True, True, "Warm", 2_950),
    ("Asked at the trade fair", False, True, "Trade fair", None),
    ("Solar panels on the roof", True, False, "Cold", 7_300),
)
"""Title, whether it has a person and an organization, label, amount."""


def add_default_labels(account: Account) -> None:
    """Add the labels of a new account."""
    for name, color in DEFAULTS:
        add_label(account, name, color)


def add_leads(account: Account, draw: random.Random) -> None:
    """Add a label of the customer's own and a few leads with contacts the account has; the last lead is archived."""
    add_label(account, "Trade fair", "purple")
    labels = {label["name"]: label["uuid"] for label in account.store["lead_label"]}
    persons, users = len(account.store["person"]), [user["id"] for user in account.store["user"] if user["active_flag"]]
    for position, (title, has_person, has_organization, label, amount) in enumerate(_LEADS, 1):
        contact, owner = draw.randint(1, persons), draw.choice(users)
        values = {
            "title": title,
            "owner_id": owner,
            "person_id": contact if has_person else None,
            "organization_id": contact if has_organization else None,
            "label_ids": [labels[label]],
            "value": amount,
            "currency": account.options.currency if amount is not None else None,
            "source_name": "Manually created",
            "origin": "ManuallyCreated",
            "was_seen": True,
            "add_time": f"2025-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}T10:{draw.randint(0, 59):02d}:00Z",
        }
        lead = new_lead(account, values, creator=owner, custom={})
        lead["is_archived"] = position == len(_LEADS)
        account.store.put("lead", lead)  # whatever the cap says, as with the deals before it
