"""Companies (the product calls them contacts), their people (associates), and what QuickBooks knows of them."""

from datetime import date, timedelta
from random import Random

from sandbox.results.build import EMPTY_DATE, EXPORTED, Account, Row, address, moment, money, phone, texts
from sandbox.results.reference import user_ref

FIRST_COMPANY = 10_001
FIRST_PERSON = 20_001
_TERMS = ("NET30", "NET15", "Due on receipt", None)
_FREE_MAIL = ("aol.com", "gmail.com", "comcast.net")


def build_companies(account: Account) -> None:
    """Make companies, the last few of them duplicates of others."""
    rng = account.rng("contacts")
    count = account.plan.count(1.0, 12)
    for index in range(count):
        _company(account, rng, index)
    if not account.plan.is_clean:
        _flaws(account, rng, count)


def company_name(index: int) -> str:
    """Return a name; every ninth is in another script, and after some twenty they are numbered."""
    if index % 9 == 8:
        others = texts()["other_companies"]
        return str(others[index // 9 % len(others)]) + (f" {index}" if index >= 9 * len(others) else "")
    names = texts()["companies"]
    return str(names[index % len(names)]) + (f" #{index // len(names) + 1}" if index >= len(names) else "")


def _company(account: Account, rng: Random, index: int) -> None:
    number = FIRST_COMPANY + index
    created = moment(rng)
    domain = f"firm{number}.example"
    is_household = index % 10 == 7
    site = None if is_household else (f"www.{domain}", f"https://{domain}/", f"http://www.{domain}/about-us", domain.upper(), None)[index % 5]
    row: Row = {
        "Contact ID": str(number),
        "Contact Name": company_name(index),
        "Contact Type": ("Customer", "Prospect", "Vendor", "Customer", "Employee")[index % 5],
        "Code": f"C{number}",
        "Parent Contact ID": str(FIRST_COMPANY + index - 3) if index % 11 == 5 else None,
        "Group / Category": ("Commercial", "Commercial; Schools", None, "Residential")[index % 4],
        "Source": ("Trade show", "Referral", None)[index % 3],
        "Territory": ("North", "Shore", "Western", None)[index % 4],
        "Account Manager": user_ref(index) if index % 8 else None,
        "Phone": phone(rng),
        "Phone 2": phone(rng) if index % 6 == 0 else None,
        "Fax": phone(rng) if index % 7 == 0 else None,
        "Email": f"household{number}@{rng.choice(_FREE_MAIL)}" if is_household else f"info@{domain}" if index % 4 else None,
        "Web Site": site,
        **address(rng, index),
        **(address(rng, index + 1, "Ship ") if index % 5 == 2 else {}),
        "Price Level": "Contractor" if index % 6 == 0 else None,
        "Terms": _TERMS[index % len(_TERMS)],
        "Tax Code": "Tax" if index % 2 else "Non",
        "Mailing Codes": "Newsletter; Holiday card" if index % 5 == 0 else None,
        "Balance": money(-120 if index == 3 else rng.randrange(900_000) / 100) if index % 3 == 0 else None,
        "QBI List ID": f"80000{index:03d}-{1_234_567_890 + index}" if index % 3 == 0 else None,
        "Inactive": index % 13 == 12,
        "Notes": rng.choice(texts()["notes"]) if index % 4 == 1 else None,
        "Created Date": created,
        "Created By": user_ref(index + 1),
        "Modified Date": created + timedelta(days=rng.randrange(30)),
        "Modified By": user_ref(index + 2),
        "UDF: Boiler Count": rng.randrange(9) if index % 2 == 0 else None,
        "UDF: Contract Renewal": EMPTY_DATE if index % 9 == 4 else date(2026, 1 + index % 12, 1 + (index * 7) % 28) if index % 3 else None,
        "UDF: Key Account": index % 5 == 0,
        "UDF: Building Type": ("Office", "Retail", "School", "Other", None)[index % 5],
        "UDF: Access Notes": "Gate code 4471; ring twice" if index % 6 == 3 else None,
    }
    account.put("contacts", row, *(("empty_date",) if index % 9 == 4 else ()))
    if row["QBI List ID"]:
        _quickbooks(account, rng, index, row)


def _quickbooks(account: Account, rng: Random, index: int, row: Row) -> None:
    """Write QuickBooks' own record of a linked company; every second one differs."""
    is_other = index % 2 == 1 and not account.plan.is_clean
    modified = EXPORTED - timedelta(days=1) if index % 4 == 1 else row["Created Date"] - timedelta(days=5)
    mine: Row = {
        "List ID": row["QBI List ID"],
        "Customer": f"{row['Contact Name']} (QB)" if is_other else row["Contact Name"],
        "Company": row["Contact Name"],
        "Phone": phone(rng) if is_other else row["Phone"],
        "Email": f"billing@firm{row['Contact ID']}.example" if is_other else row["Email"],
        "Bill Address 1": f"PO Box {index + 100}" if is_other else row["Address 1"],
        "Bill City": row["City"],
        "Bill State": row["State"],
        "Bill Zip": row["Zip"],
        "Balance": money(float(row["Balance"]) + 75) if is_other else row["Balance"],
        "Balance As Of": EXPORTED.date(),
        "Time Modified": modified,
    }
    account.put("quickbooks/customers", mine, *(("quickbooks_differs",) if is_other else ()))


def _flaws(account: Account, rng: Random, count: int) -> None:
    """Add a real duplicate by domain, two subsidiaries of one domain with List IDs of their own, and a List ID that stands twice."""
    first = account.tables["contacts"][1]
    twin = first | {"Contact ID": str(FIRST_COMPANY + count), "Contact Name": f"{first['Contact Name']} LLC", "QBI List ID": None, "Code": None}
    twin |= {"Web Site": f"HTTP://WWW.firm{first['Contact ID']}.example/contact", "Email": None, "Parent Contact ID": None, "Notes": None}
    account.put("contacts", twin, "same_domain")
    first["Web Site"] = f"https://firm{first['Contact ID']}.example"
    for step in (1, 2):
        number = FIRST_COMPANY + count + step
        branch: Row = {"Contact ID": str(number), "Contact Name": f"{texts()['companies'][11]} Branch {step}", "Contact Type": "Customer"}
        branch |= {"Web Site": "www.delmarvapools.example", "QBI List ID": f"9000000{step}-77", "Phone": phone(rng), "Inactive": False}
        branch |= {"Created Date": moment(rng), "Account Manager": user_ref(step)}
        account.put("contacts", branch, "same_domain_other_list_id")
    linked = [row for row in account.tables["contacts"] if row["QBI List ID"]]
    account.put(
        "contacts",
        {"Contact ID": str(FIRST_COMPANY + count + 3), "Contact Name": "Merged Remnant Co.", "QBI List ID": linked[1]["QBI List ID"]}
        | {"Inactive": False, "Created Date": moment(rng)},
        "list_id_twice",
    )
    account.put(
        "contacts",
        {"Contact ID": str(FIRST_COMPANY + count + 4), "Contact Name": "Rep Left Inc.", "Account Manager": "Dale Former", "Inactive": False}
        | {"Created Date": moment(rng)},
        "owner_unknown",
    )


def build_people(account: Account) -> None:
    """Make the people of the companies; some belong to no company."""
    rng = account.rng("associates")
    companies = [row["Contact ID"] for row in account.tables["contacts"]]
    for index in range(account.plan.count(1.5, 14)):
        _person(account, rng, index, companies)


def _person(account: Account, rng: Random, index: int, companies: list[str]) -> None:
    number = FIRST_PERSON + index
    first, middle, last = texts()["people"][index % len(texts()["people"])]
    created = moment(rng)
    has_email = index % 6 != 4
    flaws = [] if has_email else ["person_without_email"]
    company: str | None = companies[index % (len(companies) - 1)] if index % 17 != 16 else None
    if not account.plan.is_clean and index == 9:
        company, flaws = "99999", [*flaws, "person_of_absent_company"]
    elif company is None:
        flaws.append("person_without_company")
    row: Row = {
        "Associate ID": str(number),
        "Contact ID": company,
        "First Name": first,
        "Middle Name": middle or None,
        "Last Name": last or None,
        "Salutation": ("Mr.", "Ms.", None)[index % 3],
        "Title": rng.choice(texts()["titles"]) or None,
        "Associate Type": ("Decision maker", "Influencer", "Billing", None)[index % 4],
        "Relation Type": "Spouse" if index % 12 == 0 else None,
        "Primary": index < len(companies) and company is not None,
        "Email": f"person{number}@firm{company}.example" if has_email else None,
        "Email 2": f"p{number}@gmail.com" if index % 5 == 0 else None,
        "Phone": phone(rng),
        "Extension": str(100 + index % 50) if index % 3 == 0 else None,
        "Cell": phone(rng) if index % 2 else None,
        "Home Phone": phone(rng) if index % 7 == 0 else None,
        "Fax": None,
        **(address(rng, index) if index % 4 == 0 else {}),
        "Birthday": EMPTY_DATE if index % 8 == 3 else date(1950 + index % 50, 1 + index % 12, 1 + (index * 5) % 28) if index % 3 == 0 else None,
        "Do Not Email": index % 9 == 0,
        "Inactive": index % 15 == 14,
        "Notes": rng.choice(texts()["notes"]) if index % 6 == 1 else None,
        "Created Date": created,
        "Modified Date": created + timedelta(hours=5),
        "UDF: Preferred Language": ("English", "Spanish", None, "French")[index % 4],
    }
    account.put("associates", row, *flaws, *(("empty_date",) if index % 8 == 3 else ()))
