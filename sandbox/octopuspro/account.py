"""The account: rows by file with true values (not yet written as text), so that a test can say what has to arrive without reading the bundle."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from sandbox.octopuspro.columns import COLUMNS, KEYS

FIRST_DAY: Final = datetime(2025, 1, 6, 7, 0, tzinfo=UTC)
EXPORTED: Final = datetime(2026, 5, 20, 3, 0, tzinfo=UTC)
"""When the bundle was made."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tenant:
    """Settings of the tenant that decide how an export is written."""

    name: str = "harbour-home-services"
    time_zone: str = "Australia/Sydney"
    date_format: str = "DD/MM/YYYY"
    time_format: str = "24"
    """`24` or `12` hours."""
    currency: str = "AUD"


@dataclass(frozen=True, slots=True)
class Defect:
    """Something deliberately wrong, so that a checker knows what to expect."""

    kind: str
    file: str
    id: str


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a row between two bundles."""

    kind: str
    """`created`, `changed` or `deleted`."""
    file: str
    id: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A file of the attachments folder.

    Attributes:
        size: bytes; the content is made when it is written.
    """

    path: str
    head: bytes
    size: int

    def content(self) -> bytes:
        """Make its bytes."""
        return self.head + bytes(max(0, self.size - len(self.head)))


@dataclass(slots=True)
class Account:
    """Everything one tenant has."""

    tenant: Tenant = field(default_factory=Tenant)
    exported: datetime = EXPORTED
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    binaries: list[Binary] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def by_id(self, file: str) -> dict[str, Row]:
        """Answer the rows of a file by their id."""
        return {row[KEYS[file]]: row for row in self.tables[file]}

    def defective(self, *kinds: str) -> set[tuple[str, str]]:
        """Answer (file, id) of rows with one of these defects."""
        return {(one.file, one.id) for one in self.defects if one.kind in kinds}


@dataclass(slots=True)
class Builder:
    """Fills an account."""

    account: Account
    seed: int
    size: int
    _next_id: dict[str, int] = field(default_factory=dict)

    def rng(self, section: str) -> Random:
        """Answer the random numbers of a section, which other sections do not disturb."""
        return Random(f"octopuspro/{self.seed}/{section}")

    def id(self, file: str, first: int) -> str:
        """Answer the next id of a file."""
        self._next_id[file] = self._next_id.get(file, first - 1) + 1
        return str(self._next_id[file])

    def put(self, file: str, row: Row) -> Row:
        """Add a row; columns it does not name are empty."""
        unknown = {name for name in row if not name.startswith("CF ")} - COLUMNS[file].keys()
        if unknown:
            raise KeyError(f"{file} has no column {sorted(unknown)}")
        self.account.tables[file].append(row)
        return row

    def defect(self, kind: str, file: str, row_id: str) -> None:
        """Note a deliberate defect."""
        self.account.defects.append(Defect(kind, file, row_id))
