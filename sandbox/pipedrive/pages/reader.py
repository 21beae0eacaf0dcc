"""Reads the account for the pages: records by their names, users, times in the company's zone, and the derived orders."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.pages import look
from sandbox.pipedrive.pages.derived import Derived, Order, Piles
from sandbox.pipedrive.pages.words import Words
from sandbox.pipedrive.store.store import Record

ARCHIVED = "archived"
NAMELESS = "(no name)"
_PATHS = {"deal": "deal", "organization": "organization", "person": "person", "product": "product", "lead": "lead"}
_PLACES = {"deal_id": "deal", "person_id": "person", "org_id": "organization", "organization_id": "organization", "product_id": "product"}
NO_DATE = "9999"
_BACKWARDS = str.maketrans("0123456789", "9876543210")
"""Turns the order of dates round."""
_ORDERED = {"planned": "activity", "done": "activity", "archived_lead": "lead"}


@dataclass(frozen=True, slots=True)
class UserView:
    """A user as the pages show them."""

    id: int
    name: str
    initials: str
    tone: int
    is_active: bool


@dataclass(frozen=True, slots=True)
class Ref:
    """A link to a record by its name."""

    href: str
    text: str
    kind: str
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Chip:
    """A label."""

    text: str
    color: str


_COLORS = frozenset({"green", "red", "yellow", "blue", "purple", "orange", "brown", "pink", "gray", "dark-gray"})


class Reader:
    """One account as the pages see it. Nothing here changes the store."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.store = account.store
        self.zone = account.options.timezone
        self._derived = Derived(account.store)
        self._piles = Piles(_deal_key)
        self._orders = {
            "organization": Order(_name_key),
            "person": Order(_name_key),
            "product": Order(_name_key),
            "lead": Order(_lead_key),
            "archived_lead": Order(_archived_lead_key),
            "planned": Order(_planned_key),
            "done": Order(_done_key),
        }
        self._words = {kind: Words(text) for kind, text in _TEXTS.items()}

    # Derived orders

    def piles(self) -> Piles:
        """Deals by stage, status and owner."""
        self._derived.refresh("deal", self._piles)
        return self._piles

    def order(self, name: str) -> Order:
        """Records in the order of a list: `organization`, `person`, `product`, `lead`, `archived_lead`, `planned` or `done` activities."""
        order = self._orders[name]
        self._derived.refresh(_ORDERED.get(name, name), order)
        return order

    def find(self, kind: str, term: str, count: int) -> list[Record]:
        """Return records that contain every word of a term, newest first."""
        self._derived.refresh(kind, self._words[kind])
        return [self.store[kind].records[record_id] for record_id in self._words[kind].find(term, count)]

    # Times

    def today(self) -> date:
        """The company's date."""
        return self.account.clock.today(self.zone)

    def moment(self, text: str | None) -> str:
        """A stored time in the company's zone."""
        return look.moment(text, self.zone)

    # Names

    def user(self, user_id: int | None) -> UserView | None:
        """Return a user by id."""
        user = self.store["user"].get(user_id) if user_id is not None else None
        if user is None:
            return None
        return UserView(user["id"], user["name"], look.initials(user["name"]), look.tone(user["id"]), bool(user["active_flag"]))

    def users(self) -> list[UserView]:
        """Return all users."""
        return [view for user in self.store["user"] if (view := self.user(user["id"])) is not None]

    def ref(self, kind: str, record_id: Any) -> Ref | None:
        """Return a link to a record, None without one."""
        record = self.store[kind].get(record_id) if type(record_id) is int else None
        return None if record is None else self.ref_to(kind, record)

    def ref_to(self, kind: str, record: Record) -> Ref:
        """Return a link to a record."""
        name = record.get("title") if "title" in record else record.get("name")
        return Ref(f"/{_PATHS[kind]}/{record['id']}", (name or "").strip() or NAMELESS, kind, record["is_deleted"])

    def places(self, record: Record, leave_out: str = "") -> list[Ref]:
        """Return links to the records something hangs on, such as the deal and person of an activity; one kind may be left out."""
        refs = [self.ref(kind, record[column]) for column, kind in _PLACES.items() if record.get(column) is not None and kind != leave_out]
        lead = self.lead(record.get("lead_id")) if leave_out != "lead" else None
        return [ref for ref in refs if ref is not None] + ([self.ref_to("lead", lead)] if lead is not None else [])

    def lead(self, lead_id: Any) -> Record | None:
        """Return a lead by the text that names it in the API."""
        found = self.store["lead"].find("uuid", lead_id) if type(lead_id) is str else []
        return found[0] if found else None

    def picture(self, kind: str, column: str, record_id: int) -> str:
        """Return the address of the picture of a record, empty when it has none."""
        found = self.live(kind, column, record_id)
        return f"/{kind}/{found[-1]['id']}" if found else ""

    def chips(self, entity: str, record: Record) -> list[Chip]:
        """Return the labels of a deal, person or organization."""
        known = self.account.fields.labels(entity, "label_ids")
        return [_chip(known[item]["label"], known[item].get("color")) for item in record.get("label_ids") or () if item in known]

    def lead_chips(self, lead: Record) -> list[Chip]:
        """Return the labels of a lead, which have texts for ids."""
        labels = [found[0] for item in lead.get("label_ids") or () if (found := self.store["lead_label"].find("uuid", item))]
        return [_chip(label["name"], label.get("color")) for label in labels if not label["is_deleted"]]

    def live(self, kind: str, column: str, value: Any) -> list[Record]:
        """Return the records of a kind that hang on another and are not deleted."""
        return [record for record in self.store[kind].find(column, value) if not record["is_deleted"]]


def _chip(text: str, color: str | None) -> Chip:
    return Chip(text, color if color in _COLORS else "gray")


def _deal_key(deal: Record) -> tuple[int, str, int] | None:
    """Stage, status and owner of a deal; archived deals count as a status of their own, deleted ones not at all."""
    if deal["is_deleted"]:
        return None
    return deal["stage_id"], ARCHIVED if deal["is_archived"] else deal["status"], deal["owner_id"]


def _name_key(record: Record) -> str | None:
    return None if record["is_deleted"] else look.sortable(record["name"] or NAMELESS)


def _lead_key(lead: Record) -> int | None:
    return None if lead["is_deleted"] or lead["is_archived"] else -lead["id"]


def _archived_lead_key(lead: Record) -> int | None:
    return -lead["id"] if lead["is_archived"] and not lead["is_deleted"] else None


def _planned_key(activity: Record) -> tuple[str, str] | None:
    if activity["is_deleted"] or activity["done"]:
        return None
    return activity["due_date"] or NO_DATE, activity["due_time"] or ""


def _done_key(activity: Record) -> tuple[str, int] | None:
    """The latest first."""
    if activity["is_deleted"] or not activity["done"]:
        return None
    return f"{activity['due_date'] or ''}{activity['due_time'] or ''}".translate(_BACKWARDS), -activity["id"]


def _titled(record: Record) -> str:
    """Return what a search looks at in a deal or a lead, in one line."""
    return _line(record["title"], record)


def _organization_text(record: Record) -> str:
    address = record["address"]
    return _line(f"{record['name']}\t{address.get('value')}" if address else record["name"], record)


def _person_text(record: Record) -> str:
    entries = [entry["value"] for entry in (*record["emails"], *record["phones"]) if entry["value"]]
    return _line("\t".join([record["name"], *entries]), record)


def _product_text(record: Record) -> str:
    return _line(f"{record['name']}\t{record['code']}" if record["code"] else record["name"], record)


def _line(text: str, record: Record) -> str:
    """Add the texts of custom fields to others."""
    for value in record["custom_fields"].values():
        if type(value) is str:
            text = f"{text}\t{value}"
    return text.replace("\n", " ")


_TEXTS: dict[str, Callable[[Record], str]] = {
    "deal": _titled,
    "lead": _titled,
    "organization": _organization_text,
    "person": _person_text,
    "product": _product_text,
}
"""What a search on the pages looks at."""
