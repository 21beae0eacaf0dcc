"""Field workers, customers with up to three people each, and their properties."""

from datetime import timedelta
from decimal import Decimal
from random import Random

from sandbox.octopuspro import fields, words
from sandbox.octopuspro.account import EXPORTED, FIRST_DAY, Builder, Row

WORKERS = (
    ("lucia.garcia", "Lucía", "García", "lucia.garcia@example.com", True),
    ("mateo.ruiz", "Mateo", "Ruiz", "Mateo.Ruiz@Example.com", True),
    ("ines.soto", "Inés", "Soto", "ines.soto@example.com", True),
    ("tomas.vega@example.com", "Tomás", "Vega", "", True),
    ("carmen.vidal", "Carmen", "Vidal", "carmen.vidal@example.com", False),
    ("nobody.known", "Nadia", "Unmatched", "nadia@elsewhere.example", True),
)
"""User name, first and last name, e-mail, active. The fourth has the e-mail in the user name only; the last one has no Pipedrive user."""
UNMATCHED_WORKER = 5


def build_workers(builder: Builder) -> None:
    """Make the field workers."""
    for index, (user_name, first, last, email, is_active) in enumerate(WORKERS):
        builder.put(
            "fieldworkers",
            {
                "Field worker ID": builder.id("fieldworkers", 71),
                "User name": user_name,
                "Display name": f"{first} {last}",
                "First name": first,
                "Last name": last,
                "Role": "Team leader" if index == 0 else "Field worker",
                "Email 1": email,
                "Mobile 1": f"+61 412 555 0{index:02d}",
                "State": "New South Wales",
                "Postcode": "2000",
                "Timezone": builder.account.tenant.time_zone,
                "Active": is_active,
                "Blocked": False,
                "Deleted": False,
                "Created": FIRST_DAY - timedelta(days=400 - index),
                "Last login": EXPORTED - timedelta(hours=index),
                "Pay rate": Decimal("38.50") if index == 1 else None,
                "Location tracking": True if index < 2 else None,
            },
        )


def address(rng: Random, index: int) -> Row:
    """Answer the parts of an address; some addresses are incomplete, every thirteenth is missing."""
    if index % 13 == 12:
        return {}
    suburb, state, postcode = words.SUBURBS[index % len(words.SUBURBS)]
    return {
        "Unit/Lot number": f"Unit {rng.randrange(1, 40)}" if index % 4 == 0 else "",
        "Street number": str(rng.randrange(1, 300)),
        "Street address": words.STREETS[index % len(words.STREETS)],
        "Suburb": suburb,
        "State": state,
        "Postcode": postcode if index % 7 else "",
        "Country": "Australia",
    }


def build_customers(builder: Builder) -> None:
    """Make customers: personal ones, businesses with one to three people, and awkward ones."""
    rng = builder.rng("customers")
    for index in range(builder.size):
        _customer(builder, rng, index)
    _awkward(builder)


def _customer(builder: Builder, rng: Random, index: int, **special: object) -> Row:
    customer_id = builder.id("customers", 88_121)
    is_business = index % 3 == 1
    first, last = words.PEOPLE[index % len(words.PEOPLE)]
    created = FIRST_DAY + timedelta(days=rng.randrange(400), minutes=rng.randrange(1440))
    row = {
        "Customer ID": customer_id,
        "Customer number": f"CUS-{1200 + index}",
        "Customer title": words.TITLES[index % len(words.TITLES)],
        "First name": first,
        "Last name": last,
        "Email 1": f"c{customer_id}@mail.example",
        "Mobile 1": f"+61 4{rng.randrange(10**8):08d}",
        "Customer type": "Business" if is_business else "Personal",
        "Business name": f"{words.BUSINESSES[index // 3 % len(words.BUSINESSES)]} {index}" if is_business else "",
        "Password": f"hunter2-{customer_id}",
        **address(rng, index),
        "Date joined": created.date(),
        "Status": "Blocked" if index % 17 == 5 else "Active",
        "Labels": list(words.LABELS[index % len(words.LABELS)]),
        "Customer source": words.SOURCES[index % len(words.SOURCES)],
        "Balance": Decimal(rng.randrange(0, 300_000)) / 100,
        "Created": created,
        "Last updated": created + timedelta(days=rng.randrange(60)),
        **fields.values("Customer", index, rng),
    }
    if index % 6 == 1:
        second, third = words.PEOPLE[(index + 3) % len(words.PEOPLE)], words.PEOPLE[(index + 7) % len(words.PEOPLE)]
        row |= {"First name2": second[0], "Last name2": second[1], "Email 2": f"second{customer_id}@mail.example", "Phone 2": "02 9555 0142"}
        row |= {"First name3": third[0], "Last name3": "", "Email 3": f"third{customer_id}@mail.example", "Mobile 3": "0412 555 999"}
    elif index % 5 == 2:
        row |= {"Email 2": f"also{customer_id}@mail.example", "Phone 1": "(02) 9555 0100 / 0101"}
    row |= special
    return builder.put("customers", row)


def _awkward(builder: Builder) -> None:
    rng = builder.rng("awkward customers")
    size = builder.size
    nobody = {
        "First name": "",
        "Last name": "",
        "First name2": "",
        "Last name2": "",
        "First name3": "",
        "Last name3": "",
        "Email 2": "",
        "Email 3": "",
    }
    company = _customer(builder, rng, size, **nobody, **{"Customer type": "Business", "Business name": "Nobody Named Holdings"})
    builder.defect("no_person", "customers", company["Customer ID"])
    mail_only = _customer(builder, rng, size + 2, **nobody, **{"Customer type": "Personal", "Business name": ""})
    builder.defect("no_person", "customers", mail_only["Customer ID"])
    empty = _customer(
        builder, rng, size + 3, **nobody, **{"Email 1": "", "Mobile 1": "", "Phone 1": "", "Customer type": "Personal", "Business name": ""}
    )
    builder.defect("no_name", "customers", empty["Customer ID"])
    deleted = _customer(builder, rng, size + 6, Status="Deleted")
    builder.defect("deleted", "customers", deleted["Customer ID"])
    twin = dict(builder.account.tables["customers"][0]) | {"Customer ID": builder.id("customers", 88_121), "Customer number": "CUS-TWIN"}
    builder.put("customers", twin)
    builder.defect("duplicate", "customers", twin["Customer ID"])


def build_properties(builder: Builder) -> None:
    """Make properties of every fourth customer, and one of a customer who is not there."""
    rng = builder.rng("properties")
    for index, customer in enumerate(builder.account.tables["customers"][: builder.size : 4]):
        builder.put(
            "customer_properties",
            {
                "Property ID": builder.id("customer_properties", 5001),
                "Customer ID": customer["Customer ID"],
                "Property name": "Holiday house" if index % 2 else "Main building",
                "Property type": "House" if index % 2 else "Office",
                **address(rng, index + 1),
                "Latitude": Decimal("-33.891500") if index % 2 else None,
                "Longitude": Decimal("151.276700") if index % 2 else None,
                **fields.values("Property", index, rng),
            },
        )
    orphan = {"Property ID": builder.id("customer_properties", 5001), "Customer ID": "99999999", "Property name": "Nobody's shed"}
    builder.put("customer_properties", orphan)
    builder.defect("orphan", "customer_properties", orphan["Property ID"])
