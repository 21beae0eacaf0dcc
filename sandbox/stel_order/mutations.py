"""Realistic changes for delta runs: what happens in a company while its data is being moved."""

from datetime import datetime
from random import Random
from typing import Any

from sandbox.stel_order.generator import Builder
from sandbox.stel_order.generator.accounts import address, client_record, contact_record
from sandbox.stel_order.generator.build import Issued, Party, midnight, money, path_of
from sandbox.stel_order.generator.documents import header, state_link
from sandbox.stel_order.generator.lines import make_lines, price
from sandbox.stel_order.generator.payments import receipt_record
from sandbox.stel_order.schema import CREATED, MODIFIED
from sandbox.stel_order.store import Record, Store, parse_stamp, stamp

Change = dict[str, Any]


def mutate(account: Builder, seed: int, now: datetime) -> list[Change]:
    """Apply a set of changes chosen by `seed`, stamped with `now`; returns what changed."""
    return _Mutation(account, Random(f"mutation/{seed}"), now).apply()


class _Mutation:
    def __init__(self, account: Builder, rng: Random, now: datetime) -> None:
        self._account = account
        self._store: Store = account.store
        self._rng = rng
        self._now = now
        self._changes: list[Change] = []

    def apply(self) -> list[Change]:
        party = self._new_client()
        self._new_contact(party)
        quote = self._new_document("salesEstimates", party, "Pendiente", None)
        self._new_document("ordinaryInvoices", party, "Pendiente", quote)
        self._change("clients", "legal-name", lambda record: f"{record['legal-name']} (antes otra)"[:120])
        self._change("products", "sales-price", lambda record: money(round(record["sales-price"] * 100) + 125), is_active=True)
        self._change_work_order()
        self._new_receipt()
        self._delete_contact()
        return self._changes

    def _note(self, kind: str, collection: str, record_id: int, fields: list[str]) -> None:
        self._changes.append({"kind": kind, "collection": collection, "id": record_id, "fields": fields})

    def _create(self, collection: str, record: Record) -> int:
        record_id = int(record.get("id") or self._store.next_id(collection))
        base = {"id": record_id, "path": path_of(collection, record_id), "deleted": False}
        self._store.put(collection, base | record | {CREATED: stamp(self._now), MODIFIED: stamp(self._now)})
        self._note("created", collection, record_id, [])
        return record_id

    def _new_client(self) -> Party:
        client_id = self._store.next_id("clients")
        index = self._rng.randrange(1000)
        record = client_record(self._rng, index, client_id, f"Nueva Clienta {client_id} 新規 S.L.")
        record["main-address"] = address(self._rng, index, client_id)
        self._create("clients", record)
        return Party(client_id, record["legal-name"], "EUR", 0, record["agent-id"])

    def _new_contact(self, party: Party) -> None:
        self._create("contacts", contact_record(self._rng, self._rng.randrange(1000), party.id))

    def _new_document(self, collection: str, party: Party, state: str, parent: Issued | None) -> Issued:
        document_id = self._store.next_id(collection)
        record = header(self._rng, collection, document_id, party, self._now, parent=parent) | {"currency-code": "EUR", "discount-percentage": 0}
        priced = price(make_lines(self._rng, self._account.items, 3, document_id), 0)
        record |= state_link(collection, state) | priced.header()
        if collection == "ordinaryInvoices":
            record |= {"due-date": midnight(self._now), "paid-total-amount": 0, "remaining-total-amount": money(priced.total_cents), "settled": False}
        self._create(collection, record)
        return Issued(collection, document_id, party, self._now, priced.total_cents, record["full-reference"], "EUR")

    def _pick(self, collection: str, *, is_active: bool = False) -> Record:
        """Return a record without defects that is not deleted and was not made or changed by this mutation."""
        taken = {defect.id for defect in self._account.defects if defect.collection == collection}
        taken |= {change["id"] for change in self._changes if change["collection"] == collection}
        candidates = [
            record
            for record in self._store.records(collection)
            if not record["deleted"] and record["id"] not in taken and not (is_active and record.get("inactive"))
        ]
        return self._rng.choice(candidates)

    def _change(self, collection: str, field: str, value: Any, *, is_active: bool = False) -> None:
        record = self._pick(collection, is_active=is_active)
        record[field] = value(record)
        self._update(collection, record, [field])

    def _update(self, collection: str, record: Record, fields: list[str]) -> None:
        self._store.put(collection, record | {MODIFIED: stamp(self._now)})
        self._note("updated", collection, record["id"], fields)

    def _change_work_order(self) -> None:
        record = self._pick("workOrders")
        names = [
            name
            for name in ("Pendiente", "En curso", "Cerrada")
            if state_link("workOrders", name)["document-state-id"] != record["document-state-id"]
        ]
        self._update("workOrders", record | state_link("workOrders", self._rng.choice(names)), ["document-state-id"])

    def _new_receipt(self) -> None:
        """Pay what remains of an invoice. The invoice's amounts change, its modification stamp does not."""
        unpaid = [record for record in self._store.records("ordinaryInvoices") if record.get("remaining-total-amount") and not record["deleted"]]
        defects = {defect.id for defect in self._account.defects if defect.collection == "ordinaryInvoices"}
        invoice = self._rng.choice([record for record in unpaid if record["id"] not in defects])
        remaining = round(invoice["remaining-total-amount"] * 100)
        party = Party(invoice["account-id"], "", invoice["currency-code"], 0, None)
        day = parse_stamp(invoice["date"])
        issued = Issued("ordinaryInvoices", invoice["id"], party, day, remaining, invoice["full-reference"], invoice["currency-code"])
        receipt = receipt_record(issued, remaining, self._now, is_paid=True, number=9, concept="Pago final")
        self._create("ordinaryInvoiceReceipts", receipt)
        paid = round(invoice["paid-total-amount"] * 100) + remaining
        self._store.put("ordinaryInvoices", invoice | {"paid-total-amount": money(paid), "remaining-total-amount": 0, "settled": True})
        self._note("touched", "ordinaryInvoices", invoice["id"], ["paid-total-amount", "remaining-total-amount", "settled"])

    def _delete_contact(self) -> None:
        record = self._pick("contacts")
        self._store.put("contacts", record | {"deleted": True, MODIFIED: stamp(self._now)})
        self._note("deleted", "contacts", record["id"], ["deleted"])
