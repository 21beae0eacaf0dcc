"""What the audit may fill in from a source's own lists, in a mapping's `propose`: pipelines, activity types, types of the tenant's fields."""

from __future__ import annotations

from services.transformer.mapping.base import Model


class PipelineProposal(Model):
    """Pipelines and stages that only the account knows: every value of one field is a pipeline, every value of another one of its stages.

    The value map gets an entry `{pipeline} / {stage}` for each pair, with `stage`, and `status` where the list says how it closes.
    """

    entities: list[str]
    """Where the pairs stand: a list of stages first, then records that use what no list has."""
    pipeline: str
    """Field with the pipeline's name."""
    stage: str
    """Field with the stage's name."""
    value_map: str
    order: str = "order"
    probability: str | None = None
    """Field with the probability in percent, 0 to 100."""
    closes: str | None = None
    """Field that says whether deals there are closed, and how."""
    closes_as: dict[str, str] = {}
    """What its words mean: `won` or `lost`; letters' case does not count."""
    default_pipeline: str
    """Name of the pipeline for pairs without one."""


class ActivityTypeProposal(Model):
    """Activity types that only the account knows: each value that no entry of the value map has becomes a type of its own."""

    entity: str
    field: str
    value_map: str


class PolicyProposal(Model):
    """A policy that the source itself knows: its time zone, its currency."""

    entity: str
    id: str
    field: str


class PropertyTypes(Model):
    """A list in which the source itself says of which type the tenant's fields are."""

    entity: str
    object: str
    """Field that says to which kind of record a field belongs."""
    objects: dict[str, str]
    """What its words mean: entity by word; letters' case does not count."""
    label: str
    key_start: str | None = None
    """Where a field is known in records by more than its label: how its name there begins, with fields of the list in braces."""
    type: str
    values: str | None = None
    """Field with the list of values of a picklist."""
    types: dict[str, str]
    """Custom field type by the source's word; letters' case does not count."""
    separators: dict[str, str] = {}
    """What stands between the values of a picklist of several that is written as one text, by the source's word."""
    left_out: dict[str, str] = {}
    """Words of types that become no field, each with the reason."""
