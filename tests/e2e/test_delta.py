"""Deltas, as often as wanted, through the real stack: edits, policies, questions, deletions, merges, crashes, and the way back."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.e2e.harness import ACTOR, Rehearsal, installation
from transload.errors import TransloadCallError
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.requirement("L-11", "L-16", "X-01")]

POLICY = """
  delta:
    entities:
      organization: {fields: {website: source}}
      person: {deletions: delete}
"""


class Account:
    """What people and the source do meanwhile."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.before: dict[str, set[int]] = {}
        self.http = httpx.AsyncClient(headers={"x-api-token": rehearsal.keys[1]}, base_url=rehearsal.pipedrive.url, trust_env=False)

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        response = await self.http.request(method, f"/api{path}", json=body)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()["data"]
        return answer

    async def live(self, kind: str, target_id: str) -> dict[str, Any] | None:
        response = await self.http.get(f"/api/v2/{kind}/{target_id}")
        data: dict[str, Any] | None = response.json().get("data")
        return None if data is None or data.get("is_deleted") else data

    async def change(self, collection: str, source_id: str, **values: Any) -> None:
        await self.rehearsal.stel.control("POST", "change", {"collection": collection, "id": int(source_id), "values": values})

    async def values(self, target_ids: Iterable[str]) -> dict[str, float]:
        """What deals are worth."""
        return {target_id: (await self.live("deals", target_id) or {}).get("value", -1) for target_id in target_ids}

    async def records(self, target_entity: str, source_entity: str) -> list[pb.RecordView]:
        found = await self.rehearsal.records(target_entity=target_entity, source_entity=source_entity)
        return [record for record in found if record.state == "loaded"]

    async def ids(self) -> dict[str, set[int]]:
        """Ids of what stands in Pipedrive."""
        state = json.loads(await self.rehearsal.pipedrive.export())["state"]
        return {kind: {one["id"] for one in state[kind]} for kind in ("organizations", "persons", "deals", "notes", "activities")}

    async def linked_persons(self) -> set[str]:
        """Ids of persons that deals and activities refer to."""
        state = json.loads(await self.rehearsal.pipedrive.export())["state"]
        found = {str(deal["person_id"]) for deal in state["deals"]}
        return found | {str(entry["person_id"]) for activity in state["activities"] for entry in activity["participants"] or ()}

    async def record(self, key: str) -> pb.RecordView:
        answer = await self.rehearsal.client.get_record(self.rehearsal.migration_id, key)
        return next(record for record in answer.records if record.key == key)

    async def events(self, key: str) -> list[tuple[str, str]]:
        answer = await self.rehearsal.client.get_record(self.rehearsal.migration_id, key)
        return [(event.kind, event.result) for event in answer.events if event.key == key]

    async def delta(self, conflicts: Sequence[str] = (), deletions: Sequence[str] = ()) -> dict[str, dict[str, int]]:
        """Run a delta to its good end; answer target entity → result → count."""
        await self.rehearsal.client.run_delta(self.rehearsal.migration_id, conflicts=conflicts, deletions=deletions)
        migration = self.rehearsal.expect_success(await self.rehearsal.finish(), "delta")
        sums: dict[str, dict[str, int]] = {}
        for result in migration.latest_run.results:
            sums.setdefault(result.target_entity, {})[result.result] = result.count
        return sums

    async def resolve(self, reason: str, resolution: str) -> None:
        await self.rehearsal.client.resolve_review_items(self.rehearsal.migration_id, reason=reason, resolution=resolution)


def source_id(record: pb.RecordView) -> str:
    return record.source_key.rpartition("/")[2]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def account(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Account]:
    folder: Path = tmp_path_factory.mktemp("delta")
    async with installation(folder) as installed, installed.rehearsal(source=("--clients", "10")) as rehearsal:
        account = Account(rehearsal)
        account.before = await account.ids()
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        yield account


async def test_policies_change_between_deltas_without_a_new_sample(account: Account) -> None:
    client, migration_id = account.rehearsal.client, account.rehearsal.migration_id
    mapping = await client.get_mapping(migration_id)
    with pytest.raises(TransloadCallError, match="organization has no field `websit`"):
        await client.edit_mapping(migration_id, mapping.mapping_yaml + "\noverrides:" + POLICY.replace("website", "websit"))
    edited = await client.edit_mapping(migration_id, mapping.mapping_yaml + "\noverrides:" + POLICY)
    assert (edited.digest, edited.version) == (mapping.digest, mapping.version + 1)
    migration = await account.rehearsal.migration()
    assert migration.state == pb.MIGRATION_STATE_LOADED
    with pytest.raises(TransloadCallError, match="does not end in one of ask, source, target"):
        await client.run_delta(migration_id, conflicts=["deal=nobody"])


async def test_edits_policies_questions_deletions_and_a_merge_in_one_delta(account: Account) -> None:
    organizations = await account.records("organization", "client")
    persons = await account.records("person", "contact")
    edited, merged = organizations[0], organizations[1]
    linked = await account.linked_persons()
    lost, kept = [person for person in persons if person.target_id not in linked][:2]
    needed = next(person for person in persons if person.target_id in linked)
    # A name edited here and there, a website that the source owns, a merge by a person, and three contacts that the source loses.
    await account.call("PATCH", f"/v2/organizations/{edited.target_id}", {"name": "By a person", "website": "https://person.example"})
    await account.change("clients", source_id(edited), **{"legal-name": "New by the source", "website": "https://source.example"})
    foreign = await account.call("POST", "/v2/organizations", {"name": "Theirs"})
    await account.call("PUT", f"/v1/organizations/{merged.target_id}/merge", {"merge_with_id": foreign["id"]})
    await account.change("clients", source_id(merged), website="https://merged.example")
    await account.call("PATCH", f"/v2/persons/{kept.target_id}", {"name": "Edited by a person"})
    for person in (lost, kept, needed):
        await account.change("contacts", source_id(person), deleted=True)
    sums = await account.delta()

    now = await account.live("organizations", edited.target_id)
    assert now is not None
    assert (now["name"], now["website"]) == ("By a person", "https://source.example")
    assert {("conflict.asked", "ask"), ("conflict.decided", "source")} <= set(await account.events(edited.key))
    survivor = await account.live("organizations", str(foreign["id"]))
    assert survivor is not None
    assert (survivor["name"], survivor["website"]) == ("Theirs", "https://merged.example")
    assert (await account.record(merged.key)).target_id == str(foreign["id"])
    assert ("record.merged", "external_id") in await account.events(merged.key)
    assert await account.live("persons", lost.target_id) is None, (await account.record(lost.key)).message
    assert await account.live("persons", kept.target_id) is not None
    waiting = await account.record(kept.key)
    assert (waiting.state, waiting.reason) == ("waiting", "SOURCE_DELETED")
    # Its deals were mapped again without it, so nothing hangs on it any more.
    assert (await account.record(needed.key)).state == "undone"
    assert await account.live("persons", needed.target_id) is None
    assert needed.target_id not in await account.linked_persons()
    assert sums["organization"]["merged"] == sums["organization"]["conflict_ask"] == sums["organization"]["conflict_source"] == 1
    assert (sums["person"]["deleted"], sums["person"]["gone_delete"]) == (2, 3)
    summary = await account.rehearsal.summary()
    assert [entity.pending_count for entity in summary.entities if entity.pending_count] == []


async def test_another_delta_while_questions_are_open_changes_nothing(account: Account) -> None:
    before = await account.rehearsal.pipedrive.export()
    open_items = {item.review_item_id for item in await account.rehearsal.review_items() if item.is_blocking}
    sums = await account.delta()
    assert await account.rehearsal.pipedrive.export() == before
    assert {item.review_item_id for item in await account.rehearsal.review_items() if item.is_blocking} == open_items
    assert not any(own.get("updated") or own.get("created") or own.get("deleted") for own in sums.values())


async def test_decisions_are_carried_out_by_the_next_delta_although_services_die_in_it(account: Account) -> None:
    rehearsal = account.rehearsal
    asked = next(record for record in await rehearsal.records(reason="CONFLICT") if record.target_entity == "organization")
    going = await rehearsal.records(reason="SOURCE_DELETED")
    await account.resolve("CONFLICT", "use_source")
    await account.resolve("SOURCE_DELETED", "delete")
    await rehearsal.client.run_delta(rehearsal.migration_id)
    for service in ("loader", "ledger"):
        await asyncio.sleep(0.5)
        rehearsal.installation.kill(service)
    rehearsal.expect_success(await rehearsal.finish(), "delta")
    now = await account.live("organizations", asked.target_id)
    assert now is not None
    assert now["name"] == "New by the source"
    assert len(going) == 1
    assert [await account.live("persons", record.target_id) for record in going] == [None]
    assert ("conflict.decided", "source") in await account.events(asked.key)
    journal = await rehearsal.client.get_record(rehearsal.migration_id, asked.key)
    said = [(event.actor, json.loads(event.payload_json)) for event in journal.events if event.kind == "review.resolved"]
    assert [(actor, payload["fields"]) for actor, payload in said if payload["reason"] == "CONFLICT"] == [(ACTOR, ["name"])]


async def test_an_override_decides_one_delta_and_what_comes_back_is_created_again(account: Account) -> None:
    organization = (await account.records("organization", "client"))[2]
    await account.call("PATCH", f"/v2/organizations/{organization.target_id}", {"name": "Edited again"})
    await account.change("clients", source_id(organization), **{"legal-name": "The source again"})
    undone = [record for record in await account.rehearsal.records(target_entity="person", source_entity="contact") if record.state == "undone"]
    await account.change("contacts", source_id(undone[0]), deleted=False)
    sums = await account.delta(conflicts=["organization.name=target"])
    now = await account.live("organizations", organization.target_id)
    assert now is not None
    assert now["name"] == "Edited again"
    assert sums["organization"]["conflict_target"] == 1
    back = await account.record(undone[0].key)
    assert (back.state, sums["person"]["created"]) == ("loaded", 1)
    assert back.target_id != undone[0].target_id
    # The next delta without the word does not ask again: the source said nothing new.
    await account.change("clients", source_id(organization), website="https://later.example")
    sums = await account.delta()
    assert "conflict_ask" not in sums["organization"]
    now = await account.live("organizations", organization.target_id)
    assert now is not None
    assert (now["name"], now["website"]) == ("Edited again", "https://later.example")


async def test_what_a_person_deleted_comes_back_and_all_that_hung_on_it_hangs_on_it_again(account: Account) -> None:
    state = json.loads(await account.rehearsal.pipedrive.export())["state"]
    organizations = (await account.records("organization", "client"))[3:]
    lost = next(one for one in organizations if all(linked(state, kind, one.target_id) for kind in ("deals", "persons")))
    before = {kind: linked(state, kind, lost.target_id) for kind in ("deals", "persons", "notes", "activities")}
    await account.call("DELETE", f"/v2/organizations/{lost.target_id}")
    await account.change("clients", source_id(lost), website="https://again.example")
    await account.delta(conflicts=["source"])
    record = await account.record(lost.key)
    assert (record.state, record.target_id != lost.target_id) == ("loaded", True)
    state = json.loads(await account.rehearsal.pipedrive.export())["state"]
    for kind, ids in before.items():
        assert ids <= linked(state, kind, record.target_id), kind
        assert not linked(state, kind, lost.target_id), kind
    # All of it is done: the next delta writes nothing.
    sums = await account.delta()
    assert not any(own.get("updated") or own.get("created") or own.get("deleted") for own in sums.values())


async def test_a_deal_keeps_the_value_of_its_document_whatever_becomes_of_its_lines(account: Account) -> None:
    """D-01: Pipedrive works a deal's value out of its lines whenever one changes; the document's own total need not be their sum."""
    truth = await account.rehearsal.stel.control("GET", "truth")
    invoices = {str(one["id"]): one for one in truth["collections"]["ordinaryInvoices"]}
    deals = [one for one in await account.records("deal", "ordinary_invoice") if len(sold(invoices[source_id(one)])) > 1]
    product, edited, shortened = deals[:3]
    totals = {deal.target_id: round(invoices[source_id(deal)]["total-amount"] + 10, 2) for deal in (product, edited, shortened)}
    for deal in (product, edited, shortened):
        await account.change("ordinaryInvoices", source_id(deal), **{"total-amount": totals[deal.target_id]})
    await account.delta()
    assert await account.values(totals) == totals
    for deal, change in ((edited, {"item-name": "Another name"}), (shortened, {"deleted": True})):
        lines = invoices[source_id(deal)]["lines"]
        changed = sold(invoices[source_id(deal)])[0]["id"]
        await account.change("ordinaryInvoices", source_id(deal), lines=[line | change if line["id"] == changed else line for line in lines])
    sums = await account.delta(deletions=["line_item=delete"])
    assert (sums["line_item"]["updated"], sums["line_item"]["deleted"]) == (1, 1)
    assert await account.values(totals) == totals
    # A product that is made anew moves the lines of deals whose documents did not change.
    item = sold(invoices[source_id(product)])[0]["item-path"].strip("/").split("/")[-2:]
    made = next(one for one in await account.rehearsal.records(target_entity="product") if source_id(one) == item[1] and one.state == "loaded")
    await account.call("DELETE", f"/v2/products/{made.target_id}")
    await account.change(item[0], item[1], description="Said anew")
    sums = await account.delta(conflicts=["source"])
    assert sums["line_item"]["updated"] >= 1
    assert (await account.record(made.key)).target_id != made.target_id
    assert await account.values(totals) == totals
    sums = await account.delta()
    assert not any(own.get("updated") or own.get("created") or own.get("deleted") for own in sums.values()), "the next delta has nothing to do"


def sold(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Lines of a document that become lines of its deal."""
    return [line for line in document["lines"] if line["line-type"] == "ITEM" and not line["deleted"]]


def linked(state: dict[str, Any], kind: str, organization_id: str) -> set[int]:
    """Ids of records of a kind that hang on an organization."""
    return {one["id"] for one in state[kind] if one.get("org_id") == int(organization_id)}


async def test_rollback_leaves_what_is_not_ours(account: Account) -> None:
    organizations = await account.rehearsal.records(target_entity="organization")
    events = {record.target_id: await account.events(record.key) for record in organizations}
    (foreign,) = [target_id for target_id, own in events.items() if ("record.merged", "external_id") in own]
    await account.rehearsal.step("rollback")
    edited = {int(record.target_id) for record in organizations if ("conflict.decided", "target") in events[record.target_id]}
    left = await account.ids()
    assert {kind: ids - account.before[kind] for kind, ids in left.items()} == {
        "organizations": {int(foreign)} | edited, "persons": set(), "deals": set(), "notes": set(), "activities": set(),
    }  # fmt: skip
    await account.http.aclose()
