"""The connector's entities and the mapping that comes with it name the same things."""

from __future__ import annotations

import pytest

from services.extractor.registry import CONNECTORS
from services.transformer.mapping.reading import connector_mapping_text, load_mapping


@pytest.mark.requirement("X-04")
@pytest.mark.parametrize("source", sorted(CONNECTORS))
def test_the_mapping_says_what_becomes_of_every_entity_read(source: str) -> None:
    mapping = load_mapping(connector_mapping_text(source))
    entities = CONNECTORS[source].entities
    # An entity the mapping does not know would leave its records in no final state.
    assert set(mapping.entities) == {entity.name for entity in entities}
    assert {name for name, rule in mapping.entities.items() if rule.use == "reference_data"} == {
        one.name for one in entities if one.is_reference_data
    }
