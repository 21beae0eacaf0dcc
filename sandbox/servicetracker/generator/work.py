"""Assets, contracts, work orders and all that hangs on them."""

from datetime import datetime, timedelta
from random import Random

from sandbox.servicetracker.generator.build import Account, day, moment
from sandbox.servicetracker.generator.texts import FINDINGS, PARTS, SUBJECTS
from sandbox.servicetracker.store import Row, stamp

STATUSES = ("Draft", "Scheduled", "In Progress", "Completed", "Completed", "Cancelled", "Aborted")
PRIORITIES = ("Low", "Medium", "High", "Emergency")


def build_work(account: Account) -> None:
    """Make the work of every customer."""
    rng = account.rng("work")
    for number, customer in enumerate(account.customers):
        assets = [_asset(account, rng, customer, number, one) for one in range((1, 0, 3)[number % 3])]
        contracts = [_contract(account, rng, customer, number, one) for one in range((1, 0, 2, 1)[number % 4])]
        for one in range(1 + number % 3):
            order = _order(account, rng, customer, contracts, number * 3 + one)
            account.orders.append(order)
            _hang_on(account, rng, order, assets, number * 3 + one)
    for number, site in enumerate(list(account.store.live(account.n("Site__c")))):
        if number % 3 == 0:
            values = {
                "Name": f"RL-{number:04d}",
                "Site__c": site["Id"],
                "Bait_Station__c": f"B{number % 9 + 1}",
                "Activity_Level__c": rng.choice(("None", "Low", "High")),
            }
            account.add("Rodent_Log__c", values | {"Logged_On__c": day(moment(rng, 0.7)), "OwnerId": account.users[1]["Id"]}, moment(rng, 0.7))
    for number in range(0, len(account.customers), 13):
        answers = {f"Survey_Question_Number_{one:03d}_Of_The_Annual_Water__c": f"answer {one}" for one in range(1, 341, 17)}
        account.add("Water_Survey__c", {"Name": f"WS-{number}", "Client__c": account.customers[number]["Id"], **answers}, moment(rng, 0.8))


def _asset(account: Account, rng: Random, customer: Row, number: int, one: int) -> Row:
    installed = moment(rng, 0.05 + 0.1 * one)
    sites = account.sites[customer["Id"]]
    values = {
        "Name": f"{('Boiler', 'Water tank', 'Fly killer')[one % 3]} {number}-{one}",
        ".Client__c": customer["Id"],
        ".Site__c": sites[one % len(sites)]["Id"] if sites else None,
        ".Serial_Number__c": f"SN{number:03d}{one}/δ",
        ".Asset_Location__c": ("Plant room", "Kitchen", "Dach")[one % 3],
        ".Install_Date__c": day(installed),
        ".Warranty_Expiry__c": day(installed, 730),
        ".Last_Service_Date__c": day(installed, 365) if one % 2 == 0 else None,
        "Refrigerant__c": rng.choice(("R32", "R410A", "none")),
        "OwnerId": account.users[0]["Id"],
    }
    return account.add(".Equipment__c", values, installed)


def _contract(account: Account, rng: Random, customer: Row, number: int, one: int) -> Row:
    start = moment(rng, 0.2 + 0.3 * one)
    values = {
        "Name": f"CON-{number:04d}-{one}",
        ".Client__c": customer["Id"],
        ".Start_Date__c": day(start),
        ".End_Date__c": day(start, 364),
        ".Renewal_Date__c": day(start, 334),
        ".SLA_Tier__c": rng.choice(("Gold", "Silver", "Bronze")),
        ".Status__c": ("Active", "On Stop", "On Hold", "Expired")[(number + one) % 4],
        ".Annual_Value__c": rng.randrange(4, 90) * 125.5,
        "OwnerId": customer["OwnerId"],
    }
    return account.add(".Contract__c", values, start)


def _order(account: Account, rng: Random, customer: Row, contracts: list[Row], number: int) -> Row:
    planned = moment(rng, 0.3 + 0.65 * (number / (account.plan.customers * 3)))
    status = STATUSES[number % len(STATUSES)]
    sites, contacts = account.sites[customer["Id"]], account.contacts[customer["Id"]]
    technician = account.technicians[number % len(account.technicians)] if number % 6 else None
    values = {
        "Name": f"WO-{number:06d}",
        ".Client__c": customer["Id"],
        ".Site__c": sites[number % len(sites)]["Id"] if sites else None,
        ".Contact__c": contacts[number % len(contacts)]["Id"] if contacts and number % 2 else None,
        ".Contract__c": contracts[number % len(contracts)]["Id"] if contracts and number % 4 else None,
        ".Technician__c": technician["Id"] if technician else None,
        "RecordTypeId": account.record_types[number % 2]["Id"] if number % 7 else None,
        ".Subject__c": SUBJECTS[number % len(SUBJECTS)],
        ".Status__c": status,
        ".Priority__c": PRIORITIES[number % len(PRIORITIES)],
        ".Scheduled__c": stamp(planned),
        ".Completed__c": stamp(planned + timedelta(hours=3)) if status == "Completed" else None,
        ".Total_Value__c": rng.randrange(5, 900) * 10.25,
        ".Description__c": f"Order {number}: see site notes.\n<script>alert('x')</script>" if number % 5 == 0 else None,
        "Billing_Reference__c": f"PO-{number * 7}" if number % 3 else None,
        "Hours_On_Site__c": (number % 9) + 0.5,
        "Permit_Needed__c": number % 4 == 0,
        "OwnerId": account.users[number % 3]["Id"],
    }
    return account.add(".Work_Order__c", values, planned - timedelta(days=3))


def _hang_on(account: Account, rng: Random, order: Row, assets: list[Row], number: int) -> None:
    scheduled = order[account.n("Scheduled__c")]
    begin = moment(rng, 0.4) if scheduled is None else _parsed(scheduled)
    base = {".Work_Order__c": order["Id"], "OwnerId": order["OwnerId"]}
    for one in range(1 + number % 2):
        start = begin + timedelta(days=one, hours=1)
        values = base | {
            "Name": f"V-{number:05d}-{one}",
            ".Technician__c": order[account.n("Technician__c")],
            ".Start__c": stamp(start),
            ".End__c": stamp(start + timedelta(minutes=45 + 30 * one)),
            ".Status__c": ("Done", "Planned", "Aborted")[(number + one) % 3],
            ".Internal_Notes__c": "Checked in at the gate\nParking: bay 4 & 5" if one == 0 else None,
        }
        visit = account.add(".Visit__c", values, start)
        if assets and one == 0:
            _inspections(account, rng, visit, assets, number)
    if number % 3 == 0:
        values = base | {"Name": PARTS[number % len(PARTS)], ".Quantity__c": 1 + number % 4, ".Unit_Price__c": 12.5, ".Installed_Date__c": day(begin)}
        account.add(".Part__c", values, begin)
    if order[account.n("Status__c")] == "Completed":
        values = base | {"Name": f"S-{number:05d}", ".Signed_By__c": "Chloé Lefèvre", ".Signed_Time__c": stamp(begin + timedelta(hours=4))}
        account.add(".Signature__c", values, begin + timedelta(hours=4))
    _invoices(account, rng, order, number)
    _log(account, order, number)


def _inspections(account: Account, rng: Random, visit: Row, assets: list[Row], number: int) -> None:
    date = visit[account.n("Start__c")][:10]
    for one, asset in enumerate(assets):
        values = {
            "Name": f"I-{number:05d}-{one}",
            ".Asset__c": asset["Id"],
            ".Visit__c": visit["Id"],
            ".Technician__c": visit[account.n("Technician__c")],
            ".Inspected__c": date,
            ".Result__c": ("Pass", "Advisory", "Fail")[one % 3],
            ".Findings__c": rng.choice(FINDINGS),
            "OwnerId": visit["OwnerId"],
        }
        account.add(".Inspection__c", values, moment(rng, 0.6))


def _invoices(account: Account, rng: Random, order: Row, number: int) -> None:
    if order[account.n("Status__c")] != "Completed":
        return
    for one in range(1 + (number % 5 == 0)):
        when = _parsed(order[account.n("Completed__c")]) + timedelta(days=2 + one)
        status = ("Paid", "Pending", "Overdue")[(number + one) % 3]
        values = {
            "Name": f"INV-{number:05d}-{one}",
            ".Work_Order__c": order["Id"],
            ".Client__c": order[account.n("Client__c")],
            ".Invoice_Date__c": day(when),
            ".Amount__c": rng.randrange(10, 900) * 4.75,
            ".Billable__c": number % 4 != 3,
            ".Status__c": status,
            ".Payment_Date__c": day(when, 14) if status == "Paid" else None,
            "OwnerId": order["OwnerId"],
        }
        account.add(".Invoice__c", values, when)


def _log(account: Account, order: Row, number: int) -> None:
    when = _parsed(order["CreatedDate"]) + timedelta(days=1)
    base = {"WhatId": order["Id"], "OwnerId": order["OwnerId"], "WhoId": order[account.n("Contact__c")]}
    values = base | {
        "Subject": f"Status set to {order[account.n('Status__c')]}",
        "Description": "Technician checked in 📍 & called the client",
        "ActivityDate": day(when),
        "Status": "Completed" if number % 3 else "Not Started",
        "Priority": "Normal",
        "IsArchived": number % 8 == 7,
    }
    account.add("Task", values, when)
    if number % 2 == 0:
        start = when.replace(hour=9, minute=30)
        values = base | {
            "Subject": "Site meeting",
            "StartDateTime": stamp(start),
            "EndDateTime": stamp(start + timedelta(minutes=90)),
            "ActivityDate": day(start),
            "DurationInMinutes": 90,
            "IsAllDayEvent": False,
            "IsArchived": False,
        }
        account.add("Event", values, when)


def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)
