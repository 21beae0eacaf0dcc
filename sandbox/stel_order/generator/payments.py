"""Receipts of invoices, refund invoices, and what they make of an invoice's paid and remaining amounts."""

from datetime import datetime, timedelta
from random import Random

from sandbox.stel_order.generator.build import Builder, Issued, link, midnight, money, times
from sandbox.stel_order.generator.documents import header, state_link, store_document
from sandbox.stel_order.generator.lines import price
from sandbox.stel_order.generator.reference import PAYMENT_OPTION_FIRST_ID, PAYMENT_OPTIONS
from sandbox.stel_order.store import Record

_PATTERNS = ((100,), (40, 60), (100,), (), (50,), (100,), (30, 30, 40), (100,), (), (25, 25))
"""Percentages of the total paid by each receipt. What is missing to 100 is an unpaid receipt; an empty pattern is one unpaid receipt."""


def build_payments(builder: Builder) -> None:
    """Make receipts for every invoice, refunds for a few."""
    rng = builder.rng("ordinaryInvoiceReceipts")
    for index, invoice in enumerate(builder.issued["ordinaryInvoices"]):
        paid = _receipts_of(builder, rng, index, invoice)
        _settle(builder, invoice, paid, index)
    _refunds(builder)


def receipt_record(invoice: Issued, cents: int, day: datetime, *, is_paid: bool, number: int, concept: str = "") -> Record:
    """Return a receipt without id and times."""
    return {
        "full-reference": f"{invoice.reference}/{number}",
        **link("account", "clients", invoice.party.id),
        "amount": money(cents),
        "currency-code": invoice.currency,
        "currency-rate": 1,
        "original-element-id": str(invoice.id),
        "original-element-path": f"app.stelorder.com/app/{invoice.collection}/{invoice.id}",
        "paid": is_paid,
        "payment-date": midnight(day) if is_paid else None,
        "payment-term-date": midnight(invoice.day + timedelta(days=30 * number)),
        **link("payment-option", "paymentOptions", PAYMENT_OPTION_FIRST_ID + (invoice.id + number) % len(PAYMENT_OPTIONS)),
        **link("bank-account", "bankAccounts", None),
        **link("paid-employee", "employees", 5 if is_paid else None),
        **link("creator", "employees", 5),
        "concept": concept or f"Recibo {number} de {invoice.reference}",
        "settled": is_paid,
        "sepa-generated": False,
    }


def _receipts_of(builder: Builder, rng: Random, index: int, invoice: Issued) -> int:
    paid = 0
    parts = _PATTERNS[index % len(_PATTERNS)]
    for number, percent in enumerate(parts, start=1):
        last = number == len(parts) and sum(parts) == 100
        cents = invoice.total_cents - paid if last else invoice.total_cents * percent // 100
        day = invoice.day + timedelta(days=rng.randrange(1, 40))
        concept = "Pago con tarjeta, pasarela ref. pi_3Nx9" + f"{rng.randrange(10**6):06d}" if number == 1 and index % 6 == 0 else ""
        record = receipt_record(invoice, cents, day, is_paid=True, number=number, concept=concept)
        builder.put("ordinaryInvoiceReceipts", record | times(rng, day))
        paid += cents
    if paid != invoice.total_cents and (index % 2 or not parts):
        record = receipt_record(invoice, invoice.total_cents - paid, invoice.day, is_paid=False, number=len(parts) + 1)
        builder.put("ordinaryInvoiceReceipts", record | times(rng, invoice.day))
    return paid


def _settle(builder: Builder, invoice: Issued, paid: int, index: int) -> None:
    row = builder.store.get(invoice.collection, invoice.id)
    if row is None:
        return
    record = row.record() | {
        "due-date": midnight(invoice.day + timedelta(days=30)),
        "paid-total-amount": money(paid),
        "remaining-total-amount": money(invoice.total_cents - paid),
        "settled": paid == invoice.total_cents,
        "receipts": [],
        "verifactu-state": ("SENT", "PENDING", None)[index % 3],
    }
    builder.store.put(invoice.collection, record)


def _refunds(builder: Builder) -> None:
    rng = builder.rng("refundInvoices")
    invoices = builder.issued["ordinaryInvoices"]
    for index in range(min(builder.plan.count(3), len(invoices))):
        origin = invoices[index * 11 % len(invoices)]
        row = builder.store.get(origin.collection, origin.id)
        if row is None:
            continue
        refund_id = builder.new_id("refundInvoices")
        line = next((line for line in row.record()["lines"] if line["line-type"] == "ITEM"), None)
        if line is None:
            continue
        negative = line | {"id": refund_id * 1000, "units": -line["units"], "total-amount": -line["total-amount"], "parent-document-id": refund_id}
        priced = price([negative], 0)
        day = origin.day + timedelta(days=45)
        record = header(rng, "refundInvoices", refund_id, origin.party, day, parent=origin) | {"discount-percentage": 0}
        record |= state_link("refundInvoices", ("Pendiente", "Cerrada")[index % 2])
        refund = store_document(builder, rng, "refundInvoices", record, priced=priced, party=origin.party, day=day)
        receipt = receipt_record(refund, refund.total_cents, day, is_paid=index % 2 == 1, number=1, concept="Devolución")
        builder.put("refundInvoiceReceipts", receipt | times(rng, day))
