"""What is wrong in real accounts, made on purpose, each noted so that a checker knows which record has which defect."""

from datetime import timedelta
from random import Random

from sandbox.stel_order.binaries import MISSING_STEM, OVERSIZE_STEM
from sandbox.stel_order.generator.accounts import address, client_record, contact_record
from sandbox.stel_order.generator.attachments import put_attachment
from sandbox.stel_order.generator.build import Builder, Issued, Item, Party, link, midnight, moment, money, texts, times
from sandbox.stel_order.generator.catalogue import product_record
from sandbox.stel_order.generator.documents import header, state_link
from sandbox.stel_order.generator.lines import make_lines, price
from sandbox.stel_order.generator.payments import receipt_record
from sandbox.stel_order.generator.reference import DEACTIVATED_EMPLOYEE
from sandbox.stel_order.generator.removed import deleted_client, deleted_product, party_of
from sandbox.stel_order.generator.service import asset_record
from sandbox.stel_order.store import Record

NOBODY = 999_999
"""An id that no record has."""
UNKNOWN_STATE = 999
LONG_NAME = ("Compañía de nombre interminable nº 1 " * 9)[:300]


def build_defects(builder: Builder) -> None:
    """Add the records that have something wrong with them."""
    rng = builder.rng("defects")
    _accounts(builder, rng)
    _catalogue(builder, rng)
    _equipment(builder, rng)
    _documents(builder, rng)
    _owners(builder, rng)
    _files(builder)


def _client(builder: Builder, rng: Random, kind: str, field: str, changes: Record) -> int:
    client_id = builder.new_id("clients")
    record = client_record(rng, client_id, client_id, f"Cliente {client_id}") | {"main-address": address(rng, client_id, client_id)}
    builder.put("clients", record | times(rng, moment(rng, 0.5)) | changes)
    builder.defect(kind, "clients", client_id, field)
    return client_id


def _accounts(builder: Builder, rng: Random) -> None:
    _client(builder, rng, "name_too_long", "legal-name", {"legal-name": LONG_NAME, "name": None})
    _client(builder, rng, "name_missing", "legal-name", {"legal-name": "", "name": None})
    _client(builder, rng, "email_invalid", "email", {"email": "esto no es un correo"})
    mixed = {"custom-fields": {"Zona comercial": "Norte", "Última visita": "15/03/2024"}}
    _client(builder, rng, "mixed_date_format", "custom-fields.Última visita", mixed)
    for name in texts()["hostile_names"]:
        _client(builder, rng, "hostile_name", "legal-name", {"legal-name": name})
    gone = deleted_client(builder, rng, 5)
    for kind, account_id in (("contact_without_account", None), ("contact_of_missing_client", NOBODY), ("contact_of_deleted_client", gone)):
        record = contact_record(rng, 3, account_id or 0) | link("account", "clients", account_id)
        builder.defect(kind, "contacts", builder.put("contacts", record | times(rng, moment(rng, 0.6))), "account-id")
    _document(builder, rng, "salesOrders", party_of(gone), "document_of_deleted_client", "account-id", {})


def _catalogue(builder: Builder, rng: Random) -> None:
    first = builder.items[0]
    product_id = builder.new_id("products")
    record = product_record(rng, 1, product_id) | {"name": first.name, "full-reference": first.reference}
    builder.put("products", record | times(rng, moment(rng, 0.3)))
    builder.defect("duplicate_reference", "products", product_id, "full-reference", f"same as {first.id}")
    archived = next((record for record in builder.store.records("products") if record["inactive"] and not record["deleted"]), None)
    gone = deleted_product(builder, rng, 7)
    party = builder.parties[1 % len(builder.parties)]
    items = [Item("products", gone, f"PRO{gone:05d}", f"Producto borrado {gone}", 1000, 21)]
    if archived is not None:
        items.append(Item("products", archived["id"], archived["full-reference"], archived["name"], 2000, 21))
    document_id = builder.new_id("salesOrders")
    lines = [line for item in (builder.items[0], *items) for line in make_lines(rng, [item], 1, document_id)]
    lines = [
        line | {"id": document_id * 1000 + order, "order": order, "item-deleted": line["item-id"] == gone}
        for order, line in enumerate(lines, start=2)
    ]
    _store(builder, rng, "salesOrders", document_id, party, lines, {})
    builder.defect("line_of_left_out_product", "salesOrders", document_id, "lines", ", ".join(f"products/{item.id}" for item in items))


def _equipment(builder: Builder, rng: Random) -> None:
    for kind, account_id in (("asset_without_account", None), ("asset_of_missing_client", NOBODY)):
        asset_id = builder.new_id("assets")
        record = asset_record(rng, 2, asset_id, account_id or 0) | link("account", "clients", account_id)
        builder.put("assets", record | times(rng, moment(rng, 0.6)))
        builder.defect(kind, "assets", asset_id, "account-id")


def _store(builder: Builder, rng: Random, collection: str, document_id: int, party: Party, lines: list[Record], changes: Record) -> Issued:  # noqa: PLR0917
    day = moment(rng, 0.7)
    record = header(rng, collection, document_id, party, day) | {"discount-percentage": 0} | state_link(collection, "Pendiente")
    priced = price(lines, 0)
    record |= priced.header()
    if collection == "ordinaryInvoices":
        record |= {
            "due-date": midnight(day + timedelta(days=30)),
            "paid-total-amount": 0,
            "remaining-total-amount": record["total-amount"],
            "settled": False,
        }
    builder.put(collection, record | times(rng, day) | changes)
    return Issued(collection, document_id, party, day, priced.total_cents, record["full-reference"], record["currency-code"])


def _document(builder: Builder, rng: Random, collection: str, party: Party, kind: str, field: str, changes: Record) -> Issued:  # noqa: PLR0917
    document_id = builder.new_id(collection)
    lines = make_lines(rng, builder.items, 2, document_id)
    builder.defect(kind, collection, document_id, field)
    return _store(builder, rng, collection, document_id, party, lines, changes)


def _documents(builder: Builder, rng: Random) -> None:
    party = builder.parties[2 % len(builder.parties)]
    _document(builder, rng, "salesOrders", party, "broken_date", "date", {"date": "2025-02-31T00:00:00+0000"})
    _document(builder, rng, "workOrders", party, "unknown_state", "document-state-id", link("document-state", "documentStates", UNKNOWN_STATE))
    _document(builder, rng, "salesEstimates", party, "document_without_client", "account-id", link("account", "clients", None))
    _document(builder, rng, "ordinaryInvoices", party_of(NOBODY), "document_of_missing_client", "account-id", {})
    missing_parent = link("parent-document", "salesEstimates", NOBODY)
    _document(builder, rng, "salesOrders", party, "missing_parent", "parent-document-id", missing_parent)
    _document(builder, rng, "workDeliveryNotes", party, "orphan_delivery_note", "parent-document-id", {})
    order = builder.issued["salesOrders"][-1]
    currency = "USD" if order.currency != "USD" else "EUR"
    changes = link("parent-document", "salesOrders", order.id) | {"currency-code": currency}
    _document(builder, rng, "ordinaryInvoices", order.party, "currency_differs_from_parent", "currency-code", changes)
    wrong = _document(builder, rng, "ordinaryInvoices", party, "sums_do_not_recompute", "total-amount", {})
    row = builder.store.get("ordinaryInvoices", wrong.id)
    if row is not None:
        builder.store.put("ordinaryInvoices", row.record() | {"total-amount": money(wrong.total_cents + 150)})
    lost = Issued("ordinaryInvoices", NOBODY, party, moment(rng, 0.8), 12_345, "FAC?", "EUR")
    receipt = receipt_record(lost, 12_345, lost.day, is_paid=True, number=1)
    builder.defect("receipt_of_missing_invoice", "ordinaryInvoiceReceipts", builder.put("ordinaryInvoiceReceipts", receipt | times(rng, lost.day)))
    negative = receipt_record(wrong, -500, wrong.day, is_paid=True, number=2, concept="Devolución parcial")
    builder.defect("negative_receipt", "ordinaryInvoiceReceipts", builder.put("ordinaryInvoiceReceipts", negative | times(rng, wrong.day)), "amount")


def _owners(builder: Builder, rng: Random) -> None:
    party = builder.parties[3 % len(builder.parties)]
    former = int(str(DEACTIVATED_EMPLOYEE["id"]))
    for collection in ("salesEstimates", "ordinaryInvoices"):
        _document(builder, rng, collection, party, "deactivated_owner", "agent-id", link("agent", "employees", former))
    _document(builder, rng, "workOrders", party, "deactivated_owner", "assignee-id", link("assignee", "employees", former))


def _files(builder: Builder) -> None:
    owner = builder.parties[0].id
    large = put_attachment(builder, "CLIENT", owner, "vídeo de obra.pdf", variant=OVERSIZE_STEM)
    builder.defect("file_too_large", "entityAttachments", large)
    absent = put_attachment(builder, "CLIENT", owner, "perdido.pdf", variant=MISSING_STEM)
    builder.defect("file_unavailable", "entityAttachments", absent)
    orphan = put_attachment(builder, "WORKORDER", NOBODY, "huérfano.pdf")
    builder.defect("attachment_of_missing_record", "entityAttachments", orphan)
