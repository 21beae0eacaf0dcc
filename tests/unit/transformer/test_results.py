"""The mapping of Results by itself: nothing Pipedrive refuses, and every column of the layout either moves or says why not."""

from __future__ import annotations

import pytest

from services.extractor.connectors.results.connector import Results
from services.transformer.lint import lint
from services.transformer.mapping.reading import connector_mapping_text, load_mapping
from services.transformer.plan import MappingPlan
from transload.v1 import transformer_service_pb2 as pb

MAPPING = load_mapping(connector_mapping_text("results"))


@pytest.mark.requirement("L-02", "D-05")
def test_the_linter_has_nothing_against_it() -> None:
    assert [(one.path, one.message) for one in lint(MAPPING) if one.severity != pb.FINDING_SEVERITY_INFO] == []


@pytest.mark.requirement("X-03", "D-05")
def test_every_entity_and_column_of_the_layout_is_accounted_for() -> None:
    plan = MappingPlan(MAPPING)
    assert {one.name for one in Results.entities} == set(MAPPING.entities)
    for entity, one in plan.entities.items():
        rule = MAPPING.entities[entity]
        columns = set(Results.default["entities"][entity]["columns"])
        known = one.used.keys | set(rule.not_moved) | set(rule.property_groups)
        # Files and the user records have no custom fields; what is left of theirs is in the reference export.
        assert columns - known == set(), entity


@pytest.mark.requirement("RS-09", "G-10")
def test_its_choices_are_those_of_the_requirements() -> None:
    assert set(MAPPING.choices["deal_without_organization"].allowed) == {"review", "placeholder", "designated"}
    assert set(MAPPING.choices["prefer"].allowed) == {"results", "quickbooks", "newest"}
    assert MAPPING.policies.unmatched_owner == "wait"
