"""Lists made by rules, choices, placeholders, hierarchies and links by value: what the language says of them, in small mappings."""

from __future__ import annotations

from datetime import date
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import MappingError
from services.transformer.compile import compile_schema, dispositions
from services.transformer.context import Context
from services.transformer.dependents import Dependents
from services.transformer.engine import Engine
from services.transformer.hierarchy import distinct
from services.transformer.lint import lint
from services.transformer.load_plan import stand_ins
from services.transformer.manifest import Manifest
from services.transformer.mapping.reading import load_mapping
from services.transformer.plan import MappingPlan
from services.transformer.propose import propose
from services.transformer.sample import _Closure, select_sample
from services.transformer.snapshot.index import SnapshotIndex
from tests.unit.transformer.support import Pages, Snapshot
from transload.v1 import ledger_service_pb2, records_pb2
from transload.v1 import transformer_service_pb2 as pb

MAPPING = """
version: 1
source: toy
policies: {recurrence_from: "2026-01-01", recurrence_window_months: 3}
choices:
  homeless: {value: placeholder, allowed: [placeholder, wait], says: where things without an account go}
links:
  account: {id: account_id, entity: account}
  parent: {id: parent_id, entity: thing}
  ancestors: &chain {chain: up, id: parent_id, entity: thing}
  root: {<<: *chain, level: 1}
  second: {<<: *chain, level: 2}
  worker: {id: worker, by: [login, "@id"], entity: worker}
  helpers: {id: helpers, by: login, entity: worker}
  first_helper: {id: helpers, by: login, entity: worker, pick: first}
  notes: {many: remark, by: thing_ids}
conditions:
  goes_to_placeholder: {policy: homeless, equals: placeholder}
schema:
  fields:
    organization: {kind: {name: Kind, type: varchar}, lineage: {name: Lineage, type: text}, level: {name: Level, type: double}}
  activity_types: {due: {name: Due}}
placeholders:
  nowhere: {target: organization, fields: {name: Things without account}, custom: {kind: Placeholder}}
entities:
  account: {targets: [{target: organization, fields: {name: name}}]}
  worker: {use: reference_data}
  remark: {use: reference_data}
  thing:
    targets:
      - target: organization
        stops:
          - {when: {of: ancestors, is: loop}, state: flagged, reason: VALUE_INVALID, message: "{name} is its own ancestor"}
          - {when: {of: parent, is: missing}, state: flagged, reason: REFERENCE_MISSING, message: "{name} names a parent that is not there"}
        fields: {name: name}
        custom:
          kind: {value: Thing}
          lineage: {from: ancestors, transforms: [{lineage: {name: name, otherwise: id}}]}
          level: {from: ancestors, transforms: [count]}
      - target: organization_relation
        fields:
          type: {value: parent}
          rel_linked_org_id: {ref: {to: organization}}
          rel_owner_org_id:
            cases:
              - {ref: {to: organization, of: second, on_missing: drop}}
              - {ref: {to: organization, of: parent, on_missing: drop}}
              - {ref: {to: organization, of: account, on_missing: drop}}
              - {when: goes_to_placeholder, ref: {to: organization, placeholder: nowhere}}
      - target: activity
        for_each:
          object: {text: often, start: start}
          transforms: [{occurrences: {window_from: {policy: recurrence_from}, months: {policy: recurrence_window_months}}}]
        as: time
        part: "time/{time.date}"
        fields:
          subject: {template: "{name} {time.number} of {time.of}"}
          type: {value: due}
          due_date: time.due_date
"""


def plan_of(text: str = MAPPING) -> MappingPlan:
    mapping = load_mapping(text)
    return MappingPlan(mapping, Manifest("toy-1", mapping, stand_ins(compile_schema(mapping))))


def mapped(snapshot: Snapshot, entity: str, source_id: str, plan: MappingPlan | None = None) -> tuple[dict[str, dict[str, Any]], list[Any]]:
    plan = plan or plan_of()
    records: dict[str, dict[str, Any]] = {}
    issues = []
    for phase in plan.entities[entity].phases:
        made = Engine(plan).map_record(snapshot.one(entity, source_id), snapshot, phase)
        records.update((one.key, orjson.loads(one.payload_json)) for one in made.records)
        issues.extend(made.issues)
    return records, issues


def custom(payload: dict[str, Any], field_id: str) -> Any:
    code = plan_of().manifest.field_hash("organization", field_id)  # type: ignore[union-attr]
    return payload.get("custom_fields", {}).get(code)


def tree() -> Snapshot:
    things = [
        {"id": 1, "name": "Plant"},
        {"id": 2, "name": "Hall", "parent_id": "1"},
        {"id": 3, "name": "Line", "parent_id": "2"},
        {"id": 4, "name": "Pump", "parent_id": "3"},
        {"id": 5, "name": "Ring A", "parent_id": "6"},
        {"id": 6, "name": "Ring B", "parent_id": "5"},
        {"id": 7, "name": "On the ring", "parent_id": "6"},
        {"id": 8, "name": "Orphan", "parent_id": "99"},
        {"id": 9, "name": "Self", "parent_id": "9"},
        {"id": 10, "name": "Owned", "account_id": "50"},
        {"id": 11, "name": "", "parent_id": "1"},
        {"id": 12, "name": "Below a nameless one", "parent_id": "11"},
    ]
    return Snapshot({"thing": things, "account": [{"id": 50, "name": "Town"}]})


@pytest.mark.requirement("NV-04")
def test_a_deep_hierarchy_hangs_on_its_second_level_and_keeps_its_lineage() -> None:
    records, issues = mapped(tree(), "thing", "4")
    assert custom(records["organization:thing/4"], "lineage") == "Plant > Hall > Line"
    assert custom(records["organization:thing/4"], "level") == 3
    assert records["organization_relation:thing/4"]["rel_owner_org_id"] == {"$ref": "organization:thing/2"}
    assert records["organization_relation:thing/4"]["rel_linked_org_id"] == {"$ref": "organization:thing/4"}
    assert not issues
    assert mapped(tree(), "thing", "3")[0]["organization_relation:thing/3"]["rel_owner_org_id"] == {"$ref": "organization:thing/2"}
    assert mapped(tree(), "thing", "2")[0]["organization_relation:thing/2"]["rel_owner_org_id"] == {"$ref": "organization:thing/1"}
    assert custom(mapped(tree(), "thing", "12")[0]["organization:thing/12"], "lineage") == "Plant > 11"


@pytest.mark.requirement("NV-03")
@pytest.mark.parametrize(("source_id", "owner"), [("10", "organization:account/50"), ("1", "organization:placeholder/nowhere")])
def test_what_hangs_on_nothing_hangs_on_the_placeholder(source_id: str, owner: str) -> None:
    records, _ = mapped(tree(), "thing", source_id)
    assert records[f"organization_relation:thing/{source_id}"]["rel_owner_org_id"] == {"$ref": owner}
    if "placeholder" in owner:
        placeholder = records["organization:placeholder/nowhere"]
        assert placeholder["name"] == "Things without account"
        assert custom(placeholder, "kind") == "Placeholder"
        assert "toy-1/placeholder/nowhere" in placeholder["custom_fields"].values()
    else:
        assert "organization:placeholder/nowhere" not in records


def test_the_records_of_one_page_bring_a_placeholder_once_and_first() -> None:
    engine, snapshot = Engine(plan_of()), tree()
    phase = records_pb2.PHASE_ORGANIZATIONS
    keys = [one.key for source_id in ("1", "8", "9") for one in engine.map_record(snapshot.one("thing", source_id), snapshot, phase).records]
    assert keys == ["organization:placeholder/nowhere", "organization:thing/1", "organization:thing/8", "organization:thing/9"]


def test_an_entity_without_organizations_of_its_own_opens_their_phase_for_its_placeholder() -> None:
    document = yaml.safe_load(MAPPING)
    main = document["entities"]["thing"]["targets"][0]
    main["target"] = "person"
    del main["custom"]
    text = yaml.safe_dump(document, sort_keys=False)
    plan = plan_of(text)
    assert plan.entities["thing"].phases[0] == records_pb2.PHASE_ORGANIZATIONS
    found = {one.entity: list(one.phases) for one in dispositions(plan.mapping)}
    assert records_pb2.PHASE_ORGANIZATIONS in found["thing"]


def test_a_choice_decides_and_a_wrong_one_is_said() -> None:
    plan = plan_of(MAPPING.replace("value: placeholder, allowed", "value: wait, allowed"))
    records, issues = mapped(tree(), "thing", "1", plan)
    assert "organization_relation:thing/1" not in records
    assert [one.reason for one in issues] == ["VALUE_MISSING"]
    found = {one.path: one.message for one in lint(load_mapping(MAPPING.replace("value: placeholder, allowed", "value: other, allowed")))}
    assert "'other' is none of placeholder, wait" in found["choices.homeless.value"]
    said = {one.path: one.message for one in lint(load_mapping(MAPPING))}
    assert said["choices.homeless"] == "where things without an account go: placeholder is chosen; also possible: wait"
    with pytest.raises(MappingError, match="no policy or choice `homless`"):
        plan_of(MAPPING.replace("{policy: homeless", "{policy: homless"))


@pytest.mark.requirement("NV-04")
@pytest.mark.parametrize(
    ("source_id", "reason", "owner"),
    [
        ("5", "VALUE_INVALID", "placeholder/nowhere"),
        ("9", "VALUE_INVALID", "placeholder/nowhere"),
        ("7", "VALUE_INVALID", "thing/6"),
        ("8", "REFERENCE_MISSING", "thing/99"),
    ],
)
def test_loops_and_missing_parents_are_found_and_everything_is_made_all_the_same(source_id: str, reason: str, owner: str) -> None:
    records, issues = mapped(tree(), "thing", source_id)
    assert f"organization:thing/{source_id}" in records
    flagged = [one for one in issues if one.kind == ledger_service_pb2.ISSUE_KIND_FLAGGED]
    assert [one.reason for one in flagged] == [reason]
    assert owner
    if source_id in {"5", "9"}:
        assert custom(records[f"organization:thing/{source_id}"], "lineage") is None


THINGS = st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=8)


@given(parents=THINGS)
@settings(max_examples=200, deadline=None)
def test_ancestors_end_and_are_the_same_from_wherever_they_are_looked_at(parents: list[int | None]) -> None:
    rows: list[dict[str, Any]] = [{"id": place, **({} if parent is None else {"parent_id": str(parent)})} for place, parent in enumerate(parents)]
    snapshot, links = Snapshot({"thing": rows}), plan_of().links
    chains = {one.id: [step.id for step in links.follow("ancestors", one, snapshot)] for one in snapshot.iterate("thing")}
    for source_id, chain in chains.items():
        assert source_id not in chain
        assert len(chain) == len(set(chain))
        if chain:
            assert chain[1:] == chains[chain[0]]
            root = links.follow("root", snapshot.one("thing", source_id), snapshot)
            assert root.id == chain[-1]


@pytest.mark.requirement("NV-05")
def test_a_list_may_be_made_by_a_rule() -> None:
    snapshot = Snapshot({"thing": [{"id": 1, "name": "Check", "often": "Monthly", "start": "2025-11-15"}]})
    records, issues = mapped(snapshot, "thing", "1")
    dues = {key: payload["due_date"] for key, payload in records.items() if key.startswith("activity:")}
    assert dues == {f"activity:thing/1/time/2026-0{month}-15": f"2026-0{month}-15" for month in (1, 2, 3)}
    assert records["activity:thing/1/time/2026-02-15"]["subject"] == "Check 2 of 3"
    assert not issues


@pytest.mark.requirement("NV-05", "X-04")
def test_a_list_that_cannot_be_made_is_flagged_or_rejects_and_stops_nothing_else() -> None:
    snapshot = Snapshot({"thing": [{"id": 1, "name": "Check", "often": "biweekly", "start": "2025-11-15"}]})
    records, issues = mapped(snapshot, "thing", "1")
    assert "organization:thing/1" in records
    assert [(one.kind, one.reason) for one in issues] == [(ledger_service_pb2.ISSUE_KIND_FLAGGED, "VALUE_INVALID")]
    assert "twice a week or every two weeks" in issues[0].message
    strict = plan_of(MAPPING.replace("          object: {text", "          on_invalid: reject\n          object: {text"))
    _, refused = mapped(snapshot, "thing", "1", strict)
    assert [(one.kind, one.key) for one in refused] == [(ledger_service_pb2.ISSUE_KIND_REJECTED, "activity:thing/1")]
    assert select_sample(snapshot, load_mapping(MAPPING)).source_keys == ["thing/1"]


@pytest.mark.requirement("NV-06", "L-04")
def test_links_go_by_what_stands_in_a_field() -> None:
    workers = [{"id": 7, "login": "JDoe"}, {"id": 8, "login": "twin"}, {"id": 9, "login": "Twin "}, {"id": 12, "login": "asmith"}]
    things = [
        {"id": 1, "worker": "jdoe ", "helpers": ["asmith", "nobody", "jdoe"]},
        {"id": 2, "worker": "twin"},
        {"id": 3, "worker": "12"},
        {"id": 4, "worker": "gone", "helpers": ["7"]},
    ]
    snapshot, links = Snapshot({"worker": workers, "thing": things}), plan_of().links

    def led(link: str, source_id: int) -> Any:
        found = links.follow(link, snapshot.one("thing", source_id), snapshot)
        return [one.id for one in found] if isinstance(found, list) else found and found.id

    assert led("worker", 1) == "7"
    assert led("worker", 2) is None, "two records have the value: which one is meant would be a guess"
    assert led("worker", 3) == "12", "the id counts where the link says so"
    assert led("worker", 4) is None
    assert led("helpers", 1) == ["12", "7"]
    assert led("helpers", 4) == [], "an id is no value"
    assert led("first_helper", 1) == "12"
    assert links.locate("first_helper", snapshot.one("thing", 1).data, snapshot) == ("worker", "12")
    assert links.locate("worker", snapshot.one("thing", 4).data, snapshot) == ("worker", "gone")


@pytest.mark.requirement("L-11")
def test_what_goes_by_a_value_is_mapped_again_when_the_other_record_changes() -> None:
    text = MAPPING.replace("kind: {value: Thing}", "kind: worker -> login")
    workers = [{"id": 7, "login": "JDoe"}]
    snapshot = Snapshot({"worker": workers, "thing": [{"id": 1, "name": "a", "worker": "jdoe"}, {"id": 2, "name": "b"}]})
    found = Dependents(plan_of(text)).find(snapshot.one("worker", 7), snapshot, ["thing"])
    assert [one.id for one in found] == ["1"]


async def test_the_index_finds_values_and_texts_in_lists_of_ids(tmp_path: Any) -> None:
    pages = Pages()
    pages.add("worker", {"id": 1, "login": "Łucja  K."}, {"id": 2, "login": "x"})
    pages.add("remark", {"id": 5, "thing_ids": ["1", "2"]})
    index = SnapshotIndex(tmp_path, pages=pages, store=pages)
    view = await index.ensure("m", 0)
    assert [one.id for one in view.find("worker", "login", " łucja k. ")] == ["1"]
    assert view.find("worker", "login", "nobody") == []
    assert [one.id for one in view.children("remark", "thing_ids", "2")] == ["5"]
    pages.add("worker", {"id": 1, "login": "new"})
    later = await index.ensure("m", 0)
    assert later.find("worker", "login", "łucja k.") == []
    assert [one.id for one in later.find("worker", "login", "NEW")] == ["1"]
    assert [one.id for one in view.find("worker", "login", "łucja k.")] == ["1"]
    index.close()


def test_lists_of_records_are_objects_to_transforms() -> None:
    snapshot = Snapshot({"thing": [{"id": 1, "name": "a"}, {"id": 2, "name": "b", "parent_id": "1"}]})
    rule = load_mapping(MAPPING.replace("kind: {value: Thing}", "kind: {from: ancestors, transforms: [{each: {template: '{name}'}}, join]}"))
    compiled = plan_of().compiler("thing").rule(rule.entities["thing"].targets[0].custom["kind"])
    assert compiled.value(Context(envelope=snapshot.one("thing", 2), lookup=snapshot)) == "a"


@pytest.mark.parametrize(
    ("placeholder", "problem"),
    [
        ({"target": "activity", "fields": {}}, "cannot be a placeholder"),
        ({"target": "organization", "fields": {}}, "without name"),
        ({"target": "organization", "fields": {"name": "x", "nam": "y"}}, "no field `nam`"),
        ({"target": "organization", "fields": {"name": "x"}, "custom": {"colour": "red"}}, "not declared"),
    ],
)
def test_a_placeholder_that_cannot_be_made_is_an_error_of_the_linter(placeholder: dict[str, Any], problem: str) -> None:
    document = yaml.safe_load(MAPPING)
    document["placeholders"]["nowhere"] = placeholder
    found = [one for one in lint(load_mapping(yaml.safe_dump(document))) if one.path.startswith("placeholders.nowhere")]
    assert problem in found[0].message


def test_the_window_of_recurrences_is_proposed_and_without_it_the_linter_refuses() -> None:
    base = MAPPING.replace('recurrence_from: "2026-01-01", ', "")
    assert [one.path for one in lint(load_mapping(base)) if one.severity == pb.FINDING_SEVERITY_ERROR] == ["policies.recurrence_from"]
    text = propose(base, tree(), {}, "", today=date(2026, 5, 4))
    assert load_mapping(text).policies.recurrence_from == "2026-05-04"
    assert load_mapping(propose(MAPPING, tree(), {}, "", today=date(2026, 5, 4))).policies.recurrence_from == "2026-01-01"


OPTIONS = """
version: 1
source: toy
schema:
  fields:
    person: {department: {name: Department, type: enum, options: [Office]}, rank: {name: Rank, type: enum}}
value_maps:
  departments: {HQ: Office}
propose:
  options:
    - {option: person.department, entity: [department, worker], name: [title, department], value_map: departments}
    - {option: person.rank, entity: worker, name: rank}
    - {option: person.label_ids, entity: worker, name: department, value_map: departments}
entities:
  department: {use: reference_data}
  worker:
    targets:
      - {target: person, fields: {name: name}, custom: {department: {from: department, map: departments}}}
"""


@pytest.mark.requirement("NV-07", "L-03")
def test_options_are_proposed_value_by_value_and_capitals_do_not_make_another_one() -> None:
    workers = [
        {"id": 1, "name": "a", "department": "Water "},
        {"id": 2, "name": "b", "department": "water"},
        {"id": 3, "name": "c", "department": ["hq", "Städtebau"]},
        {"id": 4, "name": "d", "department": 7},
    ]
    snapshot = Snapshot({"department": [{"id": 1, "title": "Parks"}], "worker": workers})
    proposed = load_mapping(propose(OPTIONS, snapshot, {}, ""))
    fields = proposed.schema_.fields["person"]
    assert fields["department"].options == ["Office", "Parks", "Water", "Städtebau", "7"]
    assert proposed.value_maps["departments"] == {"HQ": "Office", "Parks": "Parks", "Water": "Water", "Städtebau": "Städtebau", "7": "7"}
    assert proposed.schema_.options["person.label_ids"] == ["Water", "Office", "Städtebau", "7"]
    assert (fields["rank"].type, fields["rank"].options) == ("varchar", []), "a picklist without values is a text field"
    assert [one for one in lint(proposed, snapshot) if one.severity == pb.FINDING_SEVERITY_ERROR] == []


def test_lists_over_several_links_are_flat_and_distinct() -> None:
    remarks = [{"id": 1, "thing_ids": ["1", "2"]}, {"id": 2, "thing_ids": ["2", "3"]}, {"id": 3, "thing_ids": ["99"]}]
    things = [{"id": 1, "name": "a"}, {"id": 2, "name": "b", "parent_id": "1"}, {"id": 3, "name": "c", "parent_id": "1"}]
    snapshot = Snapshot({"remark": remarks, "thing": things})
    document = yaml.safe_load(MAPPING)
    document["links"] |= {"children": {"many": "thing", "by": "parent_id"}, "things": {"id": "thing_ids", "entity": "thing"}}
    document["entities"]["thing"]["targets"][0]["custom"]["kind"] = {
        "from": "children -> notes -> things",
        "transforms": [{"distinct": {"by": "id"}}, {"each": {"template": "{name}"}}, "join"],
    }
    records, _ = mapped(snapshot, "thing", "1", plan_of(yaml.safe_dump(document, sort_keys=False)))
    assert custom(records["organization:thing/1"], "kind") == "a, b, c"


@given(value=st.recursive(st.one_of(st.none(), st.integers(), st.text()), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_distinct_leaves_nothing_out_that_comes_once(value: Any) -> None:
    found = distinct(value)
    if isinstance(value, list):
        assert isinstance(found, list)
        assert all(element in found for element in value)
        assert distinct(found) == found
    else:
        assert found == value


@pytest.mark.requirement("L-05")
def test_an_icon_that_pipedrive_does_not_have_is_found_before_the_schema_is_made() -> None:
    text = MAPPING.replace("due: {name: Due}", "due: {name: Due, icon_key: wrench}")
    found = [one for one in lint(load_mapping(text)) if one.path == "schema.activity_types.due.icon_key"]
    assert [one.severity for one in found] == [pb.FINDING_SEVERITY_ERROR]
    assert "cogs" in found[0].message


def test_a_sample_is_closed_over_records_whose_id_holds_a_slash() -> None:
    things: list[dict[str, Any]] = [
        {"id": "V-3/4", "name": "root"},
        {"id": "5/1", "name": "middle", "parent_id": "V-3/4"},
        {"id": 6, "name": "leaf", "parent_id": "5/1"},
    ]
    snapshot = Snapshot({"thing": things})
    assert sorted(_Closure(plan_of(), snapshot).add("thing/6")) == ["thing/5/1", "thing/6", "thing/V-3/4"]
