"""A small account with one of everything, written by hand so that a test can say what it expects."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]


def link(name: str, collection: str, record_id: int | None) -> Record:
    path = None if record_id is None else f"app.stelorder.com/app/{collection}/{record_id}"
    return {f"{name}-id": record_id, f"{name}-path": path}


def client(**changes: Any) -> Record:
    record = {
        "id": 1042,
        "path": "app.stelorder.com/app/clients/1042",
        "deleted": False,
        "full-reference": "CLI00501",
        "legal-name": "Electricidad Norte S.L.",
        "name": "Elenorte",
        "tax-identification-number": "B12345678",
        "email": "info@norte.example; admin@norte.example",
        "phone": "600 123 123 / 600 456 456",
        "website": "https://norte.example",
        "main-address": {
            "address-data": "Calle Mayor 1",
            "extra-data": "3º 2ª",
            "postal-code": "28001",
            "city-town": "Madrid",
            "province": "Madrid",
            "country-code": "ES",
            "latitude": 40.4,
            "longitude": -3.7,
        },
        **link("account-category", "accountCategories", 7),
        **link("agent", "employees", 3),
        "currency-code": "EUR",
        "discount-percentage": 5,
        "comments": "Llamar antes <script>alert(1)</script>\nPreguntar por Luis",
        "private-comments": None,
        "creation-date": "2024-01-02T09:30:00+0000",
        "utc-last-modification-date": "2024-02-02T09:30:00+0200",
        "sector": "Hostelería",
        "custom-fields": {"Zona comercial": "Norte", "Última visita": "2024-05-06T00:00:00+0000"},
    }
    return record | changes


def line(number: int, **changes: Any) -> Record:
    record = {
        "id": number,
        "order": number,
        "line-type": "ITEM",
        "deleted": False,
        **link("item", "products", 58),
        "item-reference": "PRO00005",
        "item-name": "Cable 3x1,5",
        "item-description": "",
        "units": 2,
        "item-base-price": 18.8,
        "discount-percentage": 10,
        "total-amount": 33.84,
        "primary-tax-percentage": 21,
    }
    return record | changes


def document(record_id: int, reference: str, **changes: Any) -> Record:
    record = {
        "id": record_id,
        "deleted": False,
        "reference": reference[-5:],
        "full-reference": reference,
        "date": "2024-03-01T00:00:00+0000",
        "creation-date": "2024-03-01T10:11:12+0000",
        "utc-last-modification-date": "2024-03-05T08:00:00+0000",
        **link("account", "clients", 1042),
        **link("agent", "employees", 3),
        **link("parent-document", "salesEstimates", None),
        "title": "Reforma",
        "comments": "",
        "private-comments": None,
        "currency-code": "EUR",
        "currency-rate": 1,
        "discount-percentage": 0,
        "subtotal-amount": 33.84,
        "tax-total-amount": 7.11,
        "total-amount": 40.95,
        **link("payment-option", "paymentOptions", 61),
        "lines": [line(2), {"id": 1, "order": 1, "line-type": "SECTION", "deleted": False, "item-name": "Capítulo 1"}],
    }
    return record | changes


def state(record_id: int) -> Record:
    return link("document-state", "documentStates", record_id)


def account() -> dict[str, list[Record]]:
    """Answer the account: entity to records."""
    return {
        "employee": [
            {"id": 3, "full-name": "Lucía García", "email": "Lucia.Garcia@example.com", "deleted": False},
            {"id": 11, "name": "Inés", "surname": "Soto", "email": "", "user-name": "ines@example.com", "deleted": False},
        ],
        "account_category": [{"id": 7, "name": "Empresa"}],
        "document_state": [
            {"id": 1, "name": "Pendiente", "type": "SALESESTIMATE", "order": 1},
            {"id": 2, "name": "Rechazado", "type": "SALESESTIMATE", "order": 3},
            {"id": 3, "name": "Cerrada", "type": "SALESESTIMATE", "order": 2},
            {"id": 4, "name": "En curso", "type": "SALESORDER", "order": 1},
            {"id": 5, "name": "Facturada", "type": "WORKORDER", "order": 2},
            {"id": 6, "name": "En pausa ⏸", "type": "WORKORDER", "order": 1},
            {"id": 8, "name": "Cerrada", "type": "ORDINARYINVOICE", "order": 1},
            {"id": 9, "name": "Borrador", "type": "EXPENSE", "order": 1},
        ],
        "product_category": [{"id": 31, "name": "Cables"}],
        "payment_option": [{"id": 61, "name": "Transferencia"}],
        "warehouse": [{"id": -2, "name": "Central"}, {"id": 3, "name": "Furgoneta"}],
        "client": [client(), client(**{"id": 1043, "legal-name": None, "name": "Solo Nombre", "email": None, "phone": "911 000 000"})],
        "address": [
            {"id": 71, **link("account", "clients", 1042), "address-type": "DELIVERY", "address-data": "Polígono 4", "city-town": "Getafe"},
            {"id": 72, **link("account", "clients", 1042), "address-type": "DEFAULT", "address-data": "Calle Mayor 1", "city-town": "Madrid"},
        ],
        "contact": [
            {
                "id": 9,
                **link("account", "clients", 1042),
                "name": "O'Brien 日本語 مرحبا",
                "email": "ob@norte.example",
                "phone": "0034600111222",
                "mobile": "600333444",
                "position": "Jefe de obra",
                "fax": "911",
                "comments": "Habla inglés",
            }
        ],
        "product": [
            {
                "id": 58,
                "full-reference": "PRO00005",
                "name": "Cable",
                "description": "De cobre",
                "sales-price": 18.8,
                "purchase-price": 9,
                "primary-tax-percentage": 21,
                **link("product-category", "productCategories", 31),
                "stock-enabled": True,
                "real-stock": 12,
                "product-warehouses": [link("warehouse", "warehouses", -2), link("warehouse", "warehouses", 3)],
                "inactive": False,
                "creation-date": "2019-06-21T10:44:19+0000",
                "energy-class": "A",
            },
            {"id": 59, "full-reference": "PRO00006", "name": "Viejo", "sales-price": 1, "inactive": True},
        ],
        "service": [{"id": 58, "full-reference": "SER00001", "name": "Hora de técnico", "sales-price": 40, "description": {"text": "Como objeto"}}],
        "asset": [
            {
                "id": 990,
                "full-reference": "ACT00185",
                "name": "Caldera vieja",
                **link("account", "clients", 1042),
                "serial-number": "SN-1",
                "creation-date": "2020-01-01T00:00:00+0000",
            },
            {
                "id": 991,
                "full-reference": "ACT00186",
                "name": "Caldera",
                **link("account", "clients", 1042),
                "brand": "Baxi",
                "model": "X-200",
                "serial-number": "SN-2",
                "description": "En el sótano",
                "warranty-end-date": "2026-05-01T00:00:00+0000",
                "creation-date": "2023-01-01T00:00:00+0000",
                "custom-fields": {"Estado": "En reparación"},
            },
        ],
        "sales_estimate": [
            document(100, "COTI00100", **state(3), **{"validity-date": "2024-04-01T00:00:00+0000"}),
            document(101, "COTI00101", **state(2)),
        ],
        "sales_order": [
            document(200, "PDV00200", **state(4), **link("parent-document", "salesEstimates", 100), date="2024-03-09T00:00:00+0000"),
        ],
        "sales_delivery_note": [document(300, "ENT-00300", **link("parent-document", "salesOrders", 200))],
        "work_order": [
            document(
                77,
                "ORT00077",
                **state(6),
                **link("assignee", "employees", 11),
                **link("address", "addresses", 72),
                **{
                    "assigned-date": "2024-03-11T10:30:00+0000",
                    "signed": True,
                    "assets": [{"id": 991}, 990],
                    "custom-fields": {"Prioridad": "Alta"},
                    "access-code": "A-1",
                },
            )
        ],
        "ordinary_invoice": [
            document(
                400,
                "FAC00400",
                **state(8),
                **link("parent-document", "salesDeliveryNotes", 300),
                **{
                    "due-date": "2024-05-01T00:00:00+0000",
                    "paid-total-amount": 20,
                    "remaining-total-amount": 20.95,
                    "settled": False,
                    "date": "2024-04-02T00:00:00+0000",
                },
            ),
            document(401, "FAC00401", **state(8), **{"paid-total-amount": 40.95, "settled": True}),
        ],
        "ordinary_invoice_receipt": [
            receipt(500, 20, is_paid=True, concept="Pasarela ref. pi_3Nx9"),
            receipt(501, 20.95, is_paid=False),
            receipt(502, -5, is_paid=True),
        ],
        "entity_attachment": [file(600, "work_order", "77"), file(601, "client", "1042")],
    }


def receipt(record_id: int, amount: float, *, is_paid: bool, **changes: Any) -> Record:
    record = {
        "id": record_id,
        "full-reference": f"FAC00400/{record_id}",
        **link("account", "clients", 1042),
        "amount": amount,
        "currency-code": "EUR",
        "original-element-id": "400",
        "original-element-path": "app.stelorder.com/app/ordinaryInvoices/400",
        "paid": is_paid,
        "payment-date": "2024-04-10T00:00:00+0000" if is_paid else None,
        "payment-term-date": "2024-05-01T00:00:00+0000",
        **link("payment-option", "paymentOptions", 61),
    }
    return record | changes


def file(record_id: int, owner_entity: str, owner_id: str, **changes: Any) -> Record:
    held = {"digest": "d" * 64, "byte_count": 12, "name": "plano.pdf", "content_type": "application/pdf", "problem": None}
    return {"id": record_id, "name": "plano.pdf", "owner_entity": owner_entity, "owner_id": owner_id, "file": held | changes}
