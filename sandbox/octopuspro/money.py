"""Invoices of every status, merged ones too, and payments: partial, refunds, deposits, declined."""

from datetime import time, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from sandbox.octopuspro.account import EXPORTED, Builder, Row
from sandbox.octopuspro.bookings import GST, cents

STATUSES: Final = ("Closed", "Open", "Overdue", "Draft", "Closed", "Void", "Closed")
METHODS: Final = ("Credit card", "Cash", "EFT / bank transfer", "PayPal", "Cheque")


def build_money(builder: Builder) -> None:
    """Make an invoice for every second booking, and payments for them."""
    rng = builder.rng("money")
    for index, booking in enumerate(builder.account.tables["bookings"][: builder.size * 2 : 2]):
        status = STATUSES[index % len(STATUSES)]
        invoice = _invoice(builder, index, booking, status, lines_of(builder, booking))
        _payments(builder, rng, index, invoice)
    _merged(builder)
    _without_booking(builder, rng)


def lines_of(builder: Builder, booking: Row) -> list[Row]:
    """Answer a booking's lines."""
    return [line for line in builder.account.tables["booking_services"] if line["Booking ID"] == booking["Booking ID"]]


def _invoice(builder: Builder, index: int, booking: Row | None, status: str, lines: list[Row], **special: object) -> Row:
    invoice_id = builder.id("invoices", 20_001)
    for line in lines:
        tax = cents(line["Amount"] * GST)
        row = {"Line ID": builder.id("invoice_items", 80_001), "Invoice ID": invoice_id, "Service ID": line["Service ID"]}
        row |= {"Description": line["Description"], "Quantity": line["Quantity"], "Rate": line["Rate"], "Amount": line["Amount"]}
        builder.put("invoice_items", row | {"Tax rate": Decimal(10), "Tax amount": tax})
    created = (booking["Booking end"] if booking else EXPORTED - timedelta(days=40)) + timedelta(hours=3)
    sub_total = booking["Sub total"] - booking["Discount"] if booking else sum((line["Amount"] for line in lines), Decimal(0))
    total = sub_total + cents(sub_total * GST)
    row = {
        "Invoice ID": invoice_id,
        "Invoice number": f"INV-{5000 + len(builder.account.tables['invoices'])}",
        "Booking ID": booking["Booking ID"] if booking else "",
        "Customer ID": booking["Customer ID"] if booking else "",
        "Type": "Invoice",
        "Status": status,
        "Created": created,
        "Due date": (created + timedelta(days=14)).date() if index % 8 else None,
        "Sub total": sub_total,
        "Tax": total - sub_total,
        "Total": total,
        "Paid amount": Decimal(0),
        "Balance": total,
        "Merged into invoice": "",
        "Parent invoice": "",
        "Purchase order number": f"PO {index}/A" if index % 6 == 0 else "",
        "E-mail sent": index % 3 == 0,
    }
    return builder.put("invoices", row | special)


def _payments(builder: Builder, rng: Random, index: int, invoice: Row) -> None:
    if invoice["Status"] in {"Draft", "Void"}:
        return
    total = invoice["Total"]
    if invoice["Status"] == "Closed":
        half = cents(total / 2)
        parts = [("payment", half, "approved"), ("payment", total - half, "approved")] if index % 3 == 0 else [("payment", total, "approved")]
        parts += [("refund", Decimal("20.00"), "approved")] if index % 7 == 4 else []
    else:
        parts = [("deposit", Decimal("50.00"), "approved")] if index % 4 == 1 else []
        parts += [("payment", total, ("pending", "declined", "voided")[index % 3])]
    for kind, amount, status in parts:
        payment(builder, rng, invoice, kind, amount, status)
        if status == "approved":
            invoice["Paid amount"] += -amount if kind == "refund" else amount
    invoice["Balance"] = total - invoice["Paid amount"]


def payment(  # noqa: PLR0917 - a row's cells, in their order
    builder: Builder, rng: Random, invoice: Row | None, kind: str, amount: Decimal, status: str, **special: object
) -> Row:
    """Make one payment."""
    payment_id = builder.id("payments", 10_001)
    number = int(payment_id)
    row = {
        "Payment ID": payment_id,
        "Invoice ID": invoice["Invoice ID"] if invoice else "",
        "Booking ID": invoice["Booking ID"] if invoice and number % 2 else "",
        "Customer ID": invoice["Customer ID"] if invoice else "",
        "Date": (invoice["Created"] if invoice else EXPORTED - timedelta(days=9)).date() + timedelta(days=number % 10),
        "Time": time(8 + number % 12, number % 60) if number % 4 else None,
        "Method": METHODS[number % len(METHODS)],
        "Reference": f"TXN-{rng.randrange(10**9)}" if number % 3 else "",
        "Amount": amount,
        "Type": kind,
        "Status": status,
        "Inserted by": "office",
        "Insert type": "manual" if number % 2 else "online",
    }
    return builder.put("payments", row | special)


def _merged(builder: Builder) -> None:
    """Merge two bookings' invoices into a third one without a booking."""
    first, second = [one for one in builder.account.tables["invoices"] if one["Status"] in {"Open", "Overdue"}][:2]
    collecting = _invoice(builder, 1, None, "Open", [], **{"Customer ID": first["Customer ID"], "Type": "Merged"})
    for one in (first, second):
        one["Merged into invoice"] = collecting["Invoice ID"]
    collecting |= {name: first[name] + second[name] for name in ("Sub total", "Tax", "Total", "Paid amount", "Balance")}
    builder.defect("collecting", "invoices", collecting["Invoice ID"])


def _without_booking(builder: Builder, rng: Random) -> None:
    tables = builder.account.tables
    customer = tables["customers"][2]["Customer ID"]
    service = tables["services"][0]
    line = {"Service ID": service["Service ID"], "Description": "Gift card", "Quantity": Decimal(2), "Rate": service["Price"]}
    alone = _invoice(builder, 3, None, "Closed", [line | {"Amount": service["Price"] * 2}], **{"Customer ID": customer})
    payment(builder, rng, alone, "payment", alone["Total"], "approved")
    alone |= {"Paid amount": alone["Total"], "Balance": Decimal(0)}
    orphan = _invoice(builder, 4, None, "Open", [], **{"Booking ID": "77777777", "Customer ID": customer})
    builder.defect("orphan", "invoices", orphan["Invoice ID"])
    lost = payment(builder, rng, None, "payment", Decimal("10.00"), "approved", **{"Invoice ID": "66666666", "Customer ID": customer})
    builder.defect("orphan", "payments", lost["Payment ID"])
    payment(builder, rng, None, "deposit", Decimal("75.00"), "approved", **{"Customer ID": customer})
    nowhere = payment(builder, rng, None, "payment", Decimal("5.00"), "pending")
    builder.defect("orphan", "payments", nowhere["Payment ID"])
