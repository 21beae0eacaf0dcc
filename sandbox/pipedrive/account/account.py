"""The simulated company: its store, users, fields and rules that several kinds of record share."""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from sandbox.pipedrive.account.caps import check_room
from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.account.currencies import DIGITS
from sandbox.pipedrive.account.custom_values import check_value
from sandbox.pipedrive.account.fields import Fields
from sandbox.pipedrive.account.schema import Check, Problems, filled, integer, not_a, number
from sandbox.pipedrive.gateway.errors import open_deals_cap
from sandbox.pipedrive.options import OPEN_DEALS_CEILING, Options
from sandbox.pipedrive.store.store import Record, Store

LABELS_MAX = 100
NAME_MAX = 255


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes the account at this moment."""

    user_id: int
    source: str
    """`api`, or `app` for a person in the web application."""


NOBODY = Actor(1, "app")
"""Changes that no request made, such as filling a new account, count as made by the first user."""


class Account:
    """One Pipedrive company."""

    def __init__(self, options: Options, clock: SandboxClock | None = None, store: Store | None = None) -> None:
        self.options = options
        self.clock = clock or SandboxClock(start=options.clock_start, speed=options.clock_speed)
        self.store = store or Store(options.database)
        self.actor = NOBODY
        self.fields = Fields(self.store, options, self.clock)
        self.open_deals = 0
        self.open_leads = 0
        self.pending_conversions: list[int] = []
        """Jobs that turn a lead into a deal or back and are not done yet, by the ids of their records."""
        self.last_deliveries: dict[int, tuple[str, int | None]] = {}
        """When each webhook was last tried and the status it answered; forgotten by a restart."""
        self.visible_to_default = options.limits_of_plan.visibilities[-1]

    def attach(self) -> None:
        """Rebuild what is derived from the store; needed after it was filled or loaded."""
        self.fields.refresh()
        self.open_deals = sum(is_open(deal) for deal in self.store["deal"])
        self.open_leads = sum(is_open_lead(lead) for lead in self.store["lead"])
        self.pending_conversions = [job["id"] for job in self.store["conversion"] if job["state"] == "pending"]

    def go_on(self) -> None:
        """Take the clock up where a kept account left it; it went on meanwhile, as fast as it was set to run or is to run now."""
        self.clock.restore(self.store.meta["clock"])
        if self.options.clock_speed != 1.0:
            self.clock.set_speed(self.options.clock_speed)
        self.keep_clock()

    def keep_clock(self) -> None:
        """Make the clock's setting durable with the next commit."""
        self.store.set_meta("clock", self.clock.state())

    def restart(self) -> None:
        """Empty the store and forget what was derived from it. What the account was made of stays, so that it can be made again."""
        kept = {name: self.store.meta[name] for name in ("origin", "clock")}
        self.store.clear()
        for name, value in kept.items():
            self.store.set_meta(name, value)
        self.fields.refresh()
        self.open_deals = self.open_leads = 0
        self.pending_conversions = []

    # Identity and time

    def now(self) -> str:
        """Current time as stored."""
        return self.clock.now()

    def new_record(self, kind: str, **values: Any) -> Record:
        """Return a record with the next id and the server's times; it is not stored yet.

        Raises:
            CapError: When there are as many of the kind as may be.
        """
        check_room(self.store, self.options, kind, values)
        now = self.clock.now()
        return {"id": self.store[kind].next_id(), **values, "add_time": values.get("add_time") or now, "update_time": now, "is_deleted": False}

    def new_uuid(self) -> str:
        """Return a new id of text form. It depends on the account and its history alone, also over a restart."""
        number = int(self.store.meta.get("uuids", 0)) + 1
        self.store.set_meta("uuids", number)
        digest = hashlib.sha1(f"{self.store.meta['salt']}:uuid:{number}".encode(), usedforsecurity=False).digest()
        return str(uuid.UUID(bytes=digest[:16], version=4))

    def suffix(self, name: str, file_id: int) -> str:
        """Return the name under which an upload is stored: the given one plus a hash before its ending."""
        stem, dot, ending = name.rpartition(".")
        mark = hashlib.sha1(f"{self.store.meta['salt']}:{file_id}".encode(), usedforsecurity=False).hexdigest()
        return f"{stem}_{mark}.{ending}" if dot else f"{name}_{mark}"

    # Look-ups

    def live(self, kind: str, record_id: int | None) -> Record | None:
        """Return a record unless it is unknown or deleted."""
        record = self.store[kind].get(record_id) if record_id is not None else None
        return None if record is None or record["is_deleted"] else record

    def lead(self, text: Any) -> Record | None:
        """Return a lead by its id, which is a text, unless it is unknown or deleted."""
        found = self.store["lead"].find("uuid", text.lower()) if type(text) is str else []
        return None if not found or found[0]["is_deleted"] else found[0]

    def exists(self, kind: str, record_id: int) -> bool:
        """Whether a record is there and not deleted."""
        if kind == "user":
            user = self.store["user"].get(record_id)
            return user is not None and bool(user["active_flag"])
        return self.live(kind, record_id) is not None

    def is_currency(self, code: str) -> bool:
        """Whether the company knows a currency."""
        return code in DIGITS

    def timezone(self) -> str:
        """Zone of the calling user; all users have the company's."""
        return self.options.timezone

    def option_ids(self, field: Record) -> frozenset[int]:
        """Ids of a field's options."""
        return self.fields.option_ids(field["entity"], field["field_code"])

    def activity_type(self, key: str) -> Record | None:
        """Return an active activity type by its key."""
        for kind in self.store["activity_type"]:
            if kind["key_string"] == key and kind["active_flag"]:
                return kind
        return None

    def stages_of(self, pipeline_id: int) -> list[Record]:
        """Live stages of a pipeline in their order."""
        return sorted(
            (stage for stage in self.store["stage"].find("pipeline_id", pipeline_id) if not stage["is_deleted"]), key=lambda stage: stage["order_nr"]
        )

    def default_pipeline(self) -> Record | None:
        """The first live pipeline."""
        live = [pipeline for pipeline in self.store["pipeline"] if not pipeline["is_deleted"]]
        return min(live, key=lambda pipeline: pipeline["order_nr"]) if live else None

    # Checks of names and references

    def name_text(self, value: Any, path: str, problems: Problems) -> Any:
        """A name, which may be empty. What a longer one than 255 characters does is not established, hence an option."""
        if type(value) is not str:
            problems.add(path, not_a("string"))
        elif len(value) > NAME_MAX:
            if self.options.long_names == "refuse":
                problems.add(path, f"This value is too long. It should have {NAME_MAX} characters or less.")
            elif self.options.long_names == "cut":
                return value[:NAME_MAX]
        return value

    def name(self, value: Any, path: str, problems: Problems) -> Any:
        """A name with something else than white space in it."""
        filled(value, path, problems)
        return self.name_text(value, path, problems) if type(value) is str else value

    def owner(self, value: Any, path: str, problems: Problems) -> Any:
        """An active user (refusal of an unknown or inactive one is inferred, the text assumed)."""
        if type(value) is not int:
            problems.add(path, not_a("integer"))
        elif not self.exists("user", value):
            problems.add(path, f"User {value} not found or not active")
        return value

    def link(self, kind: str) -> Check:
        """A record of a kind that is not deleted, or null (that null unlinks is documented for deals only)."""

        def check(value: Any, path: str, problems: Problems) -> Any:
            if value is None:
                return None
            if type(value) is not int:
                problems.add(path, not_a("integer"))
            elif self.live(kind, value) is None:
                problems.add(path, f"{kind.replace('_', ' ').capitalize()} {value} not found")
            return value

        return check

    def visible_to(self, value: Any, path: str, problems: Problems) -> Any:
        """A visibility the plan has."""
        if type(value) is not int:
            problems.add(path, not_a("integer"))
        elif value not in self.options.limits_of_plan.visibilities:
            allowed = ", ".join(map(str, self.options.limits_of_plan.visibilities))
            problems.add(path, f"The value must be one of: {allowed}")
        return value

    def currency(self, value: Any, path: str, problems: Problems) -> Any:
        """A currency code."""
        if type(value) is not str:
            problems.add(path, not_a("string"))
        elif value not in DIGITS:
            problems.add(path, f"Currency '{value}' is not known")
        return value

    def option_of(self, entity: str, code: str) -> Check:
        """An option id of a built-in field."""

        def check(value: Any, path: str, problems: Problems) -> Any:
            number(value, path, problems)
            if type(value) in (int, float) and value not in self.fields.option_ids(entity, code):
                problems.add(path, f"Unknown option '{value}'")
            return value

        return check

    def label_ids(self, entity: str) -> Check:
        """Label ids of an entity; unknown ids are refused (inferred)."""

        def check(value: Any, path: str, problems: Problems) -> Any:
            if type(value) is not list:
                problems.add(path, not_a("array"))
                return value
            if len(value) > LABELS_MAX:
                problems.add(path, f"This collection should contain {LABELS_MAX} elements or less.")
            known = self.fields.option_ids(entity, "label_ids")
            for index, item in enumerate(value):
                integer(item, f"{path}[{index}]", problems)
                if type(item) is int and item not in known:
                    problems.add(f"{path}[{index}]", f"Unknown label '{item}'")
            return list(dict.fromkeys(item for item in value if type(item) is int))

        return check

    def custom_fields(self, entity: str) -> Check:
        """Values of custom fields by hash."""

        def check(value: Any, path: str, problems: Problems) -> Any:
            if type(value) is not dict:
                problems.add(path, not_a("object"))
                return value
            known = self.fields.custom[entity]
            stored = {}
            for key, item in value.items():
                field = known.get(key)
                if field is None:
                    problems.add(path, f"Unknown key '{key}'")
                else:
                    stored[key] = check_value(field, item, problems, self)
            return stored

        return check

    # Deals and leads

    def put_deal(self, deal: Record) -> None:
        """Store a deal and keep count of the open ones.

        Raises:
            CapError: When it would be one open deal more than the plan allows.
        """
        before = self.store["deal"].get(deal["id"])
        change = int(is_open(deal)) - int(before is not None and is_open(before))
        if change > 0 and self.is_full():
            raise open_deals_cap()
        self.store.put("deal", deal)
        self.open_deals += change

    def put_lead(self, lead: Record) -> None:
        """Store a lead and keep count of the open ones.

        Raises:
            CapError: When it would be one more than the plan allows of open deals and leads together.
        """
        before = self.store["lead"].get(lead["id"])
        change = int(is_open_lead(lead)) - int(before is not None and is_open_lead(before))
        if change > 0 and self.options.cap_counts == "leads" and self.is_full():
            raise open_deals_cap("lead")
        self.store.put("lead", lead)
        self.open_leads += change

    def is_full(self, freed: int = 0) -> bool:
        """Whether the account has as many open deals, and leads where these count, as it may have, once some are gone."""
        counted = self.open_deals + (self.open_leads if self.options.cap_counts == "leads" else 0)
        return counted - freed >= self.open_deals_max

    @property
    def open_deals_max(self) -> int:
        """Open deals the company may have."""
        if self.options.open_deals_max is not None:
            return self.options.open_deals_max
        return min(OPEN_DEALS_CEILING, self.options.limits_of_plan.open_deals_per_seat * self.options.seats)


def is_open(deal: Record) -> bool:
    """Whether a deal counts towards the cap: not won, not lost, not deleted; archived ones are left out (assumed)."""
    return deal["status"] == "open" and not deal["is_deleted"] and not deal["is_archived"]


def is_open_lead(lead: Record) -> bool:
    """Whether a lead counts towards the cap: not deleted; archived ones are left out (assumed, as with deals)."""
    return not lead["is_deleted"] and not lead["is_archived"]
