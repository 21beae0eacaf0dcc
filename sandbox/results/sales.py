"""Opportunities, projects, activities, products, documents with lines, and payments."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from sandbox.results.build import Account, Row, moment, money, texts
from sandbox.results.reference import ACTIVITY_TYPES, OUTCOMES, STAGES, user_ref

FIRST_OPPORTUNITY = 701
FIRST_PROJECT = 401
FIRST_ACTIVITY = 50_001
FIRST_DOCUMENT = 3_001
_STATUS_OF = {"Won": "Won", "Lost": "Lost"}


def build_opportunities(account: Account) -> None:
    """Make opportunities through every stage of both types, some without a company (1,425 of 8,800 in the account known)."""
    rng = account.rng("opportunities")
    stages = [(kind, *stage) for kind, of_kind in STAGES.items() for stage in of_kind]
    people: dict[str, str] = {}
    for row in account.tables["associates"]:
        if row["Contact ID"]:
            people.setdefault(row["Contact ID"], row["Associate ID"])
    companies = [row["Contact ID"] for row in account.tables["contacts"]]
    for index in range(account.plan.count(1.2, 24)):
        _opportunity(account, rng, index, stages[index % len(stages)], companies=companies, people=people)


def _opportunity(
    account: Account, rng: Random, index: int, stage: tuple[str, str, int, str | None], *, companies: list[str], people: dict[str, str]
) -> None:
    number = FIRST_OPPORTUNITY + index
    kind, name, percent, closed = stage
    created = moment(rng)
    flaws: list[str] = []
    company: str | None = companies[(index * 3) % len(companies)]
    if index % 6 == 5:
        company = None
        flaws.append("deal_without_company")
    elif not account.plan.is_clean and index == 7:
        company = "99998"
        flaws.append("deal_of_absent_company")
    rep = user_ref(index)
    if not account.plan.is_clean and index % 19 == 10:
        rep = "ZZ"
        flaws.append("owner_unknown")
    status = _STATUS_OF.get(closed or "", "On hold" if index % 9 == 2 else "Open")
    row: Row = {
        "Opportunity ID": str(number),
        "Opportunity Name": f"{texts()['opportunities'][index % len(texts()['opportunities'])]} {number}",
        "Contact ID": company,
        "Associate ID": people.get(company or "") if index % 4 else None,
        "Opportunity Type": kind,
        "Stage": name,
        "Probability": percent if status in {"Open", "On hold"} else {"Won": 100}.get(status, 0),
        "Status": status,
        "Amount": money(rng.randrange(5_000, 4_000_000) / 100) if index % 10 != 9 else None,
        "Expected Close Date": date(2026, 1 + index % 12, 1 + (index * 11) % 28) if index % 7 else None,
        "Actual Close Date": (created + timedelta(days=20)).date() if closed else None,
        "Lost Reason": rng.choice(texts()["lost_reasons"]) or None if closed == "Lost" else None,
        "Competitor": rng.choice(texts()["competitors"]) or None,
        "Source": ("Referral", "Web site", None)[index % 3],
        "Sales Rep": rep,
        "Project ID": str(FIRST_PROJECT + index) if closed == "Won" else None,
        "Description": f"{texts()['opportunities'][6]} ({index})" if index % 3 == 0 else None,
        "Notes": rng.choice(texts()["notes"]) if index % 3 == 1 else None,
        "QBI List ID": f"8000A{index:03d}-55" if closed == "Won" else None,
        "Created Date": created,
        "Modified Date": created + timedelta(days=21),
        "UDF: Decision Date": date(2026, 1 + index % 12, 13 + index % 15) if index % 2 else None,
        "UDF: Site Square Feet": rng.randrange(10, 400) * 100 if index % 3 == 0 else None,
        "UDF: Financing": ("Lease", "Cash", None)[index % 3],
    }
    account.put("opportunities", row, *flaws)
    if row["Project ID"]:
        _project(account, row, created)


def _project(account: Account, opportunity: Row, created: datetime) -> None:
    row: Row = {
        "Project ID": opportunity["Project ID"],
        "Project Name": opportunity["Opportunity Name"],
        "Contact ID": opportunity["Contact ID"],
        "Opportunity ID": opportunity["Opportunity ID"],
        "Type": "Installation",
        "Stage": "In Progress",
        "Status": "Open",
        "Is Opportunity": False,
        "Project Started": (created + timedelta(days=25)).date(),
        "Contract Approved Date": (created + timedelta(days=22)).date(),
        "Start": (created + timedelta(days=30)).date(),
        "End": None,
        "Manager": user_ref(int(opportunity["Project ID"])),
        "QBI List ID": opportunity["QBI List ID"],
    }
    account.put("projects", row)


def build_activities(account: Account) -> None:
    """Make activities of every type and outcome, on deals, companies and people."""
    rng = account.rng("activities")
    opportunities, companies = account.tables["opportunities"], account.tables["contacts"]
    people = account.tables["associates"]
    for index in range(account.plan.count(3.0, 40)):
        opportunity = opportunities[index % len(opportunities)] if index % 3 == 0 else None
        person = people[index % len(people)] if index % 3 == 1 else None
        company = opportunity["Contact ID"] if opportunity else person["Contact ID"] if person else companies[index % len(companies)]["Contact ID"]
        start = moment(rng)
        is_done = index % 4 != 0
        has_time = index % 5 != 3
        duration = rng.choice((15, 30, 45, 60, 90)) if has_time else None
        uses_end = index % 2 == 1 and has_time
        end = (start + timedelta(minutes=duration or 0)).time()
        row: Row = {
            "Activity ID": str(FIRST_ACTIVITY + index),
            "Activity Type": ACTIVITY_TYPES[index % len(ACTIVITY_TYPES)],
            "Activity Status": ("Held", "Scheduled", "Canceled", "Not Held")[index % 4] if is_done else "Scheduled",
            "Subject": f"{texts()['subjects'][index % len(texts()['subjects'])]}" if index % 11 != 10 else None,
            "Notes": rng.choice(texts()["notes"]) if index % 2 == 0 else None,
            "Start Date": start.date(),
            "Start Time": time(start.hour, start.minute) if has_time else None,
            "End Time": end if uses_end else None,
            "Duration": duration if not uses_end else None,
            "Completed": is_done,
            "Completed Date": start.date() if is_done else None,
            "Outcome": OUTCOMES[index % len(OUTCOMES)] if is_done else None,
            "Contact ID": company,
            "Associate ID": person["Associate ID"] if person else None,
            "Opportunity ID": opportunity["Opportunity ID"] if opportunity else None,
            "Assigned To": user_ref(index + 1),
            "Created By": user_ref(index + 2),
            "Created Date": start - timedelta(days=1),
            "Modified Date": start,
        }
        account.put("activities", row)


def build_products(account: Account) -> None:
    """Make the catalogue; one product is inactive."""
    for index, (sku, name, line, description, price, cost) in enumerate(texts()["products"]):
        row: Row = {
            "Product ID": str(101 + index),
            "SKU": sku,
            "Product Name": name,
            "Product Line": line,
            "Description": description or None,
            "Sales Price": money(price),
            "Cost": money(cost) if cost else None,
            "Price Level: Contractor": money(price * 0.9) if index % 3 == 0 else None,
            "Qty On Hand": (index * 7) % 40 if line != "Services" else None,
            "Taxable": line != "Services",
            "Inactive": name.startswith("Refrigerator"),
            "QBI List ID": f"8000P{index:03d}-9" if index % 2 == 0 else None,
        }
        account.put("products", row)


def build_documents(account: Account) -> None:
    """Make quotes, orders and invoices: of every third opportunity a chain, and some documents without one."""
    rng = account.rng("documents")
    number = FIRST_DOCUMENT
    for index, opportunity in enumerate(account.tables["opportunities"]):
        if index % 3 or not opportunity["Contact ID"]:
            continue
        kinds = ("Quote", "Sales Order", "Invoice") if opportunity["Status"] == "Won" else ("Quote",) if index % 2 else ("Estimate",)
        before = None
        for kind in kinds:
            _document(account, rng, number, kind, company=opportunity["Contact ID"], opportunity=opportunity, before=before)
            before, number = str(number), number + 1
    for index, kind in enumerate(("Purchase Order", "Sales Receipt", "Credit Memo", "Invoice")):
        _document(account, rng, number, kind, company=account.tables["contacts"][index + 2]["Contact ID"])
        number += 1


def _document(
    account: Account, rng: Random, number: int, kind: str, *, company: str, opportunity: Row | None = None, before: str | None = None
) -> None:
    day = moment(rng).date()
    lines = _lines(account, rng, number)
    subtotal = sum((line["Amount"] for line in lines), Decimal(0))
    sign = -1 if kind == "Credit Memo" else 1
    tax = (subtotal * Decimal("0.06")).quantize(Decimal("0.01"))
    total = sign * (subtotal + tax)
    is_paid = number % 3 != 0
    row: Row = {
        "Document ID": str(number),
        "Document Type": kind,
        "Number": f"{kind[0]}-{number}",
        "Date": day,
        "Contact ID": company,
        "Opportunity ID": opportunity["Opportunity ID"] if opportunity else None,
        "Project ID": opportunity["Project ID"] if opportunity else None,
        "Terms": "NET30",
        "Sales Rep": opportunity["Sales Rep"] if opportunity else user_ref(number),
        "Ship Via": "Our truck" if number % 3 == 0 else None,
        "Class": "Retail" if number % 4 == 0 else None,
        "Subtotal": sign * subtotal,
        "Tax": sign * tax,
        "Total": total,
        "Balance Due": Decimal("0.00") if is_paid else total,
        "Status": ("Open", "Paid")[is_paid] if kind == "Invoice" else "Sent",
        "Converted From": before,
        "Due Date": day + timedelta(days=30) if kind == "Invoice" else None,
        "QBI Txn ID": f"T{number:05d}-1" if kind in {"Invoice", "Sales Receipt"} else None,
    }
    account.put("documents", row)
    if kind == "Invoice" and is_paid:
        half = (total / 2).quantize(Decimal("0.01"))
        for step, amount in enumerate((half, total - half)):
            _payment(account, f"{number}{step}", row, amount, ("Check", "Credit card")[step])
    if kind == "Credit Memo":
        _payment(account, f"{number}9", row, total, "Refund")


def _payment(account: Account, payment_id: str, document: Row, amount: Decimal, method: str) -> None:
    day = document["Date"] + timedelta(days=12)
    row: Row = {"Payment ID": payment_id, "Date": day, "Contact ID": document["Contact ID"], "Invoice Number": document["Number"]}
    account.put("payments", row | {"Method": method, "Reference": f"#{payment_id}" if method == "Check" else None, "Amount": amount})


_MISSPELLED = ("gtx pro thermostat", "GTXPro-Thermostat", "Thermostat GTX Professional")
"""How people write a product: found when letters' case does not count, found when blanks and marks do not, not found."""


def _lines(account: Account, rng: Random, number: int) -> list[Row]:
    products = [row for row in account.tables["products"] if not row["Inactive"]]
    made: list[Row] = []
    for position in range(1, 2 + rng.randrange(1, 4)):
        product = products[rng.randrange(len(products))]
        written: str | None = product["Product ID"]
        flaws: tuple[str, ...] = ()
        name = str(product["Product Name"])
        if position == 2:
            written = name
            flaws = ("product_by_name",)
            if not account.plan.is_clean and number % 3 == 0:
                product = products[0]
                written = _MISSPELLED[number // 3 % 3]
                flaws = (("product_other_case", "product_other_marks", "product_unknown")[number // 3 % 3],)
        quantity, discount = rng.randrange(1, 6), rng.choice((0, 0, 0, 10))
        amount = (product["Sales Price"] * quantity * (100 - discount) / 100).quantize(Decimal("0.01"))
        row: Row = {
            "Line ID": f"{number}{position:02d}",
            "Document ID": str(number),
            "Line Number": position,
            "Product ID": written,
            "Description": product["Description"] or product["Product Name"],
            "Quantity": quantity,
            "Rate": product["Sales Price"],
            "Discount": discount,
            "Amount": amount,
            "Tax Code": "Tax" if product["Taxable"] else "Non",
        }
        made.append(account.put("document_lines", row, *flaws))
    if number % 5 == 0:
        text = {"Line ID": f"{number}99", "Document ID": str(number), "Line Number": 99, "Description": "Thank you for your business!"}
        made.append(account.put("document_lines", text | {"Amount": Decimal("0.00")}, "line_of_text"))
    return made
