"""Users, pick lists, stages and the tenant's own fields."""

from typing import Final

from sandbox.results.build import Account, Row

USERS: Final = (
    ("1", "lgarcia", "Lucía García", "lucia.garcia@example.com", "LG", True),
    ("2", "mruiz", "Mateo Ruiz", "Mateo.Ruiz@example.com", "MR", True),
    ("3", "isoto", "Inés Soto", "ines.soto@example.com", "IS", True),
    ("4", "tvega", "Tomás Vega", "tomas.vega@example.com", "TV", True),
    ("5", "cvidal", "Carmen Vidal", "carmen.vidal@example.com", "CV", False),
    ("6", "office", "Front Office", None, "FO", True),
)
"""Id, user name, full name, e-mail, initials, active. The fifth has left, the sixth has no e-mail."""
KNOWN_USERS: Final = USERS[:4]
STAGES: Final[dict[str, tuple[tuple[str, int, str | None], ...]]] = {
    "New Business": (
        ("Prospect", 10, None),
        ("Qualified", 25, None),
        ("Proposal", 60, None),
        ("Negotiation", 80, None),
        ("Closed Won", 100, "Won"),
        ("Closed Lost", 0, "Lost"),
    ),
    "Service Agreement": (("Quoted", 40, None), ("Proposal", 55, None), ("Signed", 100, "Won"), ("Declined", 0, "Lost")),
}
"""By opportunity type: stage, percent, what it closes as. Both types have a stage `Proposal`."""
ACTIVITY_TYPES: Final = ("Call", "E-mail", "Meeting", "Task", "Letter", "Site Visit")
OUTCOMES: Final = ("Connected", "Left voice mail", "No answer", "Interested", "Not interested", None)
_LISTS: Final = {
    "Contact Type": ("Prospect", "Customer", "Vendor", "Employee"),
    "Activity Type": ACTIVITY_TYPES,
    "Activity Status": ("Scheduled", "Held", "Canceled", "Not Held"),
    "Source": ("Trade show", "Referral", "Web site", "Yellow Pages"),
    "Territory": ("North", "Shore", "Western"),
    "Associate Type": ("Decision maker", "Influencer", "Billing"),
    "Outcome": tuple(one for one in OUTCOMES if one),
    "Building Type": ("Office", "Retail", "School", "Other"),
}
_FIELDS: Final = (
    ("Contact", "Boiler Count", "Number", None),
    ("Contact", "Contract Renewal", "Date", None),
    ("Contact", "Key Account", "Check box", None),
    ("Contact", "Building Type", "Drop-down", "Office;Retail;School;Other"),
    ("Contact", "Access Notes", "Memo", None),
    ("Associate", "Preferred Language", "Drop-down", "English;Spanish;French"),
    ("Opportunity", "Decision Date", "Date", None),
    ("Opportunity", "Site Square Feet", "Number", None),
    ("Opportunity", "Financing", "Text", None),
)


def build_reference(account: Account) -> None:
    """Make everything the other records name."""
    for user_id, name, full_name, email, initials, is_active in USERS:
        row: Row = {
            "User ID": user_id,
            "User Name": name,
            "Full Name": full_name,
            "Email": email,
            "Sales Rep Initials": initials,
            "Active": is_active,
        }
        account.put("users", row, *(() if email else ("user_without_email",)))
    for list_name, values in _LISTS.items():
        for order, value in enumerate(values, start=1):
            account.put("lookups", {"List Name": list_name, "Value": value, "Order": order, "Inactive": value == "Yellow Pages"})
    for object_name, label, kind, choices in _FIELDS:
        account.put("user_defined_fields", {"Object": object_name, "Label": label, "Type": kind, "List Values": choices, "Tab": "Additional Info"})
    for opportunity_type, stages in STAGES.items():
        for order, (stage, percent, closes_as) in enumerate(stages, start=1):
            stage_row: Row = {"Opportunity Type": opportunity_type, "Stage": stage, "Order": order, "Probability": percent, "Closed": closes_as}
            account.put("opportunity_stages", stage_row)


def user_ref(index: int) -> str:
    """Name a user the way people do: full name, e-mail, user name or initials."""
    user = KNOWN_USERS[index % len(KNOWN_USERS)]
    return str(user[(2, 3, 1, 4)[index // len(KNOWN_USERS) % 4]])
