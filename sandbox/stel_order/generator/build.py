"""What every section of the generator uses: seeded randomness, ids, stamps, money, references, and the list of deliberate defects."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

import yaml

from sandbox.stel_order.schema import CREATED, MODIFIED
from sandbox.stel_order.store import Record, Store, stamp

DEFAULT_CLIENTS = 150
FIRST_DAY = datetime(2023, 1, 2, 8, 0, tzinfo=UTC)
LAST_DAY = datetime(2025, 6, 20, 18, 0, tzinfo=UTC)
FILES_BASE = "https://files.sandbox.invalid"
"""Stands in stored records for the address of the file server; replaced when a record is sent."""

_FIRST_ID = 1001


@dataclass(frozen=True, slots=True)
class Plan:
    """Size and kind of the account."""

    seed: int = 1
    clients: int = DEFAULT_CLIENTS
    scale: float = 1.0
    is_clean: bool = False
    """Leaves the deliberate defects out."""
    documents: float = 1.0
    """How many times as many documents each client has as in a default account."""
    lines: float = 1.0
    """How many times as many lines each document has."""
    files: float = 1.0
    """How many times as many files, images included."""

    def count(self, base: float, least: int = 1) -> int:
        """Return how many records stand for `base` records of a default account."""
        return max(least, round(base * self.scale * self.clients / DEFAULT_CLIENTS))


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that is deliberately wrong or unusual, so that a checker knows what to expect."""

    kind: str
    collection: str
    id: int
    field: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Item:
    """A sellable product or service."""

    collection: str
    id: int
    reference: str
    name: str
    price_cents: int
    tax: int


@dataclass(frozen=True, slots=True)
class Party:
    """A client that documents are made for."""

    id: int
    name: str
    currency: str
    address_id: int
    agent_id: int | None


@dataclass(frozen=True, slots=True)
class Issued:
    """A document that others may descend from or be paid by."""

    collection: str
    id: int
    party: Party
    day: datetime
    total_cents: int
    reference: str
    currency: str


@dataclass(slots=True)
class Builder:
    """The account while it is being made."""

    store: Store
    plan: Plan
    defects: list[Defect] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    parties: list[Party] = field(default_factory=list)
    leads: list[Party] = field(default_factory=list)
    asset_ids: dict[int, list[int]] = field(default_factory=dict)
    issued: dict[str, list[Issued]] = field(default_factory=dict)
    _last_ids: dict[str, int] = field(default_factory=dict)

    def rng(self, section: str) -> Random:
        """Return the random numbers of one section; sections do not disturb each other."""
        return Random(f"{self.plan.seed}/{section}")

    def new_id(self, collection: str) -> int:
        """Return the next id; collections share the range, so ids are unique within a collection only. Every ninth id is skipped."""
        last = self._last_ids.get(collection, _FIRST_ID - 1) + 1
        last += last % 9 == 0
        self._last_ids[collection] = last
        return last

    def put(self, collection: str, record: Record) -> int:
        """Store a record with the fields every record has; returns its id."""
        record_id: int = record.get("id") or self.new_id(collection)
        base: Record = {"id": record_id, "path": path_of(collection, record_id), "deleted": False}
        self.store.put(collection, base | record)
        return record_id

    def defect(self, kind: str, collection: str, record_id: int, field_name: str = "", note: str = "") -> None:
        """Note a deliberate defect."""
        self.defects.append(Defect(kind, collection, record_id, field_name, note))


@cache
def texts() -> dict[str, Any]:
    """Return the names and texts records are made of."""
    loaded: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("texts.yaml").read_text(encoding="utf-8"))
    return loaded


def path_of(collection: str, record_id: int) -> str:
    """Return a record's address as records carry it."""
    return f"app.stelorder.com/app/{collection}/{record_id}"


def link(name: str, collection: str, record_id: int | None) -> Record:
    """Return the two fields of a reference."""
    return {f"{name}-id": record_id, f"{name}-path": None if record_id is None else path_of(collection, record_id)}


def money(cents: int) -> int | float:
    """Return an amount as JSON writes it: at most two decimals, whole amounts without."""
    return cents // 100 if cents % 100 == 0 else cents / 100


def portion(cents: int, percent: float) -> int:
    """Return `percent` of an amount, rounded half up to whole cents."""
    hundredths = round(percent * 100)
    return (cents * hundredths + 5000) // 10000


def moment(rng: Random, position: float) -> datetime:
    """Return a working-day moment; `position` 0 to 1 goes through the account's life."""
    span = LAST_DAY - FIRST_DAY
    return (FIRST_DAY + span * min(max(position, 0.0), 1.0)).replace(microsecond=0) + timedelta(minutes=rng.randrange(600))


def times(rng: Random, created: datetime) -> Record:
    """Return creation and modification stamps; now and then with an offset of two hours."""
    modified = created + timedelta(minutes=rng.randrange(5, 20_000))
    text = stamp(modified)
    if rng.randrange(20) == 0:
        text = (modified + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+0200")
    return {CREATED: stamp(created), MODIFIED: text}


def midnight(day: datetime | date) -> str:
    """Return a calendar date as the interface writes it."""
    return f"{day:%Y-%m-%d}T00:00:00+0000"
