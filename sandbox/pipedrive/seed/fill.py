"""What a new account contains: company, users, a pipeline, activity types, and with a seed a customer's existing records.

The existing records are there so that a migration has something to leave alone, and its rollback something to leave intact.
"""

import random
import secrets
from pathlib import Path
from typing import Any

import orjson

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.schema import ADDRESS_PARTS
from sandbox.pipedrive.seed.extras import add_extras
from sandbox.pipedrive.seed.leads import add_default_labels, add_leads
from sandbox.pipedrive.store.state_file import StoreError
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.users import COMPANY_ID

DEFAULT_USERS: tuple[Record, ...] = (
    {"name": "Ada Admin", "email": "ada.admin@example.com", "active": True, "admin": True},
    {"name": "Lucía García", "email": "lucia.garcia@example.com", "active": True},
    {"name": "Mateo Ruiz", "email": "mateo.ruiz@example.com", "active": True},
    {"name": "Inés Soto", "email": "ines.soto@example.com", "active": True},
    {"name": "Tomás Vega", "email": "tomas.vega@example.com", "active": True},
    {"name": "Old User", "email": "old.user@example.com", "active": False},
)
_STAGES = ("Qualified", "Contact Made", "Demo Scheduled", "Proposal Made", "Negotiations Started")
_ACTIVITY_TYPES = ("Call", "Meeting", "Task", "Deadline", "Email", "Lunch")
# ruff: noqa: RUF001 - names in several scripts are the point
_ORGANIZATIONS = (
    "Talleres Ibarra S.L.", "Nordlicht Elektro GmbH", "Fontanería Río Duero", "Παπαδόπουλος Α.Ε.", "株式会社みなと設備", "O'Brien & Daughters Ltd",
    "Строймонтаж ООО", "Clinique Saint-Éloi", "مؤسسة النور للصيانة", "Ascensores Beti, S. Coop.", "Hôtel « Le Cèdre »", "Green Valley Farms",
)  # fmt: skip
_PEOPLE = (
    "María José Ibarra", "Jürgen Groß", "Álvaro Nuñez", "Ελένη Παπαδοπούλου", "山田 太郎", "Siobhán O'Brien", "Ольга Петрова", "Zoé Lefèvre",
    "ليلى حداد", "Beñat Etxeberria", "Chloé d'Arcy", "Sam Green",
)  # fmt: skip
_PRODUCTS = ("Inspection", "Filter set", "Hourly rate", "Boiler 24 kW", "Pump seal", "Travel flat rate", 'Valve 1/2"', "LED panel",
             "Maintenance contract",             "Sensor", "Cable 3×1.5", "Disposal fee")  # fmt: skip


class UsersFileError(Exception):
    """The users file cannot be used; the message is one line for a person."""


def read_users(path: Path) -> list[Record]:
    """Read a users file.

    Raises:
        UsersFileError: When it is not a JSON list of objects with a name and an e-mail, the first of them active.
    """
    try:
        users = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsersFileError(f"cannot read the users file {path}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise UsersFileError(f"the users file {path} is not JSON: {error}") from error
    if not isinstance(users, list) or not users:
        raise UsersFileError(f"the users file {path} must be a list of objects with name and email")
    for position, user in enumerate(users, 1):
        problem = _problem_of(user)
        if problem:
            raise UsersFileError(f"the users file {path}: user {position} {problem}")
    if not users[0].get("active", True):
        raise UsersFileError(f"the users file {path}: user 1 must be active, for the token is theirs")
    tokens = [user["token"] for user in users if user.get("token")]
    if len(tokens) != len(set(tokens)):
        raise UsersFileError(f"the users file {path} gives one token to several users")
    return users


def _problem_of(user: Any) -> str:
    """Say what is wrong with a user, nothing when all is well."""
    if not isinstance(user, dict):
        return "must be an object with name and email"
    for name in ("name", "email"):
        if not isinstance(user.get(name), str) or not user[name].strip():
            return f"needs a {name}"
    if unknown := user.keys() - {"name", "email", "active", "admin", "token"}:
        return f"has the unknown key {min(unknown)}"
    for name in ("active", "admin"):
        if not isinstance(user.get(name, True), bool):
            return f"needs true or false for {name}"
    token = user.get("token")
    return "" if token is None or (isinstance(token, str) and token.isascii() and token.isprintable()) else "needs printable ASCII for token"


def fill(account: Account) -> None:
    """Fill an empty store and make it durable."""
    if "origin" not in account.store.meta:
        account.store.set_meta("origin", _origin(account))
    account.keep_clock()
    origin = account.store.meta["origin"]
    with account.clock.held(origin["epoch"]):
        _fill(account, origin)
    account.store.commit()


def check_origin(account: Account) -> None:
    """Refuse options that contradict what a kept account was made of.

    Raises:
        StoreError: When the seed or the users are others.
    """
    options, origin = account.options, account.store.meta["origin"]
    if options.seed is not None and options.seed != origin["seed"]:
        made = "without --seed" if origin["seed"] is None else f"with --seed {origin['seed']}"
        raise StoreError(f"the state file {options.database} holds an account made {made}; leave --seed out to go on with it, or name another file")
    if options.users_file is not None and read_users(options.users_file) != origin["users"]:
        raise StoreError(f"the state file {options.database} holds an account with other users; leave --users out to go on with it")


def _origin(account: Account) -> Record:
    """Return what a new account is made of, drawn where it is not given."""
    options = account.options
    draw = random.Random(options.seed if options.seed is not None else secrets.randbits(64))
    return {
        "epoch": account.clock.epoch(),
        "seed": options.seed,
        "salt": f"{draw.getrandbits(64):016x}",
        "users": read_users(options.users_file) if options.users_file is not None else list(DEFAULT_USERS),
    }


def _fill(account: Account, origin: Record) -> None:
    store, options = account.store, account.options
    store.set_meta("salt", origin["salt"])
    store.set_meta(
        "company",
        {
            "company_id": COMPANY_ID,
            "company_name": "Sandbox Field Services",
            "company_domain": "sandbox-field-services",
            "company_country": "ES",
            "company_industry": "Field services",
        },
    )
    tokens = {options.token: 1}
    for position, user in enumerate(origin["users"]):
        record = account.new_record(
            "user",
            name=user["name"],
            email=user["email"],
            active_flag=bool(user.get("active", True)),
            is_admin=bool(user.get("admin", position == 0)),
        )
        store.put("user", record)
        if user.get("token"):
            tokens[user["token"]] = record["id"]
    store.set_meta("tokens", tokens)
    account.fields.create_built_in()
    _pipeline(account)
    for position, name in enumerate(_ACTIVITY_TYPES, 1):
        key = name.lower()
        kind = account.new_record(
            "activity_type", order_nr=position, name=name, key_string=key, icon_key=key, active_flag=True, color="FFFFFF", is_custom_flag=False
        )
        store.put("activity_type", kind)
    add_default_labels(account)
    account.attach()
    if origin["seed"] is not None:
        _customer(account, random.Random(origin["seed"]))
        add_leads(account, random.Random(origin["seed"]))
        add_extras(account, random.Random(origin["seed"]))
        account.attach()


def _pipeline(account: Account) -> None:
    pipeline = account.new_record("pipeline", name="Pipeline", order_nr=1, is_deal_probability_enabled=False)
    account.store.put("pipeline", pipeline)
    for position, name in enumerate(_STAGES, 1):
        stage = account.new_record(
            "stage",
            order_nr=position,
            name=name,
            deal_probability=100,
            pipeline_id=pipeline["id"],
            is_deal_rot_enabled=False,
            days_to_rotten=None,
        )
        account.store.put("stage", stage)


def _customer(account: Account, draw: random.Random) -> None:
    """Add the records the customer worked with before."""
    fields = account.fields
    tier = fields.create_custom("organization", "Customer tier", "enum", ["Gold", "Silver", "Bronze"])
    tax_id = fields.create_custom("organization", "Tax number", "varchar", None)
    fields.create_custom("person", "Role", "set", ["Buyer", "Technician", "Owner"])
    urgency = fields.create_custom("deal", "Urgency", "enum", ["Low", "High"])
    fields.create_custom("product", "Supplier", "varchar", None)
    owners = [user["id"] for user in account.store["user"] if user["active_flag"]]
    visible_to = account.visible_to_default
    for position, (organization_name, person_name, product_name) in enumerate(zip(_ORGANIZATIONS, _PEOPLE, _PRODUCTS, strict=True), 1):
        owner = draw.choice(owners)
        moment = f"2025-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}T09:{draw.randint(0, 59):02d}:00Z"
        shared: dict[str, Any] = {"owner_id": owner, "visible_to": visible_to, "label_ids": [], "add_time": moment}
        address = {**dict.fromkeys(ADDRESS_PARTS), "value": f"{draw.randint(1, 200)} Main Street", "locality": "Bilbao"}
        extras = dict.fromkeys(("website", "linkedin", "industry", "annual_revenue", "employee_count"))
        custom = {tier["field_code"]: draw.choice(tier["options"])["id"], tax_id["field_code"]: f"B{draw.randint(10_000_000, 99_999_999)}"}
        organization = account.new_record("organization", name=organization_name, address=address, custom_fields=custom, **extras, **shared)
        account.store.put("organization", organization)
        account.store.put("person", _person(account, person_name, organization["id"], position, shared))
        account.store.put("product", _product(account, product_name, position, draw.randint(1, 900), owner))
        _deal(account, organization, position, draw, {urgency["field_code"]: draw.choice(urgency["options"])["id"]})


def _person(account: Account, name: str, org_id: int, position: int, shared: dict[str, Any]) -> Record:
    first, _, last = name.partition(" ")
    return account.new_record(
        "person",
        name=name,
        first_name=first,
        last_name=last or None,
        org_id=org_id,
        emails=[{"value": f"contact{position}@customer.example", "primary": True, "label": "work"}],
        phones=[{"value": f"+34 600 000 0{position:02d}", "primary": True, "label": "mobile"}],
        custom_fields={},
        marketing_status=None,
        **dict.fromkeys(("notes", "im", "birthday", "job_title", "postal_address")),
        **shared,
    )


def _product(account: Account, name: str, position: int, price: int, owner: int) -> Record:
    return account.new_record(
        "product",
        name=name,
        code=f"OLD-{position:03d}",
        description=None,
        unit="pc",
        tax=21,
        category=None,
        is_linkable=True,
        visible_to=account.visible_to_default,
        owner_id=owner,
        billing_frequency="one-time",
        billing_frequency_cycles=None,
        prices=[{"currency": account.options.currency, "price": price, "cost": 0, "direct_cost": None, "notes": ""}],
        custom_fields={},
    )


def _deal(account: Account, organization: Record, position: int, draw: random.Random, custom: Record) -> None:
    status = ("open", "open", "won", "lost")[position % 4]
    closed = f"2025-12-{position:02d}T12:00:00Z" if status != "open" else None
    stage = draw.choice(list(account.store["stage"]))
    deal = account.new_record(
        "deal",
        title=f"{organization['name']} deal",
        creator_user_id=1,
        owner_id=organization["owner_id"],
        value=draw.randint(100, 9_000),
        person_id=position,
        org_id=organization["id"],
        stage_id=stage["id"],
        pipeline_id=stage["pipeline_id"],
        currency=account.options.currency,
        stage_change_time=organization["add_time"],
        probability=None,
        visible_to=account.visible_to_default,
        expected_close_date=None,
        label_ids=[],
        custom_fields=custom,
        status=status,
        won_time=closed if status == "won" else None,
        lost_time=closed if status == "lost" else None,
        close_time=closed,
        lost_reason="Too expensive" if status == "lost" else None,
        is_archived=False,
        archive_time=None,
        add_time=organization["add_time"],
    )
    account.store.put("deal", deal)
    note = account.new_record(
        "note",
        content=f"<p>Called <b>{position}</b> times.</p>",
        user_id=organization["owner_id"],
        last_update_user_id=None,
        deal_id=deal["id"],
        person_id=None,
        org_id=organization["id"],
        pinned=dict.fromkeys(("lead", "deal", "organization", "person", "project", "task"), False),
        add_time=organization["add_time"],
    )
    account.store.put("note", note)
