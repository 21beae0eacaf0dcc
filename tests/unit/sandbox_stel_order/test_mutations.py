import httpx

from sandbox.common.clock import Clock
from sandbox.stel_order.generator import Builder, Plan, generate
from sandbox.stel_order.mutations import mutate
from sandbox.stel_order.store import Store


def test_the_same_changes_for_the_same_seed(account: Builder) -> None:
    now = Clock().now()
    assert mutate(account, 5, now) == mutate(generate(Store(), Plan(seed=7)), 5, now)


def test_two_rounds_differ_and_both_leave_the_account_consistent(account: Builder) -> None:
    clock = Clock()
    first, second = mutate(account, 1, clock.now()), mutate(account, 2, clock.now())
    assert {change["kind"] for change in first} == {"created", "updated", "touched", "deleted"}
    created = [(change["collection"], change["id"]) for change in first + second if change["kind"] == "created"]
    assert len(created) == len(set(created)) == 10


async def test_changes_show_in_changed_since_lists_and_in_the_truth(client: httpx.AsyncClient) -> None:
    before = (await client.get("/_sandbox/truth?records=0")).json()["counts"]
    now = (await client.get("/_sandbox/clock")).json()["now"]
    changes = (await client.post("/_sandbox/mutate", json={"seed": 3})).json()["changes"]
    truth = (await client.get("/_sandbox/truth")).json()
    assert truth["counts"]["clients"] == before["clients"] + 1
    expected = {change["id"] for change in changes if change["collection"] == "clients"}
    changed = (await client.get("/app/clients", params={"utc-last-modification-date": now})).json()
    assert {record["id"] for record in changed} == expected
    deleted = next(change["id"] for change in changes if change["kind"] == "deleted")
    assert any(record["id"] == deleted and record["deleted"] for record in truth["collections"]["contacts"])


async def test_a_new_receipt_pays_an_invoice_without_touching_its_stamp(client: httpx.AsyncClient) -> None:
    changes = (await client.post("/_sandbox/mutate", json={"seed": 4})).json()["changes"]
    touched = next(change["id"] for change in changes if change["kind"] == "touched")
    invoice = (await client.get(f"/app/ordinaryInvoices/{touched}")).json()
    assert invoice["settled"] is True
    assert invoice["remaining-total-amount"] == 0
    assert invoice["utc-last-modification-date"] < "2025-12"
