"""De-duplication before insert, through the real stack: an account of Pipedrive that holds some of the customers, people and products already."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.e2e.checker import diff_of
from tests.e2e.harness import Rehearsal, installation
from tests.fault.proof import assert_sums_agree
from transload.errors import TransloadCallError
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.requirement("L-11", "L-15", "L-16", "X-01", "X-04")]

SOURCE = ("--clients", "14")
UNLIMITED = ("--limits", "off")
MATCHING = """
  organization: {policy: match_and_fill, within_source: merge_into_first, differ: [tax_id]}
  person: {policy: match}
  product: {policy: update}
"""


@dataclass(slots=True)
class Account:
    """The migration, what stood in Pipedrive before it, and who of the source is who."""

    rehearsal: Rehearsal
    clients: list[int]
    contact: dict[str, Any]
    product: dict[str, Any]
    before: bytes = b""
    ids: dict[str, int] = field(default_factory=dict)

    async def records(self, kind: str) -> dict[int, dict[str, Any]]:
        state: dict[str, Any] = json.loads(await self.rehearsal.pipedrive.export())["state"]
        return {one["id"]: one for one in state[kind]}

    async def view(self, key: str) -> pb.RecordView:
        answer = await self.rehearsal.client.get_record(self.rehearsal.migration_id, key)
        return next(record for record in answer.records if record.key == key)

    async def decisions(self, key: str) -> list[tuple[str, dict[str, Any]]]:
        answer = await self.rehearsal.client.get_record(self.rehearsal.migration_id, key)
        return [(event.result, json.loads(event.payload_json)) for event in answer.events if event.kind == "match.decided"]

    async def custom(self, kind: str, name: str) -> str:
        """Key of a custom field by its name."""
        state = json.loads(await self.rehearsal.pipedrive.export())["state"]
        return str(next(one["field_code"] for one in state["fields"] if (one["entity"], one["field_name"]) == (kind, name)))

    async def mismatches(self) -> int:
        await self.rehearsal.step("reconcile")
        page = await anext(aiter(self.rehearsal.client.iterate_mismatches(self.rehearsal.migration_id)))
        assert page.record_count > 0
        return len(page.mismatches)


def options() -> pb.MigrationOptions:
    connector = json.dumps({"plan": "pro", "calls_per_minute": 0, "calls_per_day": 0})
    return pb.MigrationOptions(connector_json=connector, mapping_overrides_yaml=f"matching:{MATCHING}")


def call(method: str, path: str, body: Any = None) -> dict[str, Any]:
    return {"call": {"method": method, "path": path, "body": body}}


async def make(rehearsal: Rehearsal, **deeds: tuple[str, dict[str, Any]]) -> dict[str, int]:
    """Let people make records by hand; answers their ids."""
    calls = [call("POST", f"/api/v2/{path}", body) for path, body in deeds.values()]
    done = (await rehearsal.pipedrive.control("POST", "people", {"do": calls}))["done"]
    assert all(deed["status"] < 300 for deed in done), done
    state = json.loads(await rehearsal.pipedrive.export())["state"]
    made = {}
    for name, (path, body) in deeds.items():
        made[name] = max(one["id"] for one in state[path] if one["name"] == body["name"])
    return made


async def change(rehearsal: Rehearsal, collection: str, identity: int, **values: Any) -> None:
    await rehearsal.stel.control("POST", "change", {"collection": collection, "id": identity, "values": values})


async def arrange(rehearsal: Rehearsal) -> Account:
    """Five clients: one that is there, one that is there twice, one that may be there, and one that came twice."""
    truth = (await rehearsal.truth())["collections"]
    referred = [one["account-id"] for one in truth["ordinaryInvoices"] if not one["deleted"]]
    known = [one["id"] for one in truth["clients"] if not one["deleted"] and one["legal-name"] and one["id"] in referred]
    contact = next(
        one for one in truth["contacts"] if one["account-id"] in known and "@" in str(one.get("email")) and one.get("name") and not one["deleted"]
    )
    clients = [contact["account-id"], *(identity for identity in known if identity != contact["account-id"])][:5]
    product = next(one for one in truth["products"] if one["full-reference"] and one["name"] and not one["deleted"] and not one["inactive"])
    names = ["Talleres Martín S.L.", "Obras Nuevas S.A.", "Quesos del Valle", "Hermanos Ibáñez SLU", "HERMANOS IBAÑEZ, S.L.U."]
    hosts = ["martin", "obras", "quesos", "ibanez", "ibanez"]
    for identity, name, host in zip(clients, names, hosts, strict=True):
        site = f"https://www.{host}.example"
        await change(rehearsal, "clients", identity, **{"legal-name": name, "website": site, "tax-identification-number": ""})
    account = Account(rehearsal, clients, contact, product)
    account.ids = await make(
        rehearsal,
        one=("organizations", {"name": "TALLERES MARTIN", "website": "martin.example"}),
        first=("organizations", {"name": "Obras Nuevas", "website": "https://obras.example/es"}),
        second=("organizations", {"name": "Obras Nuevas (Madrid)", "website": "http://obras.example"}),
        third=("organizations", {"name": "Construcciones del Sur"}),
        maybe=("organizations", {"name": "Quesos del Valle SL"}),
        person=("persons", {"name": str(contact["name"]).upper(), "emails": [{"value": f"  {contact['email'].strip().split(';')[0].upper()}"}]}),
        product=("products", {"name": f"{product['name'][:100]} (2019)", "code": product["full-reference"].lower(), "unit": "old"}),
    )
    account.before = await rehearsal.pipedrive.export()
    return account


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def account(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Account]:
    folder: Path = tmp_path_factory.mktemp("matching")
    async with installation(folder) as installed, installed.rehearsal(source=SOURCE, target=UNLIMITED, options=options(), sample_size=5) as rehearsal:
        account = await arrange(rehearsal)
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        yield account


async def test_one_that_is_there_is_linked_and_its_empty_fields_are_filled(account: Account) -> None:
    client = account.clients[0]
    record = await account.view(f"organization:client/{client}")
    assert (record.state, record.target_id) == ("matched", str(account.ids["one"]))
    organizations = await account.records("organizations")
    now, before = (
        organizations[account.ids["one"]],
        next(one for one in json.loads(account.before)["state"]["organizations"] if one["id"] == account.ids["one"]),
    )
    source = next(one for one in (await account.rehearsal.truth())["collections"]["clients"] if one["id"] == client)
    assert (now["name"], now["website"], now["owner_id"]) == ("TALLERES MARTIN", "martin.example", before["owner_id"])
    custom = now["custom_fields"]
    assert custom[await account.custom("organization", "STEL Reference")] == source["full-reference"]
    assert custom[await account.custom("organization", "Transload ID")] == f"{account.rehearsal.migration_id}-source/client/{client}"
    assert sum("martin" in str(one.get("website")) for one in organizations.values()) == 1
    # What belongs to the client hangs on the organization that was there.
    linked = [deal["title"] for deal in (await account.records("deals")).values() if deal["org_id"] == account.ids["one"]]
    invoices = (await account.rehearsal.truth())["collections"]["ordinaryInvoices"]
    wanted = [one["full-reference"] for one in invoices if one["account-id"] == client and not one["deleted"]]
    assert wanted
    assert all(any(number in title for title in linked) for number in wanted), (wanted, linked)
    ((result, told),) = await account.decisions(f"organization:client/{client}")
    assert (result, told["policy"], told["candidates"][0]["target_id"]) == ("matched", "match_and_fill", str(account.ids["one"]))
    assert told["candidates"][0]["reasons"] == ["same domain (martin.example)", "same name"]


async def test_one_that_is_only_linked_is_not_touched(account: Account) -> None:
    record = await account.view(f"person:contact/{account.contact['id']}")
    assert (record.state, record.target_id) == ("matched", str(account.ids["person"]))
    now = (await account.records("persons"))[account.ids["person"]]
    before = next(one for one in json.loads(account.before)["state"]["persons"] if one["id"] == account.ids["person"])
    assert {name for name in before if before[name] != now[name]} <= {"update_time"}


async def test_the_source_wins_where_it_shall(account: Account) -> None:
    record = await account.view(f"product:product/{account.product['id']}")
    assert (record.state, record.target_id) == ("matched", str(account.ids["product"]))
    now = (await account.records("products"))[account.ids["product"]]
    assert (now["name"], now["code"]) == (account.product["name"].strip()[:255], account.product["full-reference"])


async def test_who_came_twice_is_one_and_what_refers_to_it_follows(account: Account) -> None:
    first, second = account.clients[3], account.clients[4]
    records = [await account.view(f"organization:client/{identity}") for identity in (first, second)]
    assert {record.state for record in records} == {"loaded", "matched"}
    assert records[0].target_id == records[1].target_id
    organizations = await account.records("organizations")
    assert sum("ibanez" in str(one.get("website")) for one in organizations.values()) == 1
    late = next(identity for identity, record in zip((first, second), records, strict=True) if record.state == "matched")
    invoices = [one["id"] for one in (await account.rehearsal.truth())["collections"]["ordinaryInvoices"] if one["account-id"] == late]
    loaded = {record.key: record.target_id for record in await account.rehearsal.records(target_entity="deal", state="loaded")}
    deals = await account.records("deals")
    found = [deals[int(loaded[key])]["org_id"] for key in (f"deal:ordinary_invoice/{identity}" for identity in invoices) if key in loaded]
    assert found
    assert set(found) == {int(records[0].target_id)}
    ((result, told),) = await account.decisions(f"organization:client/{late}")
    assert (result, told["first_key"]) == ("merged", f"organization:client/{first + second - late}")


async def test_nobody_is_asked_about_what_is_certain_and_everybody_about_what_is_not(account: Account) -> None:
    items = {item.key: item for item in await account.rehearsal.review_items("MATCH_UNCERTAIN") if item.key.startswith("organization:")}
    assert {f"organization:client/{identity}" for identity in account.clients[1:3]} <= set(items)
    assert not {f"organization:client/{identity}" for identity in (account.clients[0], *account.clients[3:])} & set(items)
    twice = items[f"organization:client/{account.clients[1]}"]
    assert f"{account.ids['first']} “Obras Nuevas” (0.98: same domain (obras.example), same name)" in twice.message
    assert f"{account.ids['second']} “Obras Nuevas (Madrid)”" in twice.message
    await assert_sums_agree(account.rehearsal)
    assert await account.mismatches() == 0


async def test_decisions_and_a_change_are_carried_out_by_the_next_delta(account: Account) -> None:
    rehearsal, client = account.rehearsal, account.rehearsal.client
    # A person says that it is none of the two that were named, but a third one.
    for identity, resolution, candidate in ((account.clients[1], "match", str(account.ids["third"])), (account.clients[2], "create", "")):
        ids = [item.review_item_id for item in await rehearsal.review_items("MATCH_UNCERTAIN") if item.key == f"organization:client/{identity}"]
        if candidate:
            with pytest.raises(TransloadCallError, match="there is no organization 99999999 in Pipedrive"):
                await client.resolve_review_items(rehearsal.migration_id, review_item_ids=ids, resolution="match", candidate="99999999")
        await client.resolve_review_items(rehearsal.migration_id, review_item_ids=ids, resolution=resolution, candidate=candidate)
    alone = next(item for item in await rehearsal.review_items("REFERENCE_MISSING") if item.key.startswith("person:") and "is empty" in item.message)
    assert list(alone.resolutions) == ["retry", "without_reference", "skip"]
    await client.resolve_review_items(rehearsal.migration_id, review_item_ids=[alone.review_item_id], resolution="without_reference")
    await change(rehearsal, "clients", account.clients[0], **{"legal-name": "Talleres Martín Dos S.L.", "fax": "+34 900 000 007"})
    await rehearsal.step("delta")
    organizations = await account.records("organizations")
    # A name that stood there before us stays; what we filled follows the source.
    one = organizations[account.ids["one"]]
    assert one["name"] == "TALLERES MARTIN"
    assert one["custom_fields"][await account.custom("organization", "STEL Fax")] == "+34 900 000 007"
    chosen = await account.view(f"organization:client/{account.clients[1]}")
    assert (chosen.state, chosen.target_id) == ("matched", str(account.ids["third"]))
    free = await account.view(alone.key)
    person = (await account.records("persons"))[int(free.target_id)]
    contact = next(one for one in (await rehearsal.truth())["collections"]["contacts"] if alone.source_key == f"contact/{one['id']}")
    assert (free.state, person.get("org_id"), person["name"]) == ("loaded", None, contact["name"].strip())
    new = await account.view(f"organization:client/{account.clients[2]}")
    assert new.state == "loaded"
    assert int(new.target_id) != account.ids["maybe"]
    assert organizations[int(new.target_id)]["name"] == "Quesos del Valle"
    await assert_sums_agree(rehearsal)
    assert await account.mismatches() == 0


async def test_taken_back_everything_is_as_it_was(account: Account) -> None:
    await account.rehearsal.step("rollback")
    assert diff_of(account.before, await account.rehearsal.pipedrive.export()) == []
    verified = await account.rehearsal.client.verify_audit(account.rehearsal.migration_id)
    assert verified.is_whole, verified.message
