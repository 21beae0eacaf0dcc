"""The properties a tenant added to the source: fields that no rule of the mapping knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.transformer.empty import is_empty
from services.transformer.texts import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from services.transformer.mapping.entities import EntityMapping
    from services.transformer.snapshot.envelope import Envelope


def property_values(rule: EntityMapping, used: AbstractSet[str], envelope: Envelope) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Find the properties a tenant added, with their raw values: fields no rule reads or names as left out, and the keys of property groups."""
    for name, value in envelope.data.items():
        if name in rule.property_groups and isinstance(value, dict):
            for inner, inner_value in value.items():
                yield (name, inner), inner_value
        elif name not in used and name not in rule.not_moved and name not in rule.property_groups:
            yield (name,), value


def property_texts(rule: EntityMapping, used: AbstractSet[str], envelope: Envelope) -> Iterator[tuple[str, str]]:
    """Write the properties a tenant added as (name, text), empty ones left out."""
    for keys, value in property_values(rule, used, envelope):
        if not is_empty(value) and (written := plain_text(value)):
            yield keys[-1], written
