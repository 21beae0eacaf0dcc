"""What becomes of one kind of source record: its targets, and the properties a tenant added."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.transformer.mapping.base import Model, Scalar
from services.transformer.mapping.rules import ConditionRef, FieldRule, RuleRef


class Stop(Model):
    """A condition under which no mapped record is made, and what becomes of the source record."""

    when: ConditionRef
    state: Literal["waiting", "rejected", "skipped", "flagged"] = "waiting"
    """`flagged`: it is made all the same, and named in the review queue."""
    reason: str
    """`ErrorReason` name without prefix."""
    message: str
    """What is wrong and what to do; paths in braces are filled in."""


class Target(Model):
    """One kind of mapped record made of a source record."""

    target: str
    part: str = ""
    """Tells several records of one kind apart; paths in braces are filled in."""
    when: ConditionRef | None = None
    for_each: str | FieldRule | None = None
    """Path of a list, or a rule that makes one: one mapped record for each of its elements."""
    as_: str = Field("item", alias="as")
    """Name of the element in paths."""
    after_files: bool = False
    """Notes only: made when the files are there, because the text shows them."""
    stops: list[Stop] = []
    include: list[str] = []
    """Names of fragments whose fields come first."""
    fields: dict[str, RuleRef] = {}
    custom: dict[str, RuleRef] = {}
    """Custom fields by their id under `schema.fields`."""


class Fragment(Model):
    """Field rules that several targets share."""

    fields: dict[str, RuleRef] = {}
    custom: dict[str, RuleRef] = {}


class Placeholder(Model):
    """A mapped record without a source record, for what has nothing to hang on. Made once, when something refers to it."""

    target: str
    fields: dict[str, Scalar | list[Scalar]] = {}
    custom: dict[str, Scalar] = {}
    """Custom fields by their id under `schema.fields`."""


class Property(Model):
    """A field the tenant added to the source, and where it goes."""

    keys: list[str]
    """Where it stands in the raw record: the names from the outside in."""
    move: bool = True
    separator: str | None = None
    """Of a picklist of several: what stands between the values, where the source writes them as one text."""
    score: float | None = None
    """How sure the proposal is of the type, 0 to 1."""
    reason: str | None = None


class PropertyRows(Model):
    """Rows of another entity that are fields of this one: a question in each row, and the answer beside it."""

    link: str
    """Link to many that leads to the rows."""
    name: str
    """Field of a row with the property's name."""
    value: str
    type: str | None = None
    """Field of a row that says of which type its value is, in the source's words."""
    types: dict[str, str] = {}
    """Custom field type by the source's word for it; values of other types are proposed by what they are."""
    order_by: str | None = None
    """Of several rows with the same name the last one counts, in this order (default: of ids)."""


class EntityMapping(Model):
    """What becomes of one source entity."""

    use: Literal["move", "part", "reference_data", "not_moved"] = "move"
    part_of: str | None = None
    """With `use: part`: link to the record it is moved with; without that record it waits for a person."""
    label: str = ""
    archived: Literal["skip", "load"] | None = None
    deleted: Literal["skip", "load"] | None = None
    targets: list[Target] = []
    property_groups: list[str] = []
    """Objects in the raw record whose keys are properties of the tenant."""
    property_rows: list[PropertyRows] = []
    properties: dict[str, Property] = {}
    """Properties by custom field id of the first target."""
    not_moved: dict[str, str] = {}
    """Source fields left out on purpose, each with the reason."""
