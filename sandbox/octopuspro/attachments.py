"""Attachments: photos, signatures, documents; some missing from the bundle, some with nothing to hang on, one too large."""

from datetime import datetime, timedelta
from typing import Final

from sandbox.octopuspro.account import EXPORTED, Binary, Builder, Row

PDF: Final = b"%PDF-1.4\n%sandbox "
JPEG: Final = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00sandbox "
PNG: Final = b"\x89PNG\r\n\x1a\nsandbox "
LARGE_BYTES: Final = 26 * 1024 * 1024
"""More than Pipedrive takes."""


def build_attachments(builder: Builder, *, has_large_file: bool) -> None:
    """Make the files of bookings, invoices, quotes, customers and the awkward ones."""
    tables = builder.account.tables
    for index, booking in enumerate(tables["bookings"]):
        if booking["Status"] in {"Completed", "In progress"} and index % 3 == 0:
            _booking_files(builder, index, booking)
    for invoice in tables["invoices"]:
        if invoice["Status"] != "Draft":
            name = f"{invoice['Invoice number']}.pdf"
            attach(builder, "Invoice", invoice["Invoice ID"], name, "invoice pdf", invoice["Created"], PDF)
    for quote in tables["quotes"][::2]:
        attach(builder, "Quote", quote["Quote ID"], f"{quote['Quote number']}.pdf", "document", quote["Created"], PDF)
    for customer in tables["customers"][: builder.size : 9]:
        attach(builder, "Customer", customer["Customer ID"], "Vertrag & Übersicht 合同.pdf", "document", customer["Created"], PDF)
    home = tables["customer_properties"][0]
    attach(builder, "Property", home["Property ID"], "floor plan.png", "document", EXPORTED, PNG)
    complaint = tables["complaints"][0]
    attach(builder, "Complaint", complaint["Complaint ID"], "streaks.jpg", "before", complaint["Created"], JPEG)
    _awkward(builder, has_large_file=has_large_file)


def attach(  # noqa: PLR0917 - a row's cells, in their order
    builder: Builder, kind: str, owner: str, name: str, image_type: str, created: datetime, head: bytes, *, size: int = 0, tags: str = ""
) -> Row:
    """Make one attachment and its file."""
    attachment_id = builder.id("attachments", 11_001)
    path = f"attachments/{kind.lower()}/{owner}/{attachment_id}_{name}"
    content = Binary(path, head + attachment_id.encode(), size or len(head) + 200 + int(attachment_id) % 97)
    builder.account.binaries.append(content)
    row = {"Attachment ID": attachment_id, "Object": kind, "Object ID": owner, "File name": name, "Image type": image_type, "Tags": tags}
    return builder.put("attachments", row | {"Uploaded by": "Mateo Ruiz", "Created": created, "Size": content.size, "Path or URL": path})


def _booking_files(builder: Builder, index: int, booking: Row) -> None:
    booking_id, ends = booking["Booking ID"], booking["Booking end"]
    attach(builder, "Booking", booking_id, "front.jpg", "before", booking["Booking start"], JPEG, tags="front, street")
    attach(builder, "Booking", booking_id, "front.jpg", "after", ends, JPEG, tags="front")
    if index % 2 == 0:
        row = attach(builder, "Booking", booking_id, f"signature_{booking_id}.png", "signature", ends, PNG, tags="Customer signature")
        booking["CF 41: Customer signature"] = row["File name"]
    else:
        booking["CF 42: Meter photo"] = f"https://files.sandbox.invalid/{booking_id}/meter.jpg?token=expired"


def _awkward(builder: Builder, *, has_large_file: bool) -> None:
    tables, account = builder.account.tables, builder.account
    booking = tables["bookings"][0]
    lost = attach(builder, "Booking", booking["Booking ID"], "lost.jpg", "after", EXPORTED - timedelta(days=2), JPEG)
    account.binaries.pop()
    builder.defect("file_missing", "attachments", lost["Attachment ID"])
    nowhere = attach(builder, "Fieldworker", tables["fieldworkers"][0]["Field worker ID"], "portrait.jpg", "photo", EXPORTED, JPEG)
    builder.defect("no_home", "attachments", nowhere["Attachment ID"])
    orphan = attach(builder, "Booking", "55555555", "whose.jpg", "after", EXPORTED, JPEG)
    builder.defect("orphan", "attachments", orphan["Attachment ID"])
    unsigned = attach(builder, "Booking", booking["Booking ID"], "signature_lost.png", "signature", EXPORTED - timedelta(days=3), PNG)
    account.binaries.pop()
    builder.defect("file_missing", "attachments", unsigned["Attachment ID"])
    if has_large_file:
        large = attach(builder, "Booking", booking["Booking ID"], "drone video.mp4", "after", EXPORTED, b"\x00\x00\x00\x18ftypmp42", size=LARGE_BYTES)
        builder.defect("file_too_large", "attachments", large["Attachment ID"])
