"""The whole mapping."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from services.common.canonical import digest_of
from services.transformer.mapping import name_rules, sections
from services.transformer.mapping.base import Model, Scalar
from services.transformer.mapping.delta import Delta
from services.transformer.mapping.entities import EntityMapping, Fragment, Placeholder
from services.transformer.mapping.links import LinkRule
from services.transformer.mapping.matching import Matching
from services.transformer.mapping.owners import Owners
from services.transformer.mapping.policies import Choice, Policies
from services.transformer.mapping.proposals import Proposals
from services.transformer.mapping.rules import Condition
from services.transformer.mapping.schema import Schema


class Mapping(Model):
    """A whole mapping, layers applied."""

    version: Literal[1] = 1
    source: str
    title: str = ""
    policies: Policies = Policies()
    choices: dict[str, Choice] = {}
    delta: Delta = Delta()
    matching: Matching = Matching()
    collections: dict[str, str] = {}
    """Names in the source's addresses to entities."""
    names: dict[str, dict[str, name_rules.NameRef]] = {}
    """By source entity: what a name in the mapping stands for in its raw records, where sources differ in it."""
    links: dict[str, LinkRule] = {}
    conditions: dict[str, Condition] = {}
    value_maps: dict[str, dict[str, Scalar | dict[str, Scalar]]] = {}
    schema_: Schema = Field(Schema(), alias="schema")
    placeholders: dict[str, Placeholder] = {}
    fragments: dict[str, Fragment] = {}
    owners: Owners = Owners()
    propose: Proposals = Proposals()
    quality: sections.Quality = sections.Quality()
    exports: sections.Exports = sections.Exports()
    call_plan: sections.CallPlan | None = None
    entities: dict[str, EntityMapping]

    def decided(self, name: str) -> Any:
        """Answer what a policy or a choice says. Raises KeyError where there is neither."""
        if name in self.choices:
            return self.choices[name].value
        if name not in Policies.model_fields:
            raise KeyError(name)
        return getattr(self.policies, name)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the mapping in canonical form: layout and comments do not count, nor do the parts that change no mapped record."""
        return digest_of(self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"delta", *sections.SECTIONS}))
