"""Sections of a mapping that say what is reported of a source, not what becomes of its records: `quality`, `exports` and `call_plan`.

They change no mapped record, so they are no part of the mapping's digest: they may be changed without taking a confirmation or an approval back.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from services.transformer.mapping.base import Model
from services.transformer.mapping.rules import ConditionRef, RuleRef

SECTIONS = frozenset({"quality", "exports", "call_plan"})
"""Keys of a mapping that hold them."""

Plain: TypeAlias = str | int | float | bool | None


# ------------------------------------------------------------------ quality


class Relation(Model):
    """A link that must lead to a record."""

    words: str
    """What is wrong when it does not: `document without client`."""
    may_be_empty: bool = False
    """True: it need not be filled, but must lead somewhere when it is."""


RelationRef: TypeAlias = Annotated[Relation, BeforeValidator(lambda value: {"words": value} if isinstance(value, str) else value)]
"""A relation; a plain text is short for `{words: ...}`."""


class SumLines(Model):
    """The lines whose amounts make a sum."""

    list_: str = Field(alias="list")
    """Source path of a list, or of a link to many."""
    amount: str
    """Field of a line with its amount."""
    base: str | None = None
    """Field to take off the amount where an account writes the taxed amount instead of the tax."""
    only: dict[str, Plain] = {}
    """Lines with these values; a line that does not have the field counts."""
    without: dict[str, Plain] = {}
    """Lines with these values do not count."""


class Withheld(Model):
    """A share of the subtotal that is taken off the total."""

    percent: str
    when: str
    """Field that must be true."""


class DocumentSums(Model):
    """How the sums of a document follow from its lines. All fields are source paths; sums that are not there are not checked."""

    subtotal: str | None = None
    tax: str | None = None
    total: str | None = None
    discount_percent: str | None = None
    lines: SumLines | None = None
    taxes: SumLines | None = None
    withheld: Withheld | None = None


class Total(Model):
    """A field that must be the sum of others, within a cent. Values that are no numbers count as nothing; with none at all nothing is checked."""

    total: str
    of: list[str]
    """Source paths; a path that leads to several values adds all of them."""
    less: list[str] = []


class Agreement(Model):
    """Two or more fields that must hold the same where both have a value: two systems that both claim to know it."""

    fields: list[str] = Field(min_length=2)
    words: str
    advice: str


class EntityQuality(Model):
    """What to look for in the records of one entity. All fields are source paths."""

    unique: list[str] = []
    """Values that should not come twice."""
    emails: list[str] = []
    """The first should not be empty."""
    phones: list[str] = []
    names: list[str] = []
    """One of them must hold a name."""
    dates: list[str] = []
    """Fields that hold dates whatever their name; those whose name ends with `date` are known by it."""
    numbers: list[str] = []
    """Fields that hold numbers."""
    relations: dict[str, RelationRef] = {}
    """By link."""
    sums: DocumentSums | None = None
    totals: list[Total] = []
    agree: list[Agreement] = []
    created: str | None = None
    """Field with the time a record was entered; as for the whole source when left out."""
    happened: str | None = None
    """Field with the time of what a record tells: one that was entered more than a day later came late, from a device without a connection."""


class SameCurrency(Model):
    """A document's currency should be that of the document before."""

    field: str
    same_as: str
    """Link to the document before."""


class Quality(Model):
    """What to look for in the data of a source."""

    created: str | None = None
    """Field with the time a record was entered, for records entered late and ids that are missing."""
    states: list[str] = ["status", "state", "priority"]
    """Fields whose values are counted: how many records are in which state."""
    currency: SameCurrency | None = None
    findings: list[str] = ["bundle_finding"]
    """Entities whose records are findings of the connector itself; they are told as they are."""
    entities: dict[str, EntityQuality] = {}


# ------------------------------------------------------------------ exports


class Advice(Model):
    """What to build in Pipedrive for rows in which certain words stand."""

    where: dict[str, str | list[str]] = {}
    """Heading → words of which one must stand in the cell; letters' case does not count. Without any it fits every row."""
    say: str


class Sheet(Model):
    """One table, with the raw records beside it."""

    title: str = ""
    about: str = ""
    """What it is for, in a sentence, for the page that lists all files."""
    entities: list[str]
    when: ConditionRef | None = None
    for_each: str | None = None
    """Path of a list: one row for each of its elements."""
    as_: str = Field("item", alias="as")
    """Name of the element in paths."""
    columns: dict[str, RuleRef]
    """Heading → where the value comes from."""
    advice: list[Advice] = []
    """What to do in Pipedrive, as a further column: the first that fits a row."""
    distinct: bool = False
    """Rows that are equal are one, with how often they come; which records they are of is left out."""


class Rebuild(Model):
    """One part of the rebuild reference: a list of settings that people must make again in the target."""

    title: str
    entity: str
    columns: dict[str, RuleRef]
    advice: str


class Series(Model):
    """Appointments of which the source does not say that they come again."""

    entity: str
    same: dict[str, RuleRef]
    """Heading → what the appointments of one series have in common."""
    date: str
    """Source path of the day."""


class Exports(Model):
    """The reference exports: what people read or build again because it does not move, or not as a record of its own."""

    sheets: dict[str, Sheet] = {}
    """By file name without ending."""
    rebuild: list[Rebuild] = []
    series: Series | None = None
    texts: list[str] = []
    """What to know before anything is built again."""


# ------------------------------------------------------------------ call_plan


class CallLimits(Model):
    """What a plan of the source allows; 0: no limit."""

    calls_per_minute: int = Field(0, ge=0)
    calls_per_day: int = Field(0, ge=0)


class CallPlan(Model):
    """How the source counts calls, for the days that reading it takes."""

    page_size: int = Field(gt=0)
    """Records in a call."""
    default: str
    """The plan that is assumed when nobody says which."""
    plans: dict[str, CallLimits]
