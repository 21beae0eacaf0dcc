"""The section `matching` of a mapping: what it compiles to, what the linter refuses, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from services.transformer.lint import lint
from services.transformer.load_plan import plan_load
from services.transformer.mapping.document import Mapping
from services.transformer.mapping.matching import Matching
from services.transformer.mapping.reading import connector_mapping_text, load_mapping
from services.transformer.matching import FREE_MAIL_HOSTS, compile_matching
from tests.unit.transformer.profile_account import account, mapping_for
from tests.unit.transformer.support import TARGET

pytestmark = pytest.mark.requirement("L-16")


def mapping(section: str) -> Mapping:
    return load_mapping(connector_mapping_text("stel_order") + f"\noverrides:\n  matching: {section}\n")


def told(section: str) -> list[str]:
    return [finding.message for finding in lint(mapping(section), None, {}) if finding.requirement == "RS-01"]


def test_without_the_section_nothing_is_matched_and_the_mapping_is_the_same() -> None:
    plain = load_mapping(connector_mapping_text("stel_order"))
    assert compile_matching(plain) == {}
    assert mapping("{}").digest == plain.digest
    assert compile_matching(mapping("{organization: {policy: create}}")) == {}


def test_the_usual_keys_and_what_is_said_instead() -> None:
    found = compile_matching(mapping("{organization: {policy: match}, free_mail_hosts: [Post.Example], legal_forms: [Handelsbolag]}"))["organization"]
    assert [(key["key"], key["fields"], key["score"]) for key in found["keys"]] == [
        ("domain", ["website"], 0.92),
        ("name_and_postcode", [], 0.93),
        ("name", [], 0.72),
    ]
    assert {"post.example", "gmail.com"} <= set(found["free_mail_hosts"])
    assert found["legal_forms"] == ["Handelsbolag"]
    section = "{organization: {within_source: review, keys: [{key: domain, is_enough: true}, {key: email, fields: [email]}], differ: [tax_id]}}"
    found = compile_matching(mapping(section))["organization"]
    assert found["keys"][0] == {"key": "domain", "fields": ["website"], "score": 0.92, "is_enough": True}
    assert (found["keys"][1]["fields"], found["differ"]) == (["custom_fields.email"], ["custom_fields.tax_id"])


def test_hosts_where_anybody_has_a_mailbox_stand_once_in_lower_case() -> None:
    assert len(set(FREE_MAIL_HOSTS)) == len(FREE_MAIL_HOSTS) > 100
    assert all(host == host.casefold().strip() and "." in host for host in FREE_MAIL_HOSTS)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{organization: {policy: match, keys: [{key: domain, fields: [websit]}]}}", "organization has no field `websit`"),
        ("{organization: {policy: match, keys: [email]}}", "Pipedrive's organizations have no email of their own"),
        ("{organization: {policy: match, keys: [code]}}", "organizations have no key `code`"),
        ("{person: {policy: match, keys: [{key: name, fields: [name]}]}}", "the key `name` takes no fields"),
        ("{product: {policy: match, differ: [nothing]}}", "product has no field `nothing`"),
        ("{person: {policy: match, certain: 0.5}}", "`uncertain` (0.7) is above `certain` (0.5)"),
    ],
)
def test_what_cannot_be_is_refused(section: str, message: str) -> None:
    assert any(message in one for one in told(section)), told(section)


def test_what_can_be_is_not() -> None:
    assert told("{organization: {policy: update, keys: [domain, {key: phone, fields: [phone, phone2]}]}, person: {policy: match}}") == []


def test_the_plan_reads_what_is_there_before_sample_and_load() -> None:
    snapshot = account()[0]
    plain = mapping_for(snapshot)

    def plan(section: dict[str, Any]) -> dict[str, Any]:
        return plan_load(snapshot, plain.model_copy(update={"matching": Matching.model_validate(section)}), TARGET)

    def spent(plan: dict[str, Any]) -> dict[tuple[str, str], dict[str, int]]:
        return {(row["step"], row["target_entity"]): row["calls"] for row in plan["rows"]}

    with_plan = plan({"organization": {"policy": "match"}, "product": {"within_source": "review"}})
    without, found = spent(plan({})), spent(with_plan)
    for step in ("sample", "load"):
        assert found[step, "organization"] == {**without[step, "organization"], "organizations.list": 1}
        assert found.get((step, "product")) == without.get((step, "product"))
    assert any(line.startswith("matching reads what is in Pipedrive already (organization)") for line in with_plan["assumed"])
    assert not any("matching" in line for line in plan({})["assumed"])
