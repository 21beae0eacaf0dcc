"""Makes a whole account, and the same account some days later."""

from datetime import timedelta
from random import Random

from sandbox.results.build import EXPORTED, Account, Plan, money
from sandbox.results.companies import build_companies, build_people
from sandbox.results.fieldwork import build_attachments, build_jobs
from sandbox.results.reference import build_reference
from sandbox.results.sales import build_activities, build_documents, build_opportunities, build_products

DAYS_LATER = 3
"""Days between the first export and the later one."""
_DELETABLE = "activities"
"""Records of which some are gone later: nothing else points to them."""


def generate(plan: Plan, changes: int = 0) -> Account:
    """Make an account; with `changes` the one it has become some days later, by that seed: records changed, some new, some gone."""
    account = Account(plan)
    for build in (build_reference, build_companies, build_people, build_opportunities, build_activities, build_products, build_documents):
        build(account)
    build_attachments(account)
    build_jobs(account)
    if changes:
        _change(account, changes)
    return account


def _change(account: Account, seed: int) -> None:
    rng = account.rng(f"changes/{seed}")
    later = EXPORTED + timedelta(days=DAYS_LATER)
    for number in range(account.plan.count(0.15, 6)):
        match number % 3:
            case 0:
                row = _one_of(rng, account, "contacts")
                row["Phone"] = f"302-555-{900 + number:04d}"
            case 1:
                row = _one_of(rng, account, "opportunities")
                row["Amount"] = money(100_000 + number)
            case _:
                row = _one_of(rng, account, "associates")
                row["Title"] = f"Director {number}"
        row["Modified Date"] = later
    for number in range(account.plan.count(0.03)):
        gone = account.tables[_DELETABLE]
        del gone[rng.randrange(len(gone))]
        template = account.tables["contacts"][number]
        fresh = template | {"Contact ID": str(30_001 + number), "Contact Name": f"Brand New Customer {number}", "QBI List ID": None}
        fresh |= {"Parent Contact ID": None, "Web Site": f"www.new{number}.example", "Email": f"hi@new{number}.example", "Inactive": False}
        account.put("contacts", fresh | {"Code": f"NEW{number}", "Created Date": later, "Modified Date": later})


def _one_of(rng: Random, account: Account, table: str) -> dict[str, object]:
    rows = account.tables[table]
    return rows[rng.randrange(len(rows))]
