"""What this sandbox is: plan, budget, requests, records."""

from typing import Any

from sandbox.pipedrive.control.journal import Journal
from sandbox.pipedrive.limits.limits import Limits
from sandbox.pipedrive.pages.page import Page
from sandbox.pipedrive.pages.reader import Reader

_KINDS = (
    ("Deals", "deal"), ("Leads", "lead"), ("Organizations", "organization"), ("Persons", "person"), ("Products", "product"),
    ("Line items", "deal_product"), ("Activities", "activity"), ("Notes", "note"), ("Files", "file"),
    ("Organization relations", "organization_relation"),
)  # fmt: skip


def about(reader: Reader, limits: Limits, journal: Journal) -> Page:
    """Show what the sandbox is and what was asked of it."""
    budget = limits.state()
    options = reader.account.options
    share = min(100, round(100 * budget["used"] / budget["budget"])) if budget["budget"] else 100
    rows: list[tuple[str, int, int]] = []
    for title, kind in _KINDS:
        deleted = sum(record["is_deleted"] for record in reader.store[kind])
        rows.append((title, len(reader.store[kind]) - deleted, deleted))
    facts: dict[str, Any] = {
        "Plan": options.plan.capitalize(),
        "Seats": f"{options.seats:,}",
        "Limits": "on" if options.limits else "off",
        "API requests since the start": f"{journal.total:,}",
        "Currency": options.currency,
        "Time zone": options.timezone,
        "Time in the account": reader.moment(reader.account.now()),
        "State": "kept in a file" if options.database is not None else "in memory, gone when the sandbox stops",
    }
    return Page("about.html", "About this sandbox", "about", {"budget": budget, "share": share, "facts": facts, "kinds": rows})
