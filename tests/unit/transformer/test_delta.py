"""The section `delta` of a mapping: what it may name, what holds for a run, and what it has nothing to do with."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import InvalidRequestError, MappingError
from services.transformer.delta import compile_policy
from services.transformer.lint import lint
from services.transformer.mapping.document import Mapping
from services.transformer.mapping.reading import connector_mapping_text, load_mapping
from tests.unit.transformer.support import has_errors
from transload.v1 import transformer_service_pb2 as pb

SECTION = """
overrides:
  delta:
    conflicts: source
    deletions: ask
    entities:
      deal: {conflicts: target, fields: {title: source, document_number: ask}}
      person: {deletions: delete}
"""


def mapping(section: str = "") -> Mapping:
    return load_mapping(connector_mapping_text("stel_order") + section)


def plain(policy: pb.DeltaPolicy) -> dict[str, Any]:
    entities = {entry.target_entity: (entry.conflicts, entry.deletions, dict(entry.fields)) for entry in policy.entities}
    return {"conflicts": policy.conflicts, "deletions": policy.deletions, **entities}


@pytest.mark.requirement("L-11")
def test_without_a_word_the_migrations_option_and_flags_hold() -> None:
    assert plain(compile_policy(mapping())) == {"conflicts": "", "deletions": "flag"}


@pytest.mark.requirement("L-02", "L-11")
def test_the_section_is_compiled_with_custom_fields_by_their_id() -> None:
    assert plain(compile_policy(mapping(SECTION))) == {
        "conflicts": "source",
        "deletions": "ask",
        "deal": ("target", "", {"title": "source", "custom_fields.document_number": "ask"}),
        "person": ("", "delete", {}),
    }


@pytest.mark.requirement("L-09", "L-11")
def test_the_section_is_no_part_of_what_was_confirmed_and_approved() -> None:
    assert mapping(SECTION).digest == mapping().digest
    assert mapping("\noverrides: {policies: {deal_value: every}}").digest != mapping().digest


@pytest.mark.requirement("L-02", "L-11")
@pytest.mark.parametrize(
    ("section", "path", "words"),
    [
        ("{deals: {conflicts: ask}}", "delta.entities.deals", "no target entity"),
        ("{user: {conflicts: ask}}", "delta.entities.user", "no target entity"),
        ("{deal: {fields: {titel: ask}}}", "delta.entities.deal.fields.titel", "deal has no field `titel`"),
        ("{note: {fields: {document_number: ask}}}", "delta.entities.note.fields.document_number", "note has no field"),
    ],
)
def test_names_that_are_not_there_are_refused(section: str, path: str, words: str) -> None:
    findings = lint(mapping(f"\noverrides: {{delta: {{entities: {section}}}}}"))
    assert has_errors(findings)
    assert [finding.path for finding in findings if words in finding.message] == [path]


@pytest.mark.requirement("L-02", "L-11")
@pytest.mark.parametrize("section", ["{conflicts: sources}", "{deletions: archive}", "{entities: {deal: {deletions: source}}}", "{fields: {}}"])
def test_words_that_are_none_are_refused(section: str) -> None:
    with pytest.raises(MappingError, match="delta"):
        mapping(f"\noverrides: {{delta: {section}}}")


@pytest.mark.requirement("L-11")
@pytest.mark.parametrize(
    ("conflicts", "deletions", "expected"),
    [
        (["ask"], [], {"conflicts": "ask", "deletions": "ask", "deal": ("", "", {}), "person": ("", "delete", {})}),
        (["deal=ask"], [], {"conflicts": "source", "deletions": "ask", "deal": ("ask", "", {}), "person": ("", "delete", {})}),
        (
            ["deal.title=target", "deal.document_number=source"],
            ["person=keep"],
            {
                "conflicts": "source",
                "deletions": "ask",
                "deal": ("target", "", {"title": "target", "custom_fields.document_number": "source"}),
                "person": ("", "keep", {}),
            },
        ),
        (
            ["target", "note.content=source"],
            ["flag"],
            {
                "conflicts": "target",
                "deletions": "flag",
                "deal": ("", "", {}),
                "note": ("", "", {"content": "source"}),
                "person": ("", "", {}),
            },
        ),
    ],
)
def test_words_for_one_run_take_the_place_of_the_mappings(conflicts: list[str], deletions: list[str], expected: dict[str, Any]) -> None:
    assert plain(compile_policy(mapping(SECTION), conflicts=conflicts, deletions=deletions)) == expected


@pytest.mark.requirement("L-11")
@pytest.mark.parametrize("given", ["nobody", "deal=", "deals=ask", "deal.titel=ask", "=ask.title"])
def test_words_for_one_run_that_say_nothing_are_refused(given: str) -> None:
    with pytest.raises(InvalidRequestError, match="conflicts"):
        compile_policy(mapping(SECTION), conflicts=[given])
