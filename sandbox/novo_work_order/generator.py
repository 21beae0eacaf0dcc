"""Generates accounts: same plan, same account."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from sandbox.novo_work_order import words
from sandbox.novo_work_order.account import Account, Attached, Row, at
from sandbox.novo_work_order.schedules import add_schedules
from sandbox.novo_work_order.work import add_work

TODAY: Final = date(2026, 2, 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is generated.

    Attributes:
        size: accounts; everything else follows in proportion.
        is_clean: leave the deliberate defects out.
        large_bytes: size of the file that is too large to move.
    """

    seed: int = 1
    size: int = 18
    today: date = TODAY
    is_clean: bool = False
    large_bytes: int = 26 * 1024 * 1024


def generate(plan: Plan) -> Account:
    """Make an account."""
    rng = random.Random(plan.seed)
    account = Account(tenant=f"town-{plan.seed}", today=plan.today)
    _reference(account, rng)
    _users(account, rng, plan)
    _accounts(account, rng, plan)
    _contacts(account, rng, plan)
    _assets(account, rng, plan)
    _parts(account, rng)
    add_schedules(account, rng, is_clean=plan.is_clean)
    add_work(account, rng, plan.size, is_clean=plan.is_clean)
    _attachments(account, rng, plan)
    return account


def _reference(account: Account, rng: random.Random) -> None:
    for number, name in enumerate(words.DEPARTMENTS, start=1):
        account.add("departments", {"Department ID": number, "Department Name": name, "Manager": rng.choice(words.LAST_NAMES)})
    for number in range(1, 9):
        city = words.CITIES[number % len(words.CITIES)]
        account.add(
            "locations",
            {
                "Location ID": number,
                "Location Name": f"Station {number}",
                "Parent Location ID": number // 2 or None,
                "Address": f"{number * 11} {words.STREETS[number % len(words.STREETS)]}, {city[0]}",
                "Parcel ID": f"12-{number:04}-0007",
                "Latitude": round(42.5 + number / 100, 4),
                "Longitude": round(-72.6 - number / 100, 4),
            },
        )
    for module, label, kind, values in (
        ("Work Order", "Ward", "List", ["North", "South", "East"]),
        ("Work Order", "Grant Number", "Text", []),
        ("Work Order", "811 Ticket", "Text", []),
        ("Work Order", "Inspection Date", "Date", []),
        ("Asset", "Inspection Class", "List", ["A", "B", "C"]),
        ("Account", "Billing Cycle", "List", ["Monthly", "Quarterly"]),
    ):
        row = {"Module": module, "Field Label": label, "Field Type": kind, "Required": False, "List Values": "|".join(values), "Default": None}
        account.add("user_defined_fields", row)


def _users(account: Account, rng: random.Random, plan: Plan) -> None:
    for number in range(1, 7):
        first, last = words.FIRST_NAMES[number - 1], words.LAST_NAMES[number - 1]
        account.add(
            "users",
            {
                "User ID": number,
                "User Name": f"user{number}",
                "First Name": first,
                "Last Name": last,
                "Email": f"user{number}@town.example",
                "Phone": f"(413) 555-01{number:02}",
                "Department": words.DEPARTMENTS[number % len(words.DEPARTMENTS)],
                "Group": rng.choice(("Water crew", "Road crew")),
                "Role": words.ROLES[number % len(words.ROLES)],
                "Hourly Rate": 20.0 + number * 2.5,
                "Active": number != 5,
            },
        )
    if not plan.is_clean:
        account.add("users", {"User ID": 7, "User Name": "nomail", "First Name": "Sam", "Last Name": "Hill", "Role": "Technician", "Active": True})
        account.mark("users", 7, "user_without_email")


def _accounts(account: Account, rng: random.Random, plan: Plan) -> None:
    for number in range(1, plan.size + 1):
        name = words.ACCOUNTS[(number - 1) % len(words.ACCOUNTS)]
        city, state, code = rng.choice(words.CITIES)
        added = at(plan.today - timedelta(days=rng.randrange(200, 1500)), 9, number % 60)
        account.add(
            "accounts",
            {
                "Account ID": 1000 + number,
                "Company Name": name if number <= len(words.ACCOUNTS) else f"{name} {number}",
                "Account Type": rng.choice(("Internal", "Resident", "Contractor")),
                "Address 1": f"{rng.randrange(1, 400)} {rng.choice(words.STREETS)}",
                "Address 2": rng.choice((None, "2nd floor")),
                "City": city,
                "State": state,
                "Zip": code,
                "Phone": f"(413) 555-{number:04} x12",
                "Fax": None,
                "Email": f"office{number}@account.example",
                "Web Site": rng.choice((None, f"https://www.account{number}.example")),
                "Parcel ID": f"12-{number:04}-0001",
                "Status": "Inactive" if number % 9 == 8 else "Active",
                "Notes": rng.choice((None, "Gate code 0042\nRing twice", "Pays late <b>always</b>")),
                "Date Added": added,
                "Date Edited": added + timedelta(days=30),
                "UDF: Billing Cycle": rng.choice(("Monthly", "Quarterly", None)),
            },
        )


def _contacts(account: Account, rng: random.Random, plan: Plan) -> None:
    contact_id = 0
    for one in list(account.tables["accounts"]):
        for place in range(1 + one["Account ID"] % 2):
            contact_id += 1
            added = one["Date Added"] + timedelta(days=1)
            account.add(
                "contacts",
                {
                    "Contact ID": contact_id,
                    "Account ID": one["Account ID"],
                    "First Name": words.FIRST_NAMES[contact_id % len(words.FIRST_NAMES)],
                    "Last Name": words.LAST_NAMES[(contact_id + place * 5) % len(words.LAST_NAMES)],
                    "Title": rng.choice((None, "Clerk", "Principal")),
                    "Department": rng.choice((*words.DEPARTMENTS, None)),
                    "Role": rng.choice(("Requester", None)),
                    "Email": f"contact{contact_id}@account.example",
                    "Phone": f"413-555-{contact_id:04}",
                    "Cell Phone": rng.choice((None, f"413-777-{contact_id:04}")),
                    "Preferred": rng.choice(("Email", "Phone")),
                    "Status": "Active",
                    "Date Added": added,
                    "Date Edited": added,
                },
            )
    if plan.is_clean:
        return
    defects: tuple[tuple[str, Row], ...] = (
        ("department_not_listed", {"Department": "Ufficio Tecnico"}),
        ("", {"Department": "public works "}),
        ("contact_without_email", {"Email": None, "Phone": None, "Cell Phone": None}),
        ("contact_of_missing_account", {"Account ID": 99_999}),
        ("contact_without_account", {"Account ID": None}),
    )
    # A small account has room for some of them only.
    for row, (kind, values) in zip(account.tables["contacts"], defects, strict=False):
        row.update(values)
        if kind:
            account.mark("contacts", row["Contact ID"], kind)


def _asset(account: Account, rng: random.Random, asset_id: int, name: str, **values: Any) -> Row:
    maker, model = rng.choice(words.MAKERS)
    installed = account.today - timedelta(days=rng.randrange(400, 4000))
    added = at(installed + timedelta(days=3), 11, asset_id % 60)
    row: Row = {
        "Asset ID": asset_id,
        "Asset Name": name,
        "Asset Type": rng.choice(words.UNITS),
        "Serial Number": f"{asset_id:05}-{rng.choice('ABC')}",
        "Manufacturer": maker,
        "Model": model,
        "Parent Asset ID": None,
        "Account ID": None,
        "Location": f"Station {rng.randrange(1, 9)}",
        "Department": rng.choice(words.DEPARTMENTS),
        "Status": "Active",
        "Install Date": installed,
        "Warranty Expiration": installed + timedelta(days=730),
        "Last Service Date": rng.choice((None, account.today - timedelta(days=rng.randrange(5, 300)))),
        "Maintenance Due Date": account.today + timedelta(days=rng.randrange(5, 300)),
        "Meter Reading": rng.choice((None, rng.randrange(100, 20_000))),
        "Meter Unit": "Hours",
        "Purchase Cost": round(rng.uniform(100, 90_000), 2),
        "Date Added": added,
        "Date Edited": added + timedelta(days=100),
        "UDF: Inspection Class": rng.choice(("A", "B", "C", None)),
    }
    return account.add("assets", row | values)


def _assets(account: Account, rng: random.Random, plan: Plan) -> None:
    asset_id = 500
    for position, one in enumerate(account.tables["accounts"]):
        depth = 1 + position % 4
        parent: int | None = None
        for level, kinds in enumerate((words.PLANTS, words.SYSTEMS, words.UNITS, words.COMPONENTS)[:depth], start=1):
            asset_id += 1
            owner = one["Account ID"] if level == 1 or rng.random() < 0.3 else None
            name = f"{kinds[position % len(kinds)]} {asset_id}"
            parent = _asset(account, rng, asset_id, name, **{"Parent Asset ID": parent, "Account ID": owner})["Asset ID"]
    standalone = _asset(account, rng, asset_id + 1, "Standalone generator", Location="3")
    account.mark("assets", standalone["Asset ID"], "asset_without_account")
    if plan.is_clean:
        return
    first, second = asset_id + 2, asset_id + 3
    for mine, other in ((first, second), (second, first)):
        _asset(account, rng, mine, f"Ring main {mine}", **{"Parent Asset ID": other})
        account.mark("assets", mine, "asset_in_a_circle")
    _asset(account, rng, asset_id + 4, "Branch of the ring", **{"Parent Asset ID": first})
    account.mark("assets", asset_id + 4, "asset_below_a_circle")
    _asset(account, rng, asset_id + 5, "Lost valve", **{"Parent Asset ID": 88_888})
    account.mark("assets", asset_id + 5, "asset_of_missing_parent")
    _asset(account, rng, asset_id + 6, "Old boiler", **{"Status": "Retired", "Account ID": 1001})
    account.mark("assets", asset_id + 6, "asset_retired")
    _asset(account, rng, asset_id + 7, "", **{"Serial Number": "00007", "Account ID": 1001})
    account.mark("assets", asset_id + 7, "asset_without_name")


def _parts(account: Account, rng: random.Random) -> None:
    for number, (part, description, category) in enumerate(words.PARTS):
        account.add(
            "parts",
            {
                "Part Number": part,
                "Description": description,
                "Category": category,
                "Stock Level": rng.randrange(0, 50),
                "Unit Cost": round(rng.uniform(0.5, 250), 2),
                "Reorder Point": 2 + number,
                "Vendor": rng.choice(("Ferguson", "Grainger", None)),
                "Storage Location": f"Shelf {number}",
                "Active": True,
            },
        )


def _attachments(account: Account, rng: random.Random, plan: Plan) -> None:
    names = ("before.jpg", "report.pdf", "Ünïcode naïve.txt", "manual 100%.pdf")
    places = [("Work Order", row["Work Order ID"]) for row in account.tables["work_orders"][:: max(1, plan.size // 4)]]
    places += [("Asset", row["Asset ID"]) for row in account.tables["assets"][:3]]
    places += [("PM", row["PM Schedule ID"]) for row in account.tables["pm_schedules"][:1]]
    for number, (module, record_id) in enumerate(places, start=1):
        _attach(account, number, (module, record_id), names[number % len(names)], rng.randrange(200, 5000))
    if plan.is_clean:
        return
    number = len(places) + 1
    work_order_id = account.tables["work_orders"][0]["Work Order ID"]
    _attach(account, number, ("Work Order", work_order_id), "drone-video.mp4", plan.large_bytes)
    account.mark("attachments", number, "file_too_large")
    _attach(account, number + 1, ("Work Order", work_order_id), "gone.pdf", 1234, is_there=False)
    account.mark("attachments", number + 1, "file_missing")
    _attach(account, number + 2, ("Work Order", 77_777), "orphan.pdf", 321)
    account.mark("attachments", number + 2, "file_of_missing_record")


def _attach(account: Account, number: int, owner: tuple[str, int], name: str, size: int, *, is_there: bool = True) -> None:
    module, record_id = owner
    path = f"{module}/{record_id}/{name}"
    row = {
        "Attachment ID": number,
        "Module": module,
        "Record ID": record_id,
        "File Name": name,
        "Description": f"File {number}",
        "Uploaded By": "user1",
        "Date Added": at(account.today - timedelta(days=number), 15),
        "Size (bytes)": size,
        "Path": path,
    }
    account.add("attachments", row)
    if is_there:
        account.files.append(Attached(path, size, number))
