"""Kinds of records in Pipedrive, one module each; `RECORD_ENTITIES` names those with an id of their own and a life of their own."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from services.loader.entities.activity import ACTIVITY
from services.loader.entities.deal import DEAL
from services.loader.entities.file import FILE
from services.loader.entities.line_item import LINE_ITEM
from services.loader.entities.note import NOTE
from services.loader.entities.organization import ORGANIZATION
from services.loader.entities.organization_relation import ORGANIZATION_RELATION
from services.loader.entities.person import PERSON
from services.loader.entities.product import PRODUCT
from services.loader.entities.schema import ACTIVITY_TYPE, PIPELINE, STAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.loader.entities.base import Entity
    from services.loader.entities.schema import NamedEntity

RECORD_ENTITIES: Final[Mapping[str, Entity]] = MappingProxyType(
    {entity.name: entity for entity in (PRODUCT, ORGANIZATION, ORGANIZATION_RELATION, PERSON, DEAL, LINE_ITEM, ACTIVITY, NOTE, FILE)}
)
"""Target entity → how to handle it."""

NAMED_ENTITIES: Final[Mapping[str, NamedEntity]] = MappingProxyType({entity.name: entity for entity in (PIPELINE, STAGE, ACTIVITY_TYPE)})
"""Schema entities that are told apart by name."""
