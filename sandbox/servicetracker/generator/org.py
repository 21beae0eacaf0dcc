"""The sections of an org in the order they refer to each other."""

from datetime import timedelta
from random import Random

from sandbox.servicetracker.generator.build import Account, Plan, day, moment
from sandbox.servicetracker.generator.defects import build_defects
from sandbox.servicetracker.generator.files import build_files
from sandbox.servicetracker.generator.texts import CITIES, COMPANIES, PEOPLE, STREETS
from sandbox.servicetracker.generator.work import build_work
from sandbox.servicetracker.store import Row, Store

_USERS = (
    ("Lucía", "García", "lucia.garcia@example.com", True, "Standard"),
    ("Mateo", "Ruiz", "mateo.ruiz@example.com", True, "Standard"),
    ("Inés", "Soto", "ines.soto@example.com", True, "Standard"),
    ("Gone", "Person", "gone.person@example.com", False, "Standard"),
    ("Automated", "Process", "autoproc@example.com", True, "AutomatedProcess"),
)
_TECHNICIANS = (
    ("Tomás Vega", "tomas.vega@example.com", True),
    ("Inés Soto", "ines.soto@example.com", True),
    ("Kwame Mensah", "kwame.mensah@example.com", True),
    ("Subcontractor without login", None, True),
    ("Retired Fitter", "retired@example.com", False),
)


def generate(plan: Plan) -> Account:
    """Make the whole org."""
    account = Account(Store(plan.namespace), plan)
    _people(account)
    _customers(account)
    build_work(account)
    build_files(account)
    if not plan.is_clean:
        build_defects(account)
    return account


def _people(account: Account) -> None:
    rng = account.rng("people")
    for first, last, email, is_active, user_type in _USERS:
        values = {"FirstName": first, "LastName": last, "Name": f"{first} {last}", "Email": email, "Username": f"{email}.st", "IsActive": is_active}
        account.users.append(account.add("User", values | {"UserType": user_type, "TimeZoneSidKey": "Europe/London"}, moment(rng, 0.0)))
    account.add("Group", {"Name": "Dispatch queue", "Type": "Queue"}, moment(rng, 0.0))
    for name, address, is_active in _TECHNICIANS:
        technician: Row = {"Name": name, ".Email__c": address, ".Active__c": is_active, "OwnerId": account.users[0]["Id"]}
        account.technicians.append(account.add(".Technician__c", technician, moment(rng, 0.0)))
    for kind, name in (
        ("Account", "Client"),
        ("Account", "Supplier"),
        (account.n("Work_Order__c"), "Reactive"),
        (account.n("Work_Order__c"), "Planned"),
    ):
        row = account.add("RecordType", {"Name": name, "DeveloperName": name, "SobjectType": kind, "IsActive": True}, moment(rng, 0.0))
        if kind != "Account":
            account.record_types.append(row)


def _customers(account: Account) -> None:
    rng = account.rng("customers")
    client_type = next(row["Id"] for row in account.store.rows("RecordType") if row["DeveloperName"] == "Client")
    for number in range(account.plan.customers):
        created = moment(rng, number / (account.plan.customers * 2))
        customer = account.add("Account", _customer(account, rng, number) | {"RecordTypeId": client_type}, created)
        account.customers.append(customer)
        # Every seventh customer has no contact rows: company and primary contact in one.
        count = 0 if number % 7 == 6 else 1 + number % 3
        account.contacts[customer["Id"]] = [
            account.add("Contact", _contact(rng, number, one, customer), created + timedelta(days=one)) for one in range(count)
        ]
        count = (1, 0, 3, 1, 2)[number % 5]
        account.sites[customer["Id"]] = [
            account.add(".Site__c", _site(account, rng, customer, one), created + timedelta(days=1 + one)) for one in range(count)
        ]
    for number in range(3, account.plan.customers, 9):
        child, parent = account.customers[number], account.customers[number - 3]
        account.customers[number] = account.store.update("Account", child["Id"], {"ParentId": parent["Id"]}, moment(rng, 0.5))


def _customer(account: Account, rng: Random, number: int) -> Row:
    base = COMPANIES[number % len(COMPANIES)]
    city, county, postcode = rng.choice(CITIES)
    values: Row = {
        "Name": base if number < len(COMPANIES) else f"{base} {number}",
        "AccountNumber": f"C-{number:05d}",
        "Type": "Customer",
        "Industry": rng.choice(("Hospitality", "Food", "Healthcare", "Public sector", "Retail")),
        "Phone": f"+44 113 496 {number:04d}",
        "Fax": f"+44 113 497 {number:04d}" if number % 4 == 0 else None,
        "Website": f"https://customer-{number}.example.com" if number % 3 else None,
        "Description": f"Client since {2010 + number % 12}.\nKeys at reception." if number % 4 == 1 else None,
        "NumberOfEmployees": rng.randrange(3, 900) if number % 3 == 0 else None,
        "AnnualRevenue": rng.randrange(50, 9000) * 1000.5 if number % 5 == 0 else None,
        "BillingStreet": f"{rng.randrange(1, 200)} {rng.choice(STREETS)}",
        "BillingCity": city,
        "BillingState": county,
        "BillingPostalCode": postcode,
        "BillingCountry": "Germany" if postcode == "50667" else "United Kingdom",
        "OwnerId": account.users[number % 3]["Id"],
        ".On_Stop__c": number % 11 == 10,
        "Rate_Type__c": rng.choice(("Standard", "Premium", "Night")),
        "Billing_Code__c": f"BC/{rng.randrange(100, 999)}/{number}",
        "Pests_Covered__c": (None, "Rats;Mice", "Wasps", "Bed bugs;Birds;Rats", "Rats;Mice;Moths (old)")[number % 5],
        "First_Served__c": day(moment(rng, 0.1)) if number % 2 else None,
        "Credit_Limit__c": rng.randrange(1, 80) * 250.25 if number % 2 == 0 else None,
    }
    if number % 7 == 6:
        first, last = PEOPLE[number % len(PEOPLE)]
        values[".Primary_Contact_Name__c"] = f"{first} {last}"
        values[".Primary_Contact_Email__c"] = f"primary.{number}@customer-{number}.example.com"
        values[".Primary_Contact_Phone__c"] = f"07700 900{number:03d}"
    return values


def _contact(rng: Random, number: int, one: int, customer: Row) -> Row:
    first, last = PEOPLE[(number + one) % len(PEOPLE)]
    return {
        "AccountId": customer["Id"],
        "Salutation": rng.choice(("Mr.", "Ms.", None)),
        "FirstName": first,
        "LastName": last,
        "Name": f"{first} {last}",
        "Title": rng.choice(("Facilities manager", "Head chef", "Owner", None)),
        "Department": rng.choice(("Operations", None)),
        "Email": f"contact.{number}.{one}@customer-{number}.example.com" if one != 2 else None,
        "Phone": f"0113 496 1{number:03d}",
        "MobilePhone": f"07700 9{number:03d}{one:02d}" if one % 2 == 0 else None,
        "HasOptedOutOfEmail": one == 1,
        "Preferred_Language__c": rng.choice(("English", "Welsh", "Polish", "日本語")),
        "OwnerId": customer["OwnerId"],
    }


def _site(account: Account, rng: Random, customer: Row, one: int) -> Row:
    city, county, postcode = CITIES[(one + len(customer["Name"])) % len(CITIES)]
    return {
        "Name": f"{city} site {one + 1} — {customer['AccountNumber']}",
        ".Client__c": customer["Id"],
        ".Street__c": f"{rng.randrange(1, 90)} {rng.choice(STREETS)}",
        ".City__c": city,
        ".County__c": county,
        ".Postcode__c": postcode,
        ".Country__c": "United Kingdom",
        ".Latitude__c": round(51 + rng.random() * 3, 6),
        ".Longitude__c": round(-4 + rng.random() * 3, 6),
        ".Access_Notes__c": "Ring the bell twice & wait" if one == 0 else None,
        "Key_Safe__c": f"#{rng.randrange(1000, 9999)}" if one % 2 == 0 else None,
        "OwnerId": account.users[one % 3]["Id"],
    }
