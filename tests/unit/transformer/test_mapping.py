"""The mapping file: layers, digests, and messages that name the place."""

from __future__ import annotations

import pytest

from services.common.errors import MappingError, NotFoundError
from services.transformer.mapping.reading import DEPTH_MAX, connector_mapping_text, load_mapping, merge, read_document
from services.transformer.plan import MappingPlan

SMALL = """
source: x
entities:
  client:
    targets:
      - {target: organization, fields: {name: legal-name}}
"""


@pytest.mark.requirement("L-02")
def test_wishes_win_over_the_account_and_null_takes_away() -> None:
    text = """
policies: {default_currency: EUR, time_zone: Europe/Madrid}
source: x
entities: {}
account: {policies: {default_currency: USD, phone_region: ES}}
overrides: {policies: {default_currency: GBP, phone_region: null}}
"""
    policies = load_mapping(text).policies
    assert (policies.default_currency, policies.time_zone, policies.phone_region) == ("GBP", "Europe/Madrid", None)


def test_merging_replaces_lists_and_keeps_other_keys() -> None:
    assert merge({"a": {"b": [1], "c": 1}, "d": 2}, {"a": {"b": [2]}, "d": None}) == {"a": {"b": [2], "c": 1}}


@pytest.mark.requirement("L-09")
def test_the_digest_follows_the_rules_and_not_the_layout() -> None:
    again = "# a comment\n" + SMALL.replace("name: legal-name", "name: {from: legal-name}")
    changed = SMALL.replace("legal-name", "name")
    assert load_mapping(SMALL).digest == load_mapping(again).digest
    assert load_mapping(SMALL).digest != load_mapping(changed).digest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("entities: [", "not readable YAML"),
        ("- 1", "must be an object"),
        ("source: x\nentities: {}\nsource: y", "stands twice"),
        ("source: x\nentities: {client: {targets: [{target: organization, fieldz: {}}]}}", "entities.client.targets.0.fieldz"),
        ("source: x\nentities: {}\npolicies: {archived: maybe}", "policies.archived"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, words: str) -> None:
    with pytest.raises(MappingError) as caught:
        load_mapping(text)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("name: {from: legal-name, transforms: [shout]}", "no transform `shout`; known: absolute, add_days"),
        ("name: {from: legal-name, transforms: [{truncate: {size: 5}}]}", "truncate"),
        ("name: nowhere -> name", "not a link"),
        ("name: {from: a, map: states}", "no value map `states`; known: none"),
        ("name: {from: a, when: rich}", "no condition `rich`"),
        ("colour: a", "no field `colour`"),
    ],
)
def test_rules_that_cannot_run_are_named_with_their_place(rule: str, words: str) -> None:
    with pytest.raises(MappingError) as caught:
        MappingPlan(load_mapping(SMALL.replace("name: legal-name", rule)))
    assert words in caught.value.message
    assert "entities.client.targets[0]" in caught.value.message


def test_only_connectors_have_mappings() -> None:
    with pytest.raises(NotFoundError):
        connector_mapping_text("../secrets")


@pytest.mark.requirement("L-02")
def test_the_stel_order_file_can_be_read_and_compiled(base_text: str) -> None:
    mapping = load_mapping(base_text)
    plan = MappingPlan(mapping)
    assert list(mapping.entities)[:2] == ["employee", "account_category"]
    assert all(entity in plan.entities for entity, rule in mapping.entities.items() if rule.use == "move")
    assert all(reason.strip() for rule in mapping.entities.values() for reason in rule.not_moved.values())


@pytest.mark.parametrize(
    "text",
    ["a: 2001-99-99", "a: !!int x", "a: !!float x", "a: !!timestamp 1", "? [a]\n: b", "? {a: b}\n: c", "a: !!binary x", "? ? ? a", "[" * 20_000],
)
def test_values_that_yaml_cannot_mean_are_errors_of_the_mapping(text: str) -> None:
    with pytest.raises(MappingError):
        read_document(text)


def test_a_mapping_has_no_bottomless_depth() -> None:
    deep = "a: " + "[" * (DEPTH_MAX - 2) + "]" * (DEPTH_MAX - 2)
    assert read_document(deep)
    for text in (f"a: {'[' * DEPTH_MAX}{']' * DEPTH_MAX}", "- " * 2_000 + "x", "a: &a [*a]"):
        with pytest.raises(MappingError, match="inside each other"):
            read_document(text)


def test_aliases_do_not_stand_for_more_than_memory_holds() -> None:
    names = "abcdefghij"
    lines = [f"{name}: &{name} [{', '.join([f'*{before}' if before else '1'] * 9)}]" for before, name in zip(["", *names], names, strict=False)]
    with pytest.raises(MappingError, match="aliases repeat too much"):
        read_document("\n".join(lines))
