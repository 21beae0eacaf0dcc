"""What the parts of the generator share: the plan, the account, random numbers of one's own for every part."""

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from sandbox.results.schema import COLUMNS

Row = dict[str, Any]
"""Head → value as Python has it (date, Decimal, bool, text, None), before anything is written in a tenant's way."""

EXPORTED = datetime(2026, 6, 30, 18, 30)  # noqa: DTZ001 - the clock on the firm's wall, as Results keeps it
"""When the bundle was written."""
EMPTY_DATE = date(1899, 12, 30)
"""What old data bases hold for no date."""
_DAYS_BACK = 900


@dataclass(frozen=True, slots=True)
class Plan:
    """What to generate.

    Attributes:
        seed: same seed, same account.
        size: number of companies; all else follows in proportion.
        is_clean: leave the deliberate defects out.
    """

    seed: int = 1
    size: int = 60
    is_clean: bool = False

    def count(self, per_company: float, at_least: int = 1) -> int:
        """Return how many records there are of a kind."""
        return max(at_least, round(self.size * per_company))


@dataclass(frozen=True, slots=True)
class Defect:
    """A deliberate flaw: what kind, and the record (table, id) that has it."""

    kind: str
    table: str
    record_id: str


@dataclass(slots=True)
class Account:
    """A whole account.

    Attributes:
        tables: rows by table.
        files: bytes to write by path in the bundle: how many, for a file whose content does not matter, else None.
    """

    plan: Plan
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    files: dict[str, int | None] = field(default_factory=dict)
    defects: list[Defect] = field(default_factory=list)

    def rng(self, part: str) -> Random:
        """Return random numbers that depend on the seed and the part alone."""
        return Random(f"{self.plan.seed}/{part}")

    def put(self, table: str, row: Row, *defects: str) -> Row:
        """Add a row; columns it does not name are empty."""
        unknown = row.keys() - COLUMNS[table].keys()
        if unknown:
            raise KeyError(f"{table} has no column {', '.join(sorted(unknown))}")
        whole = dict.fromkeys(COLUMNS[table]) | row
        self.tables[table].append(whole)
        self.defects += [Defect(kind, table, key_of(table, whole)) for kind in defects]
        return whole

    def by_id(self, table: str) -> dict[str, Row]:
        """Return the rows of a table by id; of several with one id the last."""
        return {key_of(table, row): row for row in self.tables[table]}

    def defects_of(self, kind: str) -> set[str]:
        """Return the ids of the records with a flaw."""
        return {one.record_id for one in self.defects if one.kind == kind}


def key_of(table: str, row: Row) -> str:
    """Return a row's id: its first column, for stages type and stage."""
    heads = list(COLUMNS[table])[: 2 if table in {"opportunity_stages", "lookups", "user_defined_fields"} else 1]
    return "/".join(str(row[head] or "") for head in heads)


@cache
def texts() -> dict[str, list[Any]]:
    """Return the made-up texts."""
    found: dict[str, list[Any]] = yaml.safe_load(Path(__file__).with_name("texts.yaml").read_text(encoding="utf-8"))
    return found


def money(value: float) -> Decimal:
    """Return an amount with cents."""
    return Decimal(str(value)).quantize(Decimal("0.01"))


def moment(rng: Random) -> datetime:
    """Return a working hour of the last years, on the firm's wall."""
    day = EXPORTED.date() - timedelta(days=rng.randrange(1, _DAYS_BACK))
    return datetime.combine(day, time(rng.randrange(7, 18), rng.randrange(0, 60, 5)))


def phone(rng: Random) -> str:
    """Return a phone number in one of the ways people write them; the exchange 555 belongs to nobody."""
    area, line = rng.choice(("302", "410", "757", "571")), f"{rng.randrange(100, 200):04d}"
    return rng.choice(("({0}) 555-{1}", "{0}-555-{1}", "{0}.555.{1}", "1-{0}-555-{1} x12", "{0}555{1}")).format(area, line)


def address(rng: Random, index: int, prefix: str = "") -> Row:
    """Return the columns of an address."""
    city, state, zip_code = texts()["cities"][index % len(texts()["cities"])]
    street = f"{rng.randrange(1, 9000)} {rng.choice(texts()['streets'])}"
    unit = rng.choice(("", "", "Suite 200", "Attn: A/P", "Bay #4"))
    return {f"{prefix}Address 1": street, f"{prefix}Address 2": unit or None, f"{prefix}City": city, f"{prefix}State": state} | {
        f"{prefix}Zip": zip_code,
        f"{prefix}Country": "USA" if index % 4 == 0 else None,
    }
