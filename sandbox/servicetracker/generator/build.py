"""What every section of the generator uses: the size of the org, seeded randomness, moments, and the list of deliberate defects."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from sandbox.servicetracker.store import Row, Store

DEFAULT_CUSTOMERS = 40
FIRST_DAY = datetime(2023, 1, 3, 8, 0, tzinfo=UTC)
LAST_DAY = datetime(2025, 11, 20, 17, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    """Size and kind of the org."""

    seed: int = 1
    customers: int = DEFAULT_CUSTOMERS
    namespace: str = "st"
    is_clean: bool = False
    """Leaves the deliberate defects out."""


@dataclass(frozen=True, slots=True)
class Defect:
    """Something deliberately wrong or unusual, so that a checker knows what to expect."""

    kind: str
    object: str
    id: str
    field: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


@dataclass(slots=True)
class Account:
    """The org while it is being made, and after."""

    store: Store
    plan: Plan
    defects: list[Defect] = field(default_factory=list)
    users: list[Row] = field(default_factory=list)
    technicians: list[Row] = field(default_factory=list)
    record_types: list[Row] = field(default_factory=list)
    """Those of work orders."""
    customers: list[Row] = field(default_factory=list)
    contacts: dict[str, list[Row]] = field(default_factory=dict)
    sites: dict[str, list[Row]] = field(default_factory=dict)
    orders: list[Row] = field(default_factory=list)

    def rng(self, section: str) -> Random:
        """Return the random numbers of one section; sections do not disturb each other."""
        return Random(f"{self.plan.seed}/{section}")

    def n(self, short: str) -> str:
        """Return the whole name of a package's object or field."""
        return self.store.name(short)

    def defect(self, kind: str, name: str, row: Row, field_name: str = "") -> None:
        """Note a deliberate defect."""
        self.defects.append(Defect(kind, name, row["Id"], field_name))

    def named(self, values: Row) -> Row:
        """Return values with the package's prefix where a name begins with a point."""
        return {self.n(name[1:]) if name.startswith(".") else name: value for name, value in values.items()}

    def add(self, name: str, values: Row, moment: datetime) -> Row:
        """Add a row; names that begin with a point are the package's."""
        owner = self.users[0]["Id"] if self.users else ""
        return self.store.create(self.n(name[1:]) if name.startswith(".") else name, self.named(values), moment, owner)


def moment(rng: Random, position: float) -> datetime:
    """Return a working moment; `position` 0 to 1 goes through the org's life."""
    span = LAST_DAY - FIRST_DAY
    return (FIRST_DAY + span * min(max(position, 0.0), 1.0)).replace(second=0, microsecond=0) + timedelta(minutes=rng.randrange(500))


def day(when: datetime | date, days: int = 0) -> str:
    """Return a calendar date as the interface writes it."""
    return f"{when + timedelta(days=days):%Y-%m-%d}"
