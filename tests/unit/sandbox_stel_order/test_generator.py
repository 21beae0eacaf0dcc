import re
from typing import Any

import pytest

from sandbox.stel_order.generator import Builder, Plan, generate
from sandbox.stel_order.schema import DOCUMENTS
from sandbox.stel_order.store import Store

PATH = re.compile(r"^app\.stelorder\.com/app/([A-Za-z]+)/(-?\d+)$")


def everything(builder: Builder) -> list[bytes]:
    return [row.body for name in builder.store.collections() for row in builder.store.rows(name)]


def test_same_seed_gives_the_same_bytes(account: Builder) -> None:
    assert everything(generate(Store(), Plan(seed=7))) == everything(account)


def test_another_seed_gives_another_account(account: Builder) -> None:
    assert everything(generate(Store(), Plan(seed=8))) != everything(account)


def test_a_default_account_has_the_promised_size(account: Builder) -> None:
    assert 145 <= account.store.listed_count("clients") <= 165
    main = ("employees", "clients", "contacts", "products", "services", "assets", "salesEstimates", "salesOrders", "workOrders")
    total = sum(account.store.listed_count(name) for name in (*main, "ordinaryInvoices", "ordinaryInvoiceReceipts"))
    assert 950 <= total <= 1100


def test_ten_times_the_scale_gives_ten_times_the_records() -> None:
    small, large = (generate(Store(), Plan(clients=15, scale=scale, is_clean=True)).store for scale in (1, 10))
    assert large.listed_count("clients") == 10 * small.listed_count("clients")
    assert large.listed_count("ordinaryInvoices") == 10 * small.listed_count("ordinaryInvoices")


def sums_recompute(record: dict[str, Any]) -> bool:
    items = [line for line in record["lines"] if line["line-type"] == "ITEM" and not line["deleted"]]
    subtotal = sum(line["total-amount"] for line in items) * (1 - record["discount-percentage"] / 100)
    tax = sum(part["total-amount"] for part in record["tax-breakdown"])
    return bool(
        abs(subtotal - record["subtotal-amount"]) < 0.011
        and abs(tax - record["tax-total-amount"]) < 0.011
        and abs(record["subtotal-amount"] + record["tax-total-amount"] - record["total-amount"]) < 0.011
    )


def test_sums_of_documents_recompute_except_the_deliberate_ones(account: Builder) -> None:
    wrong = {(name, record["id"]) for name in DOCUMENTS for record in account.store.records(name) if not sums_recompute(record)}
    assert wrong == {(defect.collection, defect.id) for defect in account.defects if defect.kind == "sums_do_not_recompute"}


def test_receipts_add_up_to_what_the_invoice_says_was_paid(account: Builder) -> None:
    paid: dict[str, float] = {}
    defects = {(defect.collection, defect.id) for defect in account.defects}
    for receipt in account.store.records("ordinaryInvoiceReceipts"):
        if receipt["paid"] and ("ordinaryInvoiceReceipts", receipt["id"]) not in defects:
            paid[receipt["original-element-id"]] = paid.get(receipt["original-element-id"], 0) + receipt["amount"]
    for invoice in account.store.records("ordinaryInvoices"):
        if not invoice["deleted"]:
            assert paid.get(str(invoice["id"]), 0) == pytest.approx(invoice["paid-total-amount"])


def test_every_state_and_every_picklist_value_turns_up(account: Builder) -> None:
    used = {record["document-state-id"] for name in DOCUMENTS for record in account.store.records(name) if not record["deleted"]}
    states = {record["id"]: record for record in account.store.records("documentStates")}
    known = {number for number, state in states.items() if not state["deleted"]}
    assert known - used == set()
    clients = list(account.store.records("clients"))
    assert {client["sector"] for client in clients} >= {"Industria", "Hostelería", "Comunidades", "Sanidad", "Administració pública"}
    work_orders = [order.get("custom-fields", {}).get("Prioridad") for order in account.store.records("workOrders")]
    assert set(work_orders) == {None, "Baja", "Normal", "Alta", "Urgente"}


def references(value: Any) -> list[tuple[str, int]]:
    if isinstance(value, dict):
        return [found for inner in value.values() for found in references(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in references(inner)]
    match = PATH.match(value) if isinstance(value, str) else None
    return [(match[1], int(match[2]))] if match else []


def test_a_clean_account_has_no_dangling_references() -> None:
    builder = generate(Store(), Plan(seed=3, is_clean=True))
    assert builder.defects == []
    for name in builder.store.collections():
        for record in builder.store.records(name):
            for collection, record_id in references(record):
                row = builder.store.get(collection, record_id)
                assert row is not None, (name, record["id"], collection, record_id)
                assert row.is_deleted <= record["deleted"] or collection == "employees"


def test_every_noted_defect_names_a_record(account: Builder) -> None:
    assert len(account.defects) > 25
    for defect in account.defects:
        assert account.store.get(defect.collection, defect.id) is not None
    kinds = {defect.kind for defect in account.defects}
    assert kinds >= {"name_too_long", "contact_without_account", "broken_date", "unknown_state", "document_of_missing_client", "file_too_large"}


def test_chains_lead_from_invoices_to_quotes_and_from_work_orders_to_estimates(account: Builder) -> None:
    parents = {record["id"]: record["parent-document-path"] for record in account.store.records("salesOrders")}
    to_orders = [
        record["parent-document-id"]
        for record in account.store.records("ordinaryInvoices")
        if "salesOrders" in (record["parent-document-path"] or "")
    ]
    assert sum("salesEstimates" in (parents.get(order) or "") for order in to_orders) > 20
    assert any("workEstimates" in (record["parent-document-path"] or "") for record in account.store.records("workOrders"))


def test_names_come_in_many_scripts(account: Builder) -> None:
    text = "".join(record["legal-name"] for record in account.store.records("clients"))
    for script in ("\u4e00-\u9fff", "\u0600-\u06ff", "\u0370-\u03ff", "\u0400-\u04ff", "\u0590-\u05ff", "\u0300-\u036f", "\U0001f300-\U0001faff"):
        assert re.search(f"[{script}]", text), script
