"""What the audit fills in from an account's own pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.transformer.mapping import name_rules, proposal_rules
from services.transformer.mapping.base import Model

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingType


class StateGroup(Model):
    """Which value map and pipeline the states of one kind fill."""

    pipeline: str
    value_map: str


class StateProposal(Model):
    """How the proposal fills stages and status value maps from a list of states in the source, or from the states that records are in."""

    entity: str
    name: str = "name"
    group: str | None = "type"
    """Field that says of which kind a state is; null: the one group is meant."""
    order: str = "order"
    groups: dict[str, StateGroup]

    def kind_of(self, data: MappingType[str, Any]) -> str:
        """Answer of which kind a record's state is."""
        return next(iter(self.groups), "") if self.group is None else str(data.get(self.group) or "")


class OptionProposal(Model):
    """Options taken from values in the source: of a built-in field, of labels, or of a declared custom field."""

    option: str
    """`entity.field`: a field Pipedrive has itself (`product.category`, `organization.label_ids`), or a custom field by its id."""
    entity: str | list[str]
    name: str | list[str] = "name"
    """Fields in which the values stand."""
    value_map: str | None = None
    """Value map that says what a value means; values it does not have are added to it."""


class StatelessProposal(Model):
    """Records that may have no state, and the pipeline in which they get a stage of their own."""

    link: str
    pipeline: str


class Proposals(Model):
    """What the proposal reads from the audit's pages."""

    names: name_rules.NameProposal | None = None
    states: list[StateProposal] = []
    stateless: dict[str, StatelessProposal] = {}
    """By source entity."""
    always_won: list[str] = []
    """Pipelines whose deals are won whatever their state."""
    closed_means_won: list[str] = []
    """Pipelines in which a closed document is a done one."""
    options: list[OptionProposal] = []
    pipelines: list[proposal_rules.PipelineProposal] = []
    activity_types: list[proposal_rules.ActivityTypeProposal] = []
    property_types: proposal_rules.PropertyTypes | None = None
    policies: dict[str, proposal_rules.PolicyProposal] = {}
    """By policy."""
