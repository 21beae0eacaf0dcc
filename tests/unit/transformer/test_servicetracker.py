"""The decisions of the ServiceTracker mapping, and what it proposes of an org."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandbox.servicetracker.schema import Field
from services.transformer.links import Links
from services.transformer.lint import lint
from services.transformer.mapping.reading import load_mapping
from services.transformer.names import NamedView, Names
from tests.fixtures.servicetracker.org import org
from tests.unit.transformer import large_files
from tests.unit.transformer.servicetracker_account import OrgSnapshot, mapped, proposal, read_org
from tests.unit.transformer.support import TARGET, has_errors


@pytest.fixture(scope="module")
def snapshot() -> OrgSnapshot:
    return read_org()


def _site_count(snapshot: OrgSnapshot, customer_id: str) -> int:
    return sum(row["st__Client__c"] == customer_id for row in snapshot.org.rows(".Site__c"))


@pytest.mark.requirement("D-07", "L-02")
def test_the_proposal_has_no_errors_and_says_why(snapshot: OrgSnapshot) -> None:
    mapping = load_mapping(proposal(snapshot))
    view = NamedView(snapshot, Names(mapping))  # type: ignore[arg-type]
    assert not has_errors(lint(mapping, view, TARGET))
    assert mapping.names["work_order"]["scheduled"].field == "st__Scheduled__c"
    assert mapping.names["work_order"]["scheduled"].reason == "its label is 'Scheduled Time'"
    assert mapping.names["work_order"]["scheduled"].score == 0.9


@pytest.mark.requirement("ST-10", "X-03")
def test_fields_of_the_tenant_have_the_type_the_org_gives_them(snapshot: OrgSnapshot) -> None:
    mapping = load_mapping(proposal(snapshot))
    fields = {one.name: (one.type, one.options) for one in mapping.schema_.fields["organization"].values()}
    assert fields["Rate Type"] == ("enum", ["Standard", "Premium", "Night"])
    assert fields["Credit Limit"] == ("monetary", [])
    assert fields["First Served"] == ("date", [])
    # A picklist of several takes what is on its list, and what stands on records only.
    assert fields["Pests Covered"] == ("set", ["Rats", "Mice", "Wasps", "Bed bugs", "Birds", "Moths (old)"])
    assert {one.name: one.type for one in mapping.schema_.fields["deal"].values()}["Permit Needed"] == "enum"
    # What the platform describes and nobody fills makes no field.
    assert "Shipping City" not in fields
    left_out = [one for one in mapping.entities["customer"].properties.values() if one.keys == ["ShippingCity"]]
    assert [(one.move, one.reason) for one in left_out] == [(False, "the source describes it, but no record has a value for it")]


def test_picklists_of_the_mapping_take_the_orgs_words(snapshot: OrgSnapshot) -> None:
    mapping = load_mapping(proposal(snapshot))
    assert set(mapping.schema_.fields["deal"]["priority"].options) >= {"Low", "Medium", "High", "Emergency"}
    assert "On Hold" in mapping.schema_.fields["organization"]["contract_status"].options


@pytest.mark.requirement("ST-09")
def test_several_sites_are_organizations_or_a_list(snapshot: OrgSnapshot) -> None:
    split, whole = mapped(snapshot, "customer", "site"), mapped(snapshot, "customer", "site", overrides="choices: {multi_site: {value: consolidate}}")
    several = [row for row in snapshot.org.rows(".Site__c") if row["st__Client__c"] and _site_count(snapshot, row["st__Client__c"]) > 1]
    assert several
    for row in several:
        key, parent = f"organization:site/{row['Id']}", f"organization:customer/{row['st__Client__c']}"
        assert split.payloads[key]["name"] == row["Name"]
        relation = split.payloads[f"organization_relation:site/{row['Id']}"]
        assert (relation["rel_owner_org_id"], relation["rel_linked_org_id"]) == ({"$ref": parent}, {"$ref": key})
        assert key not in whole.payloads
        assert row["Name"] in whole.payloads[f"note:customer/{row['st__Client__c']}/sites"]["content"]
        assert whole.payloads[f"note:site/{row['Id']}"]["org_id"] == {"$ref": parent}
        assert split.payloads[f"note:site/{row['Id']}"]["org_id"] == {"$ref": key}


@pytest.mark.requirement("ST-03")
def test_each_asset_is_a_note_where_that_is_wanted(snapshot: OrgSnapshot) -> None:
    plain, each = mapped(snapshot, "asset"), mapped(snapshot, "asset", overrides="choices: {multi_asset: {value: each}}")
    assert not any(key.startswith("note:asset/") for key in plain.payloads)
    whole = [row for row in snapshot.org.rows(".Equipment__c") if row["st__Client__c"]]
    assert all(row["st__Serial_Number__c"] in each.payloads[f"note:asset/{row['Id']}"]["content"] for row in whole)
    assert all(f"activity:asset/{row['Id']}" in plain.payloads for row in whole)


@pytest.mark.requirement("ST-05", "L-04")
def test_technicians_are_people_of_the_proposal_and_take_the_email_a_person_gives(snapshot: OrgSnapshot) -> None:
    people = load_mapping(proposal(snapshot)).owners.people
    rows = snapshot.org.rows(".Technician__c")
    assert rows
    assert {row["Id"]: people[row["Id"]].email for row in rows} == {row["Id"]: row["st__Email__c"] for row in rows}
    chosen = rows[-1]["Id"]
    right = mapped(snapshot, "technician", overrides=f"owners: {{people: {{{chosen}: {{email: right@example.com}}}}}}")
    assert right.payloads[f"user:technician/{chosen}"]["email"] == "right@example.com"
    assert right.payloads[f"user:technician/{rows[0]['Id']}"]["email"] == rows[0]["st__Email__c"]


@pytest.mark.requirement("ST-04")
def test_contracts_are_deals_where_that_is_wanted(snapshot: OrgSnapshot) -> None:
    plain, deals = mapped(snapshot, "contract"), mapped(snapshot, "contract", overrides="choices: {contracts: {value: deals}}")
    assert not any(key.startswith("deal:contract/") for key in plain.payloads)
    for row in snapshot.org.rows(".Contract__c"):
        deal = deals.payloads[f"deal:contract/{row['Id']}"]
        assert (deal["value"], deal["custom"]["ST Renewal Date"]) == (row["st__Annual_Value__c"], row["st__Renewal_Date__c"])
        assert deal["title"].startswith(f"Contract {row['Name']} · ")
        assert f"note:contract/{row['Id']}" in deals.payloads


@pytest.mark.requirement("ST-08")
def test_a_deal_is_worth_what_was_invoiced_or_what_was_ordered(snapshot: OrgSnapshot) -> None:
    invoiced, ordered = mapped(snapshot, "work_order"), mapped(snapshot, "work_order", overrides="choices: {work_order_value: {value: ordered}}")
    seen = set()
    for row in snapshot.org.rows(".Work_Order__c"):
        key = f"deal:work_order/{row['Id']}"
        if key not in invoiced.payloads:
            continue
        invoices = [one for one in snapshot.org.rows(".Invoice__c") if one["st__Work_Order__c"] == row["Id"]]
        billable = [one["st__Amount__c"] for one in invoices if one["st__Billable__c"]]
        wanted = round(sum(billable), 6) if invoices else row["st__Total_Value__c"]
        seen.add((bool(invoices), bool(billable)))
        assert invoiced.payloads[key]["value"] == wanted
        assert ordered.payloads[key]["value"] == row["st__Total_Value__c"]
    assert seen == {(False, False), (True, True), (True, False)}


@pytest.mark.requirement("ST-05")
def test_orders_of_technicians_without_a_user_wait_where_that_is_wanted(snapshot: OrgSnapshot) -> None:
    waiting = mapped(snapshot, "work_order", overrides="policies: {unmatched_owner: wait}")
    order = next(row for row in snapshot.org.rows(".Work_Order__c") if row["st__Technician__c"])
    references = {one.key: one for one in waiting.records[f"deal:work_order/{order['Id']}"].references}
    technician = references[f"user:technician/{order['st__Technician__c']}"]
    assert technician.fallback_key == ""
    assert waiting.payloads[f"deal:work_order/{order['Id']}"]["custom"]["ST Technician"]


@pytest.mark.requirement("ST-06", "X-07")
def test_a_file_that_is_too_large_waits_or_becomes_a_note(snapshot: OrgSnapshot) -> None:
    (large,) = [row for row in snapshot.org.rows("Attachment") if row["Name"].endswith(".mp4")]
    flagged, linked = mapped(snapshot, "attachment"), mapped(snapshot, "attachment", overrides="policies: {oversize_files: link}")
    assert ("WAITING", "FILE_TOO_LARGE") in flagged.reasons()
    assert f"file:attachment/{large['Id']}" not in flagged.payloads
    note = linked.payloads[f"note:attachment/{large['Id']}/oversize"]
    assert note["deal_id"] == {"$ref": f"deal:work_order/{large['ParentId']}"}
    assert str(large["BodyLength"]) in note["content"]


@pytest.mark.requirement("X-07", "D-04")
def test_a_file_that_is_too_large_is_split_when_that_is_asked(snapshot: OrgSnapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    (large,) = [row for row in snapshot.org.rows("Attachment") if row["Name"].endswith(".mp4")]
    (envelope,) = [one for one in snapshot.iterate("attachment") if one.id == large["Id"]]
    monkeypatch.setitem(envelope.data, "file", large_files.fetched())
    split = mapped(snapshot, "attachment", overrides="policies: {oversize_files: split}")
    large_files.expect_parts(split.payloads, f"attachment/{large['Id']}", {"deal_id": {"$ref": f"deal:work_order/{large['ParentId']}"}})


@pytest.mark.requirement("ST-06")
def test_a_note_with_images_refers_to_their_files(snapshot: OrgSnapshot) -> None:
    result = mapped(snapshot, "content_note")
    for key, payload in result.payloads.items():
        parts = payload["content"]["$text"]
        files = [part["$ref"] for part in parts if isinstance(part, dict)]
        note_id = key.removeprefix("note:content_note/")
        assert files == [f"file:inline_image/{note_id}-1", f"file:inline_image/{note_id}-2"]
        assert "base64" not in "".join(part for part in parts if isinstance(part, str))
        assert {one.key for one in result.records[key].references} >= set(files)


@pytest.mark.requirement("ST-07")
def test_the_log_keeps_what_the_platform_has_archived(snapshot: OrgSnapshot) -> None:
    result = mapped(snapshot, "task")
    archived = [row for row in snapshot.org.rows("Task") if row["IsArchived"]]
    assert archived
    assert all(f"activity:task/{row['Id']}" in result.payloads for row in archived)
    loose = next(row for row in snapshot.org.rows("Task") if not row["WhatId"])
    (issue,) = [one for one in result.issues if one.source_key == f"task/{loose['Id']}"]
    assert issue.reason == "REFERENCE_MISSING"
    assert "Loose end" in issue.message


@pytest.mark.requirement("ST-01")
def test_merged_and_deleted_customers_stay_behind(snapshot: OrgSnapshot) -> None:
    result = mapped(snapshot, "customer")
    gone = [row["Id"] for row in snapshot.org.rows("Account") if row["IsDeleted"]]
    assert len(gone) == 2
    assert not any(f"organization:customer/{row_id}" in result.payloads for row_id in gone)
    assert result.reasons().count(("SKIPPED", "SKIPPED_DELETED")) == 2


@pytest.mark.requirement("ST-01", "X-01")
def test_what_named_a_customer_that_was_merged_is_of_the_one_that_stays(snapshot: OrgSnapshot) -> None:
    (loser,) = [row for row in snapshot.org.rows("Account") if row["IsDeleted"] and row["MasterRecordId"]]
    (contact,) = [row for row in snapshot.org.rows("Contact") if row["AccountId"] == loser["Id"]]
    stays = {"$ref": f"organization:customer/{loser['MasterRecordId']}"}
    assert mapped(snapshot, "contact").payloads[f"person:contact/{contact['Id']}"]["org_id"] == stays
    links = Links(load_mapping(proposal(snapshot)).links, {})
    winner = snapshot.one("customer", loser["MasterRecordId"])
    view = NamedView(snapshot, Names(load_mapping(proposal(snapshot))))  # type: ignore[arg-type]
    assert contact["Id"] in {one.id for one in links.follow("contacts", winner, view)}


@pytest.mark.requirement("D-07", "L-02")
def test_what_plays_a_role_and_what_was_not_found_is_said(snapshot: OrgSnapshot) -> None:
    mapping = load_mapping(proposal(snapshot))
    assert mapping.entities["work_order"].label == "Work order (st__Work_Order__c)"
    assert mapping.entities["customer"].label == "Customer (Account)"
    view = NamedView(snapshot, Names(mapping))  # type: ignore[arg-type]
    said = {finding.path: finding.message for finding in lint(mapping, view, TARGET)}
    assert said["names.contact"].startswith("no field was found for home_phone, other_phone: ")
    assert "names.visit" not in said
    weak = load_mapping(proposal(snapshot, "names: {visit: {notes: {field: Name, score: 0.6, reason: a guess}}}"))
    said = {finding.path: finding.message for finding in lint(weak, view, TARGET)}
    assert said["names.visit.notes"] == "needs_review: Name was taken (score 0.60): a guess"


@pytest.mark.requirement("ST-01", "X-05")
def test_people_who_are_customers_and_currencies_of_rows() -> None:
    made = org(customers=6)
    for name in ("Account", "st__Work_Order__c", "st__Invoice__c"):
        fields = made.store.objects[name].fields
        more = {
            "CurrencyIsoCode": Field("CurrencyIsoCode", "picklist", "Currency ISO Code"),
            "IsPersonAccount": Field("IsPersonAccount", "boolean", "Person"),
        }
        made.store.objects[name] = replace(made.store.objects[name], fields={**fields, **more})
        for row in made.rows(name):
            row |= {"CurrencyIsoCode": "NOK", "IsPersonAccount": False}
    person = made.store.create(
        "Account", {"Name": "Kari Nordmann", "Phone": "22 33 44 55", "IsPersonAccount": True, "CurrencyIsoCode": "SEK"}, made.simulator.clock.now()
    )
    result = mapped(read_org(made), "customer", "work_order")
    assert result.payloads[f"person:customer/{person['Id']}"]["name"] == "Kari Nordmann"
    assert [one["value"] for one in result.payloads[f"person:customer/{person['Id']}"]["phones"]] == ["22 33 44 55"]
    assert {payload["currency"] for key, payload in result.payloads.items() if key.startswith("deal:")} == {"NOK"}
    totals = [payload["custom"]["ST Total Value"] for key, payload in result.payloads.items() if key.startswith("deal:")]
    assert {total["currency"] for total in totals} == {"NOK"}


@pytest.mark.requirement("D-07")
def test_a_name_a_person_corrects_wins() -> None:
    made = read_org(org(customers=6))
    result = mapped(made, "work_order", overrides="names: {work_order: {subject: Billing_Reference__c}}")
    for row in made.org.rows(".Work_Order__c"):
        assert result.payloads[f"deal:work_order/{row['Id']}"]["custom"].get("ST Subject") == row["Billing_Reference__c"]
