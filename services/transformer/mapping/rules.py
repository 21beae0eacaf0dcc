"""How a field gets its value: conditions, references, parts of notes, and the field rule itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from services.transformer.mapping.base import Model, Scalar


def _as_word(value: object) -> object:
    """Take `is: true`, which YAML reads as a truth value, as the word it stands for."""
    return str(value).lower() if isinstance(value, bool) else value


class Condition(Model):
    """A test of a record. Give `of`, `field` or `policy` with exactly one test, or one of `all`, `any`, `not`."""

    of: str | None = None
    """Source path."""
    field: str | None = None
    """Target field of the same record, filled by a rule that stands before."""
    policy: str | None = None
    """One of the policies, or of the mapping's own choices."""
    is_: Annotated[
        Literal["present", "empty", "true", "false", "moved", "missing", "loop", "native_outcome", "after_window"] | None, BeforeValidator(_as_word)
    ] = Field(None, alias="is")
    """`moved`, `missing` and `loop` are asked of a link: it leads to a record that is moved, to one that is not there, round in a circle;
    `native_outcome` of a text: the account has an activity outcome of that name; `after_window` of a date: it lies after the window in which
    what comes again is made (policies `recurrence_from` and `recurrence_window_months`)."""
    equals: Scalar = None
    one_of: list[Scalar] | None = None
    later_than: str | None = None
    """Source path of a point in time that must be before this one; without both it does not hold."""
    greater_than: float | None = None
    less_than: float | None = None
    longer_than: int | None = None
    all_: list[ConditionRef] | None = Field(None, alias="all")
    any_: list[ConditionRef] | None = Field(None, alias="any")
    not_: ConditionRef | None = Field(None, alias="not")


ConditionRef: TypeAlias = str | Condition
"""A condition, or the name of one under `conditions`."""


class RefRule(Model):
    """A reference to another mapped record."""

    to: str
    """Target entity of the record referred to."""
    of: str = "self"
    """Link that leads to the source record; `self` is the record being mapped."""
    placeholder: str | None = None
    """Instead of `of`: one of the records without a source record, under `placeholders`."""
    part: str = ""
    on_missing: Literal["review", "drop", "leave_out"] = "review"
    """What to do without it: wait for a person, go without the reference, or leave this record out with a remark."""


def _as_rule(value: object) -> object:
    return {"from": value} if isinstance(value, (str, list)) else value


class TableBlock(Model):
    """A table in a note: one row for each element of a list."""

    rows: str
    sort_by: str | None = None
    columns: dict[str, RuleRef]


class Block(Model):
    """One part of a note. Exactly one of `heading`, `facts`, `table`, `text`, `properties`; empty values leave no trace."""

    heading: str | None = None
    title: str | None = None
    facts: dict[str, RuleRef] | None = None
    table: TableBlock | None = None
    text: RuleRef | None = None
    properties: bool = False
    when: ConditionRef | None = None


class ImageRule(Model):
    """Which files the images of an HTML text are."""

    of: str
    """Link to many that leads to the records of the files."""
    number: str = "number"
    """Field in them: the place of the image among all images of the text, from 1."""


class FieldRule(Model):
    """How one target field gets its value: one source of the value, then transforms, then the value map, then the default."""

    from_: str | list[str] | None = Field(None, alias="from")
    """Source path, or several of which the first with a value counts."""
    value: Scalar | list[Scalar] = None
    """A fixed value."""
    policy: str | None = None
    """What a policy or a choice says."""
    template: str | None = None
    """Text with source paths in braces; empty when none of them has a value."""
    join: list[RuleRef] | None = None
    """Several values as one text; empty ones are left out."""
    separator: str = " "
    cases: list[RuleRef] | None = None
    """Several rules of which the first whose `when` holds and that gives a value counts."""
    together: list[RuleRef] | None = None
    """Several lists as one: phones and mobiles."""
    object_: dict[str, RuleRef] | None = Field(None, alias="object")
    """Several values under names, for transforms that need more than one; empty ones are left out."""
    html: list[Block] | None = None
    ref: RefRule | None = None
    images: ImageRule | None = None
    """For HTML: its images get the addresses their files have in Pipedrive. Only in a target that is made `after_files`."""
    owner: str | None = None
    """Link to the source user who becomes the owner."""
    transforms: list[str | dict[str, dict[str, Any]]] = []
    map: str | None = None
    """Value map, or `map.column` where the map's entries are objects."""
    currency: str | None = None
    """Source path of the currency, for money and prices."""
    cost: str | None = None
    """Source path of the cost, for prices."""
    default: Scalar = None
    required: bool = False
    on_invalid: Literal["reject", "drop"] = "drop"
    """A value that cannot be read: reject the record, or go on without the value and flag it. Required fields always reject."""
    on_unmapped: Literal["wait", "drop"] = "wait"
    """A value that no value map or option knows: the record waits for a person, or goes on without the value, flagged."""
    when: ConditionRef | None = None


RuleRef: TypeAlias = Annotated[FieldRule, BeforeValidator(_as_rule)]
"""A field rule; a plain text or a list of texts is short for `{from: ...}`."""
