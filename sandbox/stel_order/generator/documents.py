"""Sales and work documents and how they descend from one another."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from sandbox.stel_order.generator.build import FILES_BASE, Builder, Issued, Party, link, midnight, moment, texts, times
from sandbox.stel_order.generator.lines import Priced, copy_lines, make_lines, price
from sandbox.stel_order.generator.reference import PAYMENT_OPTION_FIRST_ID, PAYMENT_OPTIONS, SERIES, TECHNICIANS, series_id, state_ids
from sandbox.stel_order.store import Record

_STATE_KIND = {
    "salesEstimates": "SALESESTIMATE",
    "salesOrders": "SALESORDER",
    "salesDeliveryNotes": "SALESDELIVERYNOTE",
    "ordinaryInvoices": "ORDINARYINVOICE",
    "refundInvoices": "REFUNDINVOICE",
    "workEstimates": "WORKESTIMATE",
    "workOrders": "WORKORDER",
    "workDeliveryNotes": "WORKDELIVERYNOTE",
}
_CURRENCY_RATES = {"EUR": 1, "USD": 0.92, "GBP": 1.17, "MXN": 0.05}
_LINE_COUNTS = (1, 2, 3, 1, 4, 2, 6, 3, 2, 5)
_LONG_DOCUMENT_LINES = 120
_SIGNED_PDF_COUNT = 5
_INVOICE_PDF_COUNT = 2


def build_documents(builder: Builder) -> None:
    """Make all documents, ancestors first."""
    plan = builder.plan
    _quotes(builder, plan.count(110 * plan.documents))
    _orders(builder, plan.count(80 * plan.documents))
    _work_estimates(builder, plan.count(12 * plan.documents))
    _work_orders(builder, plan.count(70 * plan.documents))
    _delivery_notes(builder, plan.count(8 * plan.documents), plan.count(6 * plan.documents))
    _invoices(builder, plan.count(110 * plan.documents))


def state_link(collection: str, name: str) -> Record:
    """Return the reference to a state by its name."""
    return link("document-state", "documentStates", state_ids(_STATE_KIND[collection])[name])


def cycle_state(collection: str, index: int) -> Record:
    """Return a state so that every state of the kind turns up."""
    names = list(state_ids(_STATE_KIND[collection]))
    return state_link(collection, names[index % len(names)])


def header(
    rng: Random, collection: str, document_id: int, party: Party, day: datetime, *, account_collection: str = "clients", parent: Issued | None = None
) -> Record:
    """Return what all documents have in common, without state, sums and times."""
    number = f"{document_id:05d}"
    return {
        "id": document_id,
        "reference": number,
        "full-reference": f"{SERIES[collection]}{number}",
        **link("serial-number", "serialNumbers", series_id(collection)),
        "date": midnight(day),
        **link("account", account_collection, party.id),
        **link("agent", "employees", party.agent_id),
        **link("creator", "employees", 5),
        **link("parent-document", parent.collection if parent else "", parent.id if parent else None),
        "parent-incident-id": None,
        "title": rng.choice(texts()["titles"]) if rng.randrange(5) else "",
        "comments": rng.choice(texts()["texts"]) if rng.randrange(3) == 0 else "",
        "private-comments": rng.choice(texts()["texts"]) if rng.randrange(8) == 0 else None,
        "addendum": "",
        "currency-code": party.currency,
        "currency-rate": _CURRENCY_RATES.get(party.currency, 1),
        "discount-percentage": rng.choice((0, 0, 0, 5, 7.5)),
        "income-tax-enabled": False,
        "income-tax-percentage": 0,
        **link("payment-option", "paymentOptions", PAYMENT_OPTION_FIRST_ID + document_id % len(PAYMENT_OPTIONS)),
        **link("payment-terms", "paymentTerms", 71 + document_id % 3),
        **link("invoicing-address", "addresses", party.address_id or None),
        "email-read-count": rng.randrange(4),
        "signed": False,
        "pdf-path": None,
        "external-id": None,
    }


def pdf_url(collection: str, document_id: int, seed: int) -> str:
    """Return the public link of a document's PDF."""
    return f"{FILES_BASE}/{collection}/{document_id}.pdf?token=pdf{document_id:x}s{seed}"


def store_document(builder: Builder, rng: Random, collection: str, record: Record, *, priced: Priced, party: Party, day: datetime) -> Issued:
    """Store a document and remember it for its descendants."""
    builder.put(collection, record | priced.header() | times(rng, day + timedelta(minutes=rng.randrange(60, 600))))
    issued = Issued(collection, record["id"], party, day, priced.total_cents, record["full-reference"], record["currency-code"])
    builder.issued.setdefault(collection, []).append(issued)
    return issued


def _new_lines(builder: Builder, rng: Random, document_id: int, index: int, discount: float) -> Priced:
    usual = max(1, round(_LINE_COUNTS[index % len(_LINE_COUNTS)] * builder.plan.lines))
    count = _LONG_DOCUMENT_LINES if index == 7 else usual
    return price(make_lines(rng, builder.items, count, document_id), discount)


def _inherited(builder: Builder, parent: Issued, document_id: int) -> Priced:
    row = builder.store.get(parent.collection, parent.id)
    record: Record = row.record() if row else {"lines": [], "discount-percentage": 0}
    return price(copy_lines(record["lines"], document_id), record["discount-percentage"])


def _discount_of(builder: Builder, parent: Issued) -> float:
    row = builder.store.get(parent.collection, parent.id)
    return float(row.record()["discount-percentage"]) if row else 0


def _child(builder: Builder, rng: Random, collection: str, parent: Issued, *, state: Record, extra: Record | None = None) -> Issued:
    document_id = builder.new_id(collection)
    day = parent.day + timedelta(days=rng.randrange(1, 25))
    record = header(rng, collection, document_id, parent.party, day, parent=parent)
    discount = _discount_of(builder, parent)
    record |= {"discount-percentage": int(discount) if discount == int(discount) else discount, "currency-code": parent.currency}
    record |= state | (extra or {})
    return store_document(builder, rng, collection, record, priced=_inherited(builder, parent, document_id), party=parent.party, day=day)


def _fresh(
    builder: Builder, rng: Random, collection: str, *, index: int, count: int, state: Record, extra: Record | None = None
) -> tuple[Record, Priced, Party, datetime]:
    document_id = builder.new_id(collection)
    party = builder.parties[rng.randrange(len(builder.parties))]
    day = moment(rng, 0.15 + 0.7 * index / max(count, 1))
    record = header(rng, collection, document_id, party, day) | state | (extra or {})
    return record, _new_lines(builder, rng, document_id, index, record["discount-percentage"]), party, day


def _quotes(builder: Builder, count: int) -> None:
    rng = builder.rng("salesEstimates")
    for index in range(count):
        accepted = index % 2 == 0
        state = state_link("salesEstimates", ("Aceptado", "Cerrada")[index // 2 % 2]) if accepted else cycle_state("salesEstimates", index // 2)
        record, priced, party, day = _fresh(builder, rng, "salesEstimates", index=index, count=count, state=state)
        if not accepted and index % 50 == 5 and builder.leads:
            party = builder.leads[index // 50 % len(builder.leads)]
            record |= link("account", "potentialClients", party.id) | link("invoicing-address", "addresses", None)
        record["validity-date"] = midnight(day + timedelta(days=30)) if index % 7 else None
        store_document(builder, rng, "salesEstimates", record, priced=priced, party=party, day=day)


def _orders(builder: Builder, count: int) -> None:
    rng = builder.rng("salesOrders")
    accepted = builder.issued["salesEstimates"][::2]
    for index in range(count):
        state = cycle_state("salesOrders", index)
        if index < len(accepted):
            _child(builder, rng, "salesOrders", accepted[index], state=state)
        else:
            record, priced, party, day = _fresh(builder, rng, "salesOrders", index=index, count=count, state=state)
            store_document(builder, rng, "salesOrders", record, priced=priced, party=party, day=day)


def _work_estimates(builder: Builder, count: int) -> None:
    rng = builder.rng("workEstimates")
    for index in range(count):
        record, priced, party, day = _fresh(builder, rng, "workEstimates", index=index, count=count, state=cycle_state("workEstimates", index))
        store_document(builder, rng, "workEstimates", record, priced=priced, party=party, day=day)


def _work_extra(builder: Builder, rng: Random, index: int, party: Party, day: datetime) -> Record:
    assets = builder.asset_ids.get(party.id, [])
    extra: Record = {
        **link("assignee", "employees", None if index % 12 == 11 else TECHNICIANS[index % len(TECHNICIANS)]),
        "assigned-date": f"{day + timedelta(days=2, hours=index % 8):%Y-%m-%dT%H:%M:00+0000}" if index % 9 else None,
        "assets": list(assets) if index % 2 else [{"id": asset_id} for asset_id in assets],
        **link("address", "addresses", party.address_id),
        "signed": index % 3 == 0,
    }
    if index % 4 != 3:
        extra["custom-fields"] = {
            "Prioridad": ("Baja", "Normal", "Alta", "Urgente")[index // 4 % 4],
            "Horas previstas": rng.choice((1, 2.5, 8, 40)),
            "Requiere andamio": index % 2 == 0,
            "Próxima revisión": midnight(day + timedelta(days=365)),
        }
    if index % 5 == 0:
        extra["access-code"] = f"A-{rng.randrange(10_000):04d}"
    return extra


def _work_orders(builder: Builder, count: int) -> None:
    rng = builder.rng("workOrders")
    parents = builder.issued["workEstimates"][: builder.plan.count(10 * builder.plan.documents)]
    signed_pdfs = builder.plan.count(_SIGNED_PDF_COUNT * builder.plan.files)
    for index in range(count):
        state = cycle_state("workOrders", index)
        if index < len(parents):
            parent = parents[index]
            issued = _child(builder, rng, "workOrders", parent, state=state, extra=_work_extra(builder, rng, index, parent.party, parent.day))
        else:
            record, priced, party, day = _fresh(builder, rng, "workOrders", index=index, count=count, state=state)
            record |= _work_extra(builder, rng, index, party, day)
            issued = store_document(builder, rng, "workOrders", record, priced=priced, party=party, day=day)
        if index % 3 == 0 and index // 3 < signed_pdfs:
            _give_pdf(builder, issued)


def _give_pdf(builder: Builder, issued: Issued) -> None:
    row = builder.store.get(issued.collection, issued.id)
    if row:
        builder.store.put(issued.collection, row.record() | {"pdf-path": pdf_url(issued.collection, issued.id, builder.plan.seed)})


def _delivery_notes(builder: Builder, sales: int, work: int) -> None:
    rng = builder.rng("salesDeliveryNotes")
    for index, parent in enumerate(_spread(builder.issued["salesOrders"], sales)):
        _child(builder, rng, "salesDeliveryNotes", parent, state=cycle_state("salesDeliveryNotes", index))
    rng = builder.rng("workDeliveryNotes")
    for index, parent in enumerate(_spread(builder.issued["workOrders"], work)):
        _child(builder, rng, "workDeliveryNotes", parent, state=cycle_state("workDeliveryNotes", index))


def _spread(documents: Sequence[Issued], count: int) -> list[Issued]:
    step = max(1, len(documents) // max(count, 1))
    return list(documents[::step][:count])


def _invoices(builder: Builder, count: int) -> None:
    """About a third descends from orders, a fourth from work orders (some by way of delivery notes), the rest stands alone."""
    rng = builder.rng("ordinaryInvoices")
    from_orders = builder.issued["salesOrders"][: count * 2 // 5]
    from_work = builder.issued["workOrders"][: count // 4]
    notes = [*builder.issued["salesDeliveryNotes"][:3], *builder.issued["workDeliveryNotes"][:3]]
    parents = [*from_orders, *from_work, *notes]
    pdfs = builder.plan.count(_INVOICE_PDF_COUNT * builder.plan.files)
    for index in range(count):
        state = cycle_state("ordinaryInvoices", index)
        if index < len(parents):
            issued = _child(builder, rng, "ordinaryInvoices", parents[index], state=state)
        else:
            record, priced, party, day = _fresh(builder, rng, "ordinaryInvoices", index=index, count=count, state=state)
            issued = store_document(builder, rng, "ordinaryInvoices", record, priced=priced, party=party, day=day)
        if index % 20 == 2 and index // 20 < pdfs:
            _give_pdf(builder, issued)
